"""Rules: what refuses a record, as SQL, and which rule comes first.

Belongs here: the shape of a rule and its place among others. The rules themselves stand with what they judge.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from lake.sql_text import Expression, quoted
from transforms.reasons import Reason


@dataclass(frozen=True)
class Rule:
    """What refuses a record: a condition (null counts as false), the reason, and SQL for the detail in words."""

    condition: Expression
    reason: Reason
    detail: Expression


def first_broken(rules: Sequence[Rule]) -> Expression:
    """SQL for the number of the first rule that a record breaks, from 0; null when it breaks none."""
    cases = " ".join(f"WHEN {rule.condition} THEN {number}" for number, rule in enumerate(rules))
    return Expression(f"CASE {cases} END")


def reason_of(rules: Sequence[Rule], number: Expression) -> Expression:
    """SQL for the reason code of the rule of that number; null for null."""
    return _chosen(number, (quoted(rule.reason.value) for rule in rules))


def detail_of(rules: Sequence[Rule], number: Expression) -> Expression:
    """SQL for the detail of the rule of that number; null for null."""
    return _chosen(number, (rule.detail for rule in rules))


def shown(expression: Expression) -> Expression:
    """SQL for a value from outside as it may stand in a detail: cut short, nulls named."""
    return Expression(f"coalesce(left({expression}::VARCHAR, 80), 'nothing')")


def listed(texts: Iterable[str]) -> str:
    """SQL for what follows IN; a list that holds nothing when there are no texts."""
    return f"({', '.join(map(quoted, sorted(texts))) or 'NULL'})"


def _chosen(number: Expression, values: Iterable[str]) -> Expression:
    cases = " ".join(f"WHEN {place} THEN {value}" for place, value in enumerate(values))
    return Expression(f"CASE {number} {cases} END")
