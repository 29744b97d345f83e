"""What a stranger's expression may say."""

import pytest

from runtime.errors import UsageError
from streams.expressions import check_expression

COLUMNS = ("value", "metric_name", "unit")


@pytest.mark.parametrize(
    "text",
    [
        "value > 30",
        "value BETWEEN 1 AND 2 OR metric_name LIKE 'temp%'",
        "CASE WHEN value > 1 THEN 1 ELSE 0 END = 1",
        "abs(value::INTEGER % 2) = 1 AND value IS NOT NULL",
        "unit IN ('degc', 'pct')",
    ],
)
def test_comparisons_of_columns_are_let_in(text: str) -> None:
    """An expression over the columns at hand is used as it is written."""
    assert check_expression(text, COLUMNS, "condition") == text


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("getenv('HOME') = 'x'", "getenv"),
        ("value > (SELECT 1)", "subquery"),
        ("value IN (SELECT 1)", "subquery"),
        ("read_text('/etc/passwd') = ''", "read_text"),
        ("list_transform([1], x -> 1) = [1]", "list_transform"),
        ("count(*) > 1", "count_star"),
        ("lag(value) OVER () > 1", "window"),
        ("other > 1", "names other, there are metric_name"),
        ("value > 1) FROM read_csv('x') WHERE (1", "write one expression|read_csv|no SQL|multiple"),
        ("value > 1; DROP TABLE t", "semicolons"),
        ("value > 1 -- and", "comments"),
        ("*", "star|no SQL"),
        ("value >", "no SQL expression"),
        ("value::STRUCT(a INTEGER) IS NULL", "casts to"),
        ("v" * 3000, "3000 characters"),
        ("current_setting('home_directory') = ''", "current_setting"),
        ("value > 1 UNION SELECT 2", "no SQL|one expression"),
    ],
)
def test_whatever_else_is_refused(text: str, message: str) -> None:
    """Functions, subqueries and columns that are not listed, and more than one expression, are refused by name."""
    with pytest.raises(UsageError, match=message):
        check_expression(text, COLUMNS, "condition")


def test_aggregates_are_let_in_where_they_are_asked_for() -> None:
    """A window's figures aggregate; a condition does not."""
    assert check_expression("max(value) - min(value)", COLUMNS, "span", aggregates=True)
    with pytest.raises(UsageError, match="max"):
        check_expression("max(value)", COLUMNS, "span")
