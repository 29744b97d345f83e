"""Queries to SQL over JSON, for SQLite and PostgreSQL, every value and path a parameter.

Belongs here: the tests and aggregates of the language in both dialects. What a path means in a collection is told by
a `Resolve`.
A comparison with what is not there, or of another type, is not true; `!=` is true for another type.
"""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from hub.hub_errors import HubCode, HubError
from hub.query.query_tree import Comparison, Function, Literal, Logic, Node, Path, Value
from hub.registry.moments import micros_of

_TYPES = {
    "is_null": ("null",),
    "is_bool": ("boolean",),
    "is_number": ("number",),
    "is_string": ("string",),
    "is_array": ("array",),
    "is_object": ("object",),
    "is_primitive": ("string", "number", "boolean", "null"),
}
_SQLITE = {
    "null": ("null",), "boolean": ("true", "false"), "number": ("integer", "real"), "string": ("text",),
    "array": ("array",), "object": ("object",),
}  # fmt: skip
_TEXT_TESTS = {
    "startswith": "starts", "starts_with": "starts", "endswith": "ends", "ends_with": "ends", "contains": "holds",
}  # fmt: skip


@dataclass(frozen=True)
class Operand:
    """A value of a row: a path in a JSON column, or with no `path` a column.

    A column's `kind` is string, number, boolean or moment.
    """

    column: str
    path: tuple[str, ...] | None = None
    kind: str = "string"


Resolve = Callable[[tuple[str, ...]], Operand]
Custom = Callable[[Function, "Sql"], str | None]


class Sql:
    """Writes one query's SQL; `parameters` are what it is run with. `custom` may write functions of a collection."""

    def __init__(self, dialect: str, resolve: Resolve, custom: Custom = lambda _function, _sql: None) -> None:
        self.is_postgres = dialect == "postgresql"
        self.parameters: dict[str, Any] = {}
        self._resolve = resolve
        self._custom = custom

    def bind(self, value: Any) -> str:
        """A parameter of this value."""
        name = f"p{len(self.parameters)}"
        self.parameters[name] = value
        return f":{name}"

    def test(self, node: Node) -> str:
        """SQL that is true for the rows that the test lets through. Raises HubError for what is no test."""
        if isinstance(node, Logic):
            items = [f"({self.test(each)})" for each in node.items]
            # what is neither true nor false is not true, and its opposite is not either
            return f"NOT {items[0]}" if node.operator == "not" else f" {node.operator.upper()} ".join(items)
        if isinstance(node, Comparison):
            return self._compare(node)
        if isinstance(node, Function):
            return self._function(node)
        raise HubError(HubCode.ArgumentInvalid, "A value stands in the query where a test is needed.")

    def operand(self, node: Node) -> Operand:
        """The operand that a path means. Raises HubError for anything else."""
        if not isinstance(node, Path):
            raise HubError(HubCode.ArgumentInvalid, "A path is needed here, as tags.site.")
        return self._resolve(node.parts)

    def value(self, operand: Operand) -> str:
        """SQL of the operand's value as JSON text, to be selected or grouped by; None where it is not there."""
        if operand.path is None:
            return operand.column
        if self.is_postgres:
            return f"CAST({self._json(operand)} AS text)"
        path = self._path(operand.path)
        # the arrow gives JSON, so that true is not 1
        return f"({operand.column} -> {path})"

    def aggregate(self, function: Function) -> str:
        """SQL of COUNT, SUM, AVG, MIN or MAX."""
        if function.name == "count":
            return f"count({self.value(self.operand(function.arguments[0]))})" if function.arguments else "count(*)"
        if len(function.arguments) != 1:
            raise HubError(HubCode.ArgumentInvalid, f"{function.name.upper()} takes one path.")
        operand = self.operand(function.arguments[0])
        return f"{function.name}(CASE WHEN {self._is(operand, ('number',))} THEN {self._number(operand)} END)"

    def _function(self, node: Function) -> str:
        written = self._custom(node, self)
        if written is not None:
            return written
        if node.name == "is_defined" and len(node.arguments) == 1:
            return self._defined(self.operand(node.arguments[0]))
        if node.name in _TYPES and len(node.arguments) == 1:
            return self._is(self.operand(node.arguments[0]), _TYPES[node.name])
        if node.name in _TEXT_TESTS and len(node.arguments) == 2:
            wanted = node.arguments[1]
            if isinstance(wanted, Literal) and isinstance(wanted.value, str):
                return self._text_test(_TEXT_TESTS[node.name], self.operand(node.arguments[0]), wanted.value)
        raise HubError(HubCode.ArgumentInvalid, f"There is no function {node.name.upper()} with such arguments.")

    def _text_test(self, kind: str, operand: Operand, wanted: str) -> str:
        given = self.bind(wanted)
        text = self.text_of(operand)
        if kind == "starts":
            found = f"substr({text}, 1, length({given})) = {given}"
        elif kind == "holds":
            found = f"strpos({text}, {given}) > 0" if self.is_postgres else f"instr({text}, {given}) > 0"
        elif self.is_postgres:
            found = f"right({text}, length({given})) = {given}"
        else:
            found = f"substr({text}, length({text}) - length({given}) + 1) = {given}"
        return f"({self._is(operand, ('string',))} AND {found})"

    def _compare(self, node: Comparison) -> str:
        left, right, operator = node.left, node.right, node.operator
        if isinstance(left, Literal) and not isinstance(right, Literal):
            left, right = right, left
            operator = {"<": ">", "<=": ">=", ">": "<", ">=": "<="}.get(operator, operator)
        operand = self.operand(left)
        if isinstance(right, Literal):
            equal = self._compare_literal(operand, "=" if operator == "!=" else operator, right.value)
        else:
            other = self.operand(right)
            sides = (self._comparable(operand), self._comparable(other))
            equal = f"{sides[0]} {'=' if operator == '!=' else operator} {sides[1]}"
        return f"({self._defined(operand)} AND NOT ({equal}))" if operator == "!=" else f"({equal})"

    def _compare_literal(self, operand: Operand, operator: str, value: Value) -> str:
        if operand.kind == "moment" and isinstance(value, str):
            return f"coalesce({operand.column}, 0) {operator} {self.bind(_micros(value))}"
        if value is None:
            return self._is(operand, ("null",))
        kind = "boolean" if isinstance(value, bool) else "string" if isinstance(value, str) else "number"
        if operand.path is None:
            if kind != operand.kind:
                return "1 = 0"
            return f"{operand.column} {operator} {self.bind(value)}"
        if self.is_postgres:
            wanted = f"CAST({self.bind(json.dumps(value))} AS jsonb)"
            return f"{self._is(operand, (kind,))} AND {self._json(operand)} {operator} {wanted}"
        return f"{self._is(operand, (kind,))} AND {self._comparable(operand)} {operator} {self.bind(value)}"

    def _is(self, operand: Operand, kinds: Sequence[str]) -> str:
        if operand.path is None:
            if operand.kind in kinds:
                return f"{operand.column} IS NOT NULL"
            return f"{operand.column} IS NULL" if "null" in kinds else "1 = 0"
        if self.is_postgres:
            listed = ", ".join(self.bind(kind) for kind in kinds)
            return f"coalesce(jsonb_typeof({self._json(operand)}) IN ({listed}), FALSE)"
        listed = ", ".join(self.bind(each) for kind in kinds for each in _SQLITE[kind])
        return f"coalesce(json_type({operand.column}, {self._path(operand.path)}) IN ({listed}), 0)"

    def _defined(self, operand: Operand) -> str:
        if operand.path is None:
            return f"{operand.column} IS NOT NULL"
        if self.is_postgres:
            return f"{self._json(operand)} IS NOT NULL"
        return f"json_type({operand.column}, {self._path(operand.path)}) IS NOT NULL"

    def _comparable(self, operand: Operand) -> str:
        if self.is_postgres:
            return f"to_jsonb({operand.column})" if operand.path is None else self._json(operand)
        return operand.column if operand.path is None else self._extract(operand)

    def text_of(self, operand: Operand) -> str:
        """SQL of the operand as text."""
        if operand.path is None:
            return operand.column
        return f"({self._json(operand)} #>> '{{}}')" if self.is_postgres else self._extract(operand)

    def _number(self, operand: Operand) -> str:
        if operand.path is None:
            return operand.column
        return f"CAST({self._json(operand)} AS double precision)" if self.is_postgres else self._extract(operand)

    def _json(self, operand: Operand) -> str:
        return f"({operand.column} #> CAST({self.bind(list(operand.path or ()))} AS text[]))"

    def _extract(self, operand: Operand) -> str:
        return f"json_extract({operand.column}, {self._path(operand.path or ())})"

    def _path(self, parts: tuple[str, ...]) -> str:
        if any('"' in part for part in parts):
            raise HubError(HubCode.ArgumentInvalid, "A name with a quotation mark cannot be asked for.")
        return self.bind("$" + "".join(f"[{part}]" if part.isdigit() else f'."{part}"' for part in parts))


def _micros(text: str) -> int:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as error:
        raise HubError(HubCode.ArgumentInvalid, f"{text!r} is no time, as 2026-11-26T12:00:00Z.") from error
    return micros_of(moment if moment.tzinfo else moment.replace(tzinfo=UTC))
