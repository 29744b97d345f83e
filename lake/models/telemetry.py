"""Telemetry: which columns an Interface's telemetry becomes.

Belongs here: the path from a DTDL schema to column names, Spark SQL types and units, and the notes on what becomes no
column. Reading documents is in `dtdl`; tables and stores are in `models`.
"""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

from lake.column_types import ColumnType, ListOf, MapOf, Plain, StructOf
from lake.models.dtdl import Content, Library
from lake.models.dtdl_schemas import (
    GEOSPATIAL_DEPTHS,
    ArraySchema,
    EnumSchema,
    Field,
    GeospatialSchema,
    MapSchema,
    ObjectSchema,
    PrimitiveSchema,
    Schema,
)
from lake.models.kinds import DEFAULT_GAUGE, DEFAULT_STATE, Kind
from lake.models.units import NO_UNIT, is_known, snake_case, unit_suffix
from lake.tables.silver import READING_COLUMNS

_SPARK_TYPES = {
    "boolean": "boolean",
    "date": "date",
    "dateTime": "timestamp",
    "double": "double",
    # a float32 read back as text or double shows digits that nobody sent (21.3 -> 21.299999237060547)
    "float": "double",
    "integer": "int",
    "long": "bigint",
    # ISO 8601 durations have months, and times have no day: no SQL type of all three engines holds either
    "duration": "string",
    "time": "string",
    "string": "string",
    # DTDL v4
    "byte": "int",
    "short": "int",
    "unsignedByte": "int",
    "unsignedShort": "int",
    "unsignedInteger": "bigint",
    "unsignedLong": "bigint",
    "decimal": "double",
    "bytes": "string",
    "uuid": "string",
}
_LOSSES = {
    "unsignedLong": "values above 9223372036854775807 do not fit its column and are rejected",
    "decimal": "its column is a double, with 15 significant digits",
}
NUMERIC_TYPES = ("int", "bigint", "double")
"""Spark SQL types of numeric columns, each wide enough for the one before it."""

# words that DuckDB or ANSI SQL reserve: a bare column of that name would need quotes in every query
_RESERVED_WORDS = """
    all analyse analyze and any array as asc asymmetric authorization between both by case cast check collate column
    constraint create cross current_date current_time current_timestamp current_user default deferrable desc
    describe distinct do else end escape except exists false fetch filter for foreign from full grant group having
    in initially inner intersect interval into is join lambda lateral leading left like limit natural not null
    offset on only or order outer overlaps pivot pivot_longer pivot_wider placing primary qualify references
    returning right select session_user show some sql summarize symmetric table then time to trailing true union
    unique unknown unpivot user using variadic when where window with
"""
_RESERVED = frozenset(_RESERVED_WORDS.split())
_TAKEN = _RESERVED | {column.name for column in READING_COLUMNS}
_TRUTH = re.compile(r"(^|_)(is|has)_")


@dataclass(frozen=True)
class Telemetry:
    """One silver column.

    `name` is the telemetry's path in the payload (`temperature`, `acceleration.x`), `json_path` the same as a tuple;
    `component` is None for the device itself. `type` is a Spark SQL type, `unit` a suffix word, "1" for none.
    `is_metric` columns go to gold as doubles. `minimum` and `maximum` are inclusive, None when open;
    `missing` are values that mean there is none. `kind` says which figures are made of it besides.
    """

    name: str
    component: str | None
    column: str
    type: str
    json_path: tuple[str, ...]
    unit: str
    is_metric: bool
    minimum: float | None
    maximum: float | None
    enum_values: tuple[str | int, ...] | None
    description: str
    missing: tuple[float | str, ...] = ()
    kind: Kind = DEFAULT_GAUGE

    @property
    def metric_name(self) -> str:
        """`temperature`, or `motor.temperature` for a component."""
        return self.name if self.component is None else f"{self.component}.{self.name}"


@dataclass(frozen=True)
class Columns:
    """What an Interface's telemetry becomes; `components` are all that a message may name."""

    telemetry: tuple[Telemetry, ...]
    components: tuple[str, ...]
    notes: tuple[str, ...]


def telemetry_columns(library: Library, model_id: str) -> Columns:
    """The columns of `model_id` in declared order, its components' after its own. Raises ModelError."""
    own = library.contents(model_id)
    notes: list[str] = []
    found = list(_columns_of(own, None, notes))
    components = []
    for content in own:
        if content.target is None:
            continue
        if content.target not in library.declarations:
            notes.append(
                f"component {content.name}: its Interface {content.target} is not declared here, so what it sends has "
                "no columns; put that Interface in the same file or add its file if it has telemetry"
            )
            continue
        components.append(content.name)
        found.extend(_columns_of(library.contents(content.target), content.name, notes))
    telemetry = tuple(_with_safe_names(found, notes))
    return Columns(telemetry, tuple(components), tuple(notes))


def _columns_of(contents: Iterable[Content], component: str | None, notes: list[str]) -> Iterator[Telemetry]:
    others: dict[str, list[str]] = {}
    prefix = "" if component is None else f"{component}."
    for content in contents:
        if content.schema is not None:
            if content.ignored_keys:
                keys = ", ".join(content.ignored_keys)
                notes.append(
                    f"telemetry {prefix}{content.name}: {keys} is not part of DTDL as read here and is ignored"
                )
            root = Field(content.name, content.schema, content.unit, content.description)
            yield from _leaves(root, component, (), None, notes)
        elif content.kind != "Component":
            others.setdefault(content.kind, []).append(content.name)
        elif component is not None:
            notes.append(f"component {prefix}{content.name}: a component within a component has no columns")
    for kind, names in others.items():
        plural = {"Property": "properties"}.get(kind, f"{kind.lower()}s")
        word = plural if len(names) > 1 else kind.lower()
        notes.append(f"{word} {', '.join(prefix + name for name in names)}: not telemetry, so no column")


def _leaves(
    part: Field, component: str | None, above: tuple[str, ...], unit: str | None, notes: list[str]
) -> Iterator[Telemetry]:
    """One column for each value that is not an object; a unit on an object holds for fields without their own."""
    path = (*above, part.name)
    unit = part.unit or unit
    schema = part.schema
    if isinstance(schema, ObjectSchema):
        for field in schema.fields:
            yield from _leaves(field, component, path, unit, notes)
        return
    name = ".".join(path)
    where = name if component is None else f"{component}.{name}"
    if unit and not _is_quantity(schema):
        if part.unit:
            notes.append(f"telemetry {where}: the unit {unit!r} is ignored, since the value is no number")
        unit = None
    if unit and not is_known(unit):
        notes.append(f"telemetry {where}: the unit {unit!r} is not a known one; its suffix is '_{unit_suffix(unit)}'")
    notes.extend(f"telemetry {where}: {loss}" for loss in _losses(schema, is_nested=False))
    type_ = _column_type(schema).spark
    suffix = unit_suffix(unit)
    is_enum = isinstance(schema, EnumSchema)
    yield Telemetry(
        name=name,
        component=component,
        column=_column_name((component, *path) if component else path, type_, suffix),
        type=type_,
        json_path=path,
        unit=suffix,
        # the mean of an enum's codes says nothing
        is_metric=type_ in (*NUMERIC_TYPES, "boolean") and not is_enum,
        minimum=None,
        maximum=None,
        enum_values=schema.values if isinstance(schema, EnumSchema) else None,
        description=part.description or where,
        kind=DEFAULT_STATE if is_enum or type_ == "boolean" else DEFAULT_GAUGE,
    )


def _column_type(schema: Schema) -> ColumnType:
    match schema:
        case PrimitiveSchema(name):
            return Plain(_SPARK_TYPES[name])
        case GeospatialSchema(kind):
            coordinates: ColumnType = Plain("double")
            for _ in range(GEOSPATIAL_DEPTHS[kind]):
                coordinates = ListOf(coordinates)
            return StructOf((("type", Plain("string")), ("coordinates", coordinates)))
        case EnumSchema(value_schema):
            return Plain("string" if value_schema == "string" else "int")
        case ObjectSchema(fields):
            return StructOf(tuple((field.name, _column_type(field.schema)) for field in fields))
        case ArraySchema(element):
            return ListOf(_column_type(element))
        case MapSchema(value):
            return MapOf(_column_type(value))


def _is_quantity(schema: Schema) -> bool:
    """True for numbers, and for arrays and maps of them."""
    match schema:
        case PrimitiveSchema(name):
            return _SPARK_TYPES[name] in NUMERIC_TYPES
        case ArraySchema(inner) | MapSchema(inner):
            return _is_quantity(inner)
        case _:
            return False


def _losses(schema: Schema, is_nested: bool) -> Iterator[str]:
    """What the column of a schema does not hold or check."""
    match schema:
        case PrimitiveSchema(name) if name in _LOSSES:
            yield _LOSSES[name]
        case EnumSchema() if is_nested:
            yield "enum values inside it are not checked"
        case ObjectSchema(fields):
            for field in fields:
                yield from _losses(field.schema, is_nested=True)
        case ArraySchema(inner) | MapSchema(inner):
            yield from _losses(inner, is_nested=True)
        case _:
            return


def _column_name(path: tuple[str, ...], type_: str, unit: str) -> str:
    """Snake case by the grammar of names: `is_` or `has_` for a boolean, `_at`, `_date`, else the unit at the end."""
    words = [snake_case(part) for part in path]
    if type_ == "boolean" and not _TRUTH.search("_".join(words)):
        words[-1] = f"is_{words[-1]}"
    ending = {"timestamp": "at", "date": "date"}.get(type_, "" if unit == NO_UNIT else unit)
    name = "_".join(words)
    return name if not ending or name.endswith(f"_{ending}") else f"{name}_{ending}"


def _with_safe_names(columns: Iterable[Telemetry], notes: list[str]) -> Iterator[Telemetry]:
    """Give each column a name that is free, first declared first served, and say so in a note when it is another."""
    taken = set(_TAKEN)
    for each in columns:
        column = each.column
        if column in taken:
            column = f"{each.column}_value"
        number = 2
        while column in taken:
            column = f"{each.column}_{number}"
            number += 1
        taken.add(column)
        if column != each.column:
            reason = "is a reserved word" if each.column in _RESERVED else "is taken"
            notes.append(f"telemetry {each.metric_name}: the name {each.column} {reason}; its column is {column}")
        yield replace(each, column=column)
