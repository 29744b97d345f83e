"""Payloads: one JSON object, typed by its device model, as SQL.

Belongs here: which payload shape a record has, vouching for a payload in one pass over its text, and the columns that
a payload becomes. What DuckDB cannot vouch for is judged in `strict_payload`. Which model a record has is decided
before; where readings and rejects go is decided after.
"""

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from lake.column_types import duckdb_type
from lake.models.catalog import Model, Telemetry
from lake.models.missing_values import singles
from lake.sql_text import Query, quoted, relation
from transforms.refusal_rules import listed

# what DuckDB says a JSON value is, for the types whose values need no closer look
_JSON_TYPES = {
    "double": ("DOUBLE", "UBIGINT", "BIGINT"),
    "int": ("UBIGINT", "BIGINT"),
    "bigint": ("UBIGINT", "BIGINT"),
    "boolean": ("BOOLEAN",),
    "string": ("VARCHAR",),
}
_WHITE_SPACE = r"E' \t\r\n'"


@dataclass(frozen=True)
class Payload:
    """The shape of the payloads of one model's root, or of one of its components; `number` is its place among all."""

    number: int
    model: Model
    component: str | None
    telemetry: tuple[Telemetry, ...]

    @property
    def is_simple(self) -> bool:
        """True when SQL can vouch for it: plain values, and names that differ by more than their case."""
        paths = {t.json_path[:depth] for t in self.telemetry for depth in range(1, len(t.json_path) + 1)}
        folded = {tuple(name.lower() for name in path) for path in paths}
        return len(folded) == len(paths) and all(t.type in _JSON_TYPES for t in self.telemetry)

    @property
    def objects(self) -> list[tuple[str, ...]]:
        """The paths of the objects inside the object."""
        return sorted({t.json_path[:depth] for t in self.telemetry for depth in range(1, len(t.json_path))})


def payloads_of(models: Iterable[Model]) -> list[Payload]:
    """The payload shapes of all models: one for the root, where it has telemetry, and one a component."""
    shapes: list[Payload] = []
    for model in sorted(models, key=lambda m: m.model_id):
        for component in sorted({t.component for t in model.telemetry}, key=lambda c: c or ""):
            telemetry = tuple(t for t in model.telemetry if t.component == component)
            shapes.append(Payload(len(shapes), model, component, telemetry))
    return shapes


def judged_payloads(records: Query, payloads: list[Payload]) -> Query:
    """SQL for `records`, a query, with `shape`, the number of the payload shape of the records without a `reason`, null
    where there is none; and `text`, the payload of those that need no closer look.

    A payload that has a text breaks no rule and has no name that its model does not declare.
    """
    simple = [p for p in payloads if p.is_simple]
    parsed = "".join(
        f", CASE WHEN shape = {p.number} THEN json_transform(json_text, {_structure(p)}) END AS parsed_{p.number}"
        for p in simple
    )
    dropped = ["json_text", "json_types", *(f"parsed_{p.number}" for p in simple)]
    return Query(f"""
        WITH shaped AS (
            SELECT *, CASE WHEN reason IS NULL THEN {_shape(payloads)} END AS shape FROM {relation(records)}),
        decoded AS (
            SELECT *, CASE WHEN octet_length(value) <= {_of_shape(simple, _limit)}
                THEN TRY(decode(value)) END AS any_text
            FROM shaped),
        valid AS (
            SELECT * EXCLUDE (any_text), CASE WHEN json_valid(any_text) THEN any_text END AS json_text FROM decoded),
        typed AS (SELECT *, {_of_shape(simple, _types)} AS json_types{parsed} FROM valid)
        SELECT * EXCLUDE ({", ".join(dropped)}),
            CASE WHEN coalesce({_of_shape(simple, _is_clean)}, false) THEN json_text END AS text
        FROM typed""")


def telemetry_values(payloads: list[Payload], columns: Mapping[str, str]) -> tuple[str, list[str]]:
    """SQL for the values of a table's telemetry columns (`columns`: name -> Spark type), from `text` and `mended`.

    The first is what to add to each row, the second selects the columns from it.
    """
    parsed = ", ".join(
        f"CASE WHEN shape = {p.number} AND mended IS NOT NULL THEN json_transform(mended, {_places(p)}) END AS "
        f"mended_{p.number}"
        + (
            f", CASE WHEN shape = {p.number} THEN json_transform(text, {_structure(p)}) END AS parsed_{p.number}"
            if p.is_simple
            else ""
        )
        for p in payloads
    )
    selected = []
    for name, type_ in columns.items():
        sources = [_value(p, t) for p in payloads for t in p.telemetry if t.column == name]
        value = f"coalesce({', '.join(sources)})" if sources else "NULL"
        selected.append(f'{value}::{duckdb_type(type_)} AS "{name}"')
    return parsed, selected


def _shape(payloads: list[Payload]) -> str:
    cases = []
    for p in payloads:
        component = "component_name IS NULL" if p.component is None else f"component_name = {quoted(p.component)}"
        cases.append(f"WHEN model_id = {quoted(p.model.model_id)} AND {component} THEN {p.number}")
    return f"CASE {' '.join(cases)} END" if cases else "NULL::INTEGER"


def _of_shape(payloads: list[Payload], expression: Callable[[Payload], str]) -> str:
    """What holds for the shape of a record; null for other shapes."""
    cases = " ".join(f"WHEN {p.number} THEN {expression(p)}" for p in payloads)
    return f"CASE shape {cases} END" if cases else "NULL"


def _limit(payload: Payload) -> str:
    return str(payload.model.quality.max_payload_bytes)


def _structure(payload: Payload) -> str:
    """What DuckDB is to make of a payload as it came."""
    tree: dict[str, Any] = {}
    for telemetry in payload.telemetry:
        node = tree
        for name in telemetry.json_path[:-1]:
            node = node.setdefault(name, {})
        node[telemetry.json_path[-1]] = duckdb_type(telemetry.type)
    return quoted(json.dumps(tree))


def _places(payload: Payload) -> str:
    """What DuckDB is to make of a payload that was judged by `strict_payload`."""
    return quoted(json.dumps({str(place): duckdb_type(t.type) for place, t in enumerate(payload.telemetry)}))


def _types(payload: Payload) -> str:
    pointers = ", ".join(quoted("/" + "/".join(t.json_path)) for t in payload.telemetry)
    return f"json_type(json_text, [{pointers}])"


def _parsed(payload: Payload, path: tuple[str, ...]) -> str:
    return f"parsed_{payload.number}." + ".".join(f'"{name}"' for name in path)


def _value(payload: Payload, telemetry: Telemetry) -> str:
    mended = f'mended_{payload.number}."{payload.telemetry.index(telemetry)}"'
    return f"{_parsed(payload, telemetry.json_path)}, {mended}" if payload.is_simple else mended


def _is_clean(payload: Payload) -> str:
    """True when no rule can refuse the record and no name in it is unknown.

    Each name brings a colon, so as many colons as there are declared names with a value leave none for others, for
    repeated ones or for nulls; DuckDB takes a comma too much, which shows in the number of commas. Signs in texts
    count too, and then the record is looked at more closely. Counting costs less than parsing.
    """
    values = [(t, _parsed(payload, t.json_path)) for t in payload.telemetry]
    present = " + ".join(f"({value} IS NOT NULL)::INTEGER" for _, value in values)
    objects = " + ".join(f"({_parsed(payload, path)} IS NOT NULL)::INTEGER" for path in payload.objects)
    conditions = [
        f"starts_with(ltrim(json_text, {_WHITE_SPACE}), '{{')",
        f"{_count(':')} = {present}" + (f" + {objects}" if objects else ""),
        f"{_count(',')} = {present} - 1",
    ]
    for place, (telemetry, value) in enumerate(values, 1):
        is_right = [f"json_types[{place}] IN {listed(_JSON_TYPES[telemetry.type])}", *_limits(telemetry, value)]
        conditions.append(f"({value} IS NULL OR ({' AND '.join(is_right)}))")
    return " AND ".join(conditions)


def _limits(telemetry: Telemetry, value: str) -> Iterator[str]:
    if telemetry.type == "double":
        yield f"isfinite({value})"
    if telemetry.minimum is not None:
        yield f"{value} >= {telemetry.minimum!r}"
    if telemetry.maximum is not None:
        yield f"{value} <= {telemetry.maximum!r}"
    missing = [quoted(each) if isinstance(each, str) else repr(each) for each in _comparable(telemetry)]
    if missing:
        yield f"{value} NOT IN ({', '.join(missing)})"
    if telemetry.type == "double" and (found := singles(telemetry.missing)):
        yield f"TRY_CAST({value} AS FLOAT)::DOUBLE NOT IN ({', '.join(map(repr, found))})"
    if telemetry.enum_values is not None:
        yield f"{value} IN ({', '.join(quoted(v) if isinstance(v, str) else str(v) for v in telemetry.enum_values)})"


def _comparable(telemetry: Telemetry) -> Iterator[str | float]:
    """The missing values that a value of the telemetry's type may equal."""
    for each in telemetry.missing:
        if isinstance(each, str) == (telemetry.type == "string"):
            yield each


def _count(sign: str) -> str:
    return f"(strlen(json_text) - strlen(replace(json_text, '{sign}', '')))"
