"""Expressions: SQL that a stranger wrote, let in by an allow-list.

Belongs here: what a window or a rule may say. DuckDB parses the text; a kind of node, a function or a column in its
tree that is not listed is refused. So nothing reads files, settings or other tables.
"""

import json
from collections.abc import Collection, Iterator
from typing import Any

import duckdb

from runtime.errors import UsageError

_CLASS_NAMES = "BETWEEN CASE CAST COLUMN_REF COMPARISON CONJUNCTION CONSTANT FUNCTION OPERATOR"
_SCALAR_NAMES = """
    + - * / // % ** ^ || ~~ !~~ ~~* !~~* abs ceil ceiling coalesce concat contains cos date_diff date_part date_trunc
    datediff day dayofweek degrees ends_with epoch epoch_ms epoch_us exp floor greatest hour ifnull isfinite isinf isnan
    least left length ln log log10 log2 lower ltrim minute mod month nullif pow power prefix radians regexp_matches
    replace right round rtrim second sign sin sqrt starts_with strlen substring suffix tan to_days to_hours to_minutes
    to_seconds trim trunc upper weekday year
"""
_AGGREGATE_NAMES = """
    any_value approx_count_distinct arg_max arg_min avg bool_and bool_or corr count count_star first last max mean
    median min mode quantile_cont quantile_disc regr_intercept regr_slope stddev stddev_pop stddev_samp sum var_pop
    var_samp variance
"""
_CLASSES = frozenset(_CLASS_NAMES.split())
_SCALARS = frozenset(_SCALAR_NAMES.split())
_AGGREGATES = frozenset(_AGGREGATE_NAMES.split())
_TYPES = frozenset(
    {"BIGINT", "BOOLEAN", "DATE", "DOUBLE", "INTEGER", "TIMESTAMP", "TIMESTAMP WITH TIME ZONE", "VARCHAR"}
)
_LONGEST = 2_000


def check_expression(text: str, columns: Collection[str], where: str, *, aggregates: bool = False) -> str:
    """The text, when it is one expression over `columns` that uses nothing but what is listed here.

    `where` names its place for the message. With `aggregates` it may aggregate. Raises UsageError.
    """
    if len(text) > _LONGEST:
        raise UsageError(f"{where} has {len(text)} characters: an expression may have {_LONGEST}.")
    tree = _tree(text, where)
    allowed = _SCALARS | _AGGREGATES if aggregates else _SCALARS
    for node in _nodes(tree):
        _check_node(node, allowed, columns, where)
    return text


def _tree(text: str, where: str) -> Any:
    # a comment would hide what comes behind the expression where it is used
    if "--" in text or "/*" in text or ";" in text:
        raise UsageError(f"{where} is {text!r}: write one expression, without comments and semicolons.")
    answer = duckdb.execute("SELECT json_serialize_sql(?)", [f"SELECT ({text}) AS x FROM t"]).fetchall()
    parsed = json.loads(answer[0][0])
    if parsed.get("error"):
        raise UsageError(f"{where} is {text!r}, which is no SQL expression: {parsed.get('error_message')}.")
    node = parsed["statements"][0]["node"]
    extras = [name for name in ("where_clause", "group_expressions", "having", "qualify", "sample") if node.get(name)]
    if len(parsed["statements"]) != 1 or len(node["select_list"]) != 1 or extras:
        raise UsageError(f"{where} is {text!r}: write one expression.")
    return node["select_list"][0]


def _nodes(tree: Any) -> Iterator[dict[str, Any]]:
    """Every expression in the tree; types and constants are no expressions."""
    if isinstance(tree, dict):
        if "class" in tree:
            yield tree
            if tree["class"] == "CONSTANT":
                return
        for name, part in tree.items():
            if name != "cast_type":
                yield from _nodes(part)
    elif isinstance(tree, list):
        for part in tree:
            yield from _nodes(part)


def _check_node(node: dict[str, Any], functions: Collection[str], columns: Collection[str], where: str) -> None:
    kind = node["class"]
    if kind not in _CLASSES:
        raise UsageError(f"{where} has a {kind.lower()}, which may not stand there: compare and compute columns only.")
    if kind == "FUNCTION" and node["function_name"].lower() not in functions:
        raise UsageError(f"{where} uses {node['function_name']}(), which may not stand there.")
    if kind == "CAST" and node["cast_type"]["id"] not in _TYPES:
        raise UsageError(f"{where} casts to {node['cast_type']['id']}, which may not stand there.")
    if kind == "COLUMN_REF":
        name = ".".join(node["column_names"])
        if name not in columns:
            raise UsageError(f"{where} names {name}, there are {', '.join(sorted(columns))}.")
