"""DTDL schemas: what shape the value of a telemetry has.

Belongs here: primitive, geospatial, object, enum, array and map schemas, written inline or referred to by DTMI, as
plain data. What column a shape becomes is in `telemetry`.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, TypeAlias

from lake.models.dtdl_quantities import units
from runtime.errors import ModelError

MAX_SCHEMA_DEPTH = 8
"""DTDL v4's limit on schemas within schemas (v2 and v3 allow 5; being wider refuses nothing that they allow)."""

PRIMITIVES = frozenset(
    {"boolean", "date", "dateTime", "double", "duration", "float", "integer", "long", "string", "time"}
    # DTDL v4 adds these
    | {"byte", "bytes", "decimal", "short", "unsignedByte", "unsignedInteger", "unsignedLong", "unsignedShort", "uuid"}
)
GEOSPATIAL_DEPTHS = {"point": 1, "lineString": 2, "multiPoint": 2, "polygon": 3, "multiLineString": 3,
                     "multiPolygon": 4}  # fmt: skip
"""GeoJSON kinds and how deep their coordinates are nested."""

_NAME = re.compile(r"[A-Za-z](?:[A-Za-z0-9_]*[A-Za-z0-9])?")
_MAX_NAME_CHARACTERS = 512


@dataclass(frozen=True)
class PrimitiveSchema:
    """One of `PRIMITIVES`."""

    name: str


@dataclass(frozen=True)
class GeospatialSchema:
    """A GeoJSON geometry; `kind` is one of `GEOSPATIAL_DEPTHS`."""

    kind: str


@dataclass(frozen=True)
class EnumSchema:
    """A closed list of values, all strings or all integers."""

    value_schema: Literal["string", "integer"]
    values: tuple[str | int, ...]


@dataclass(frozen=True)
class Field:
    """One field of an object; `unit` is DTDL's name of it, None when it has none."""

    name: str
    schema: "Schema"
    unit: str | None
    description: str


@dataclass(frozen=True)
class ObjectSchema:
    """Named fields."""

    fields: tuple[Field, ...]


@dataclass(frozen=True)
class ArraySchema:
    """Any number of elements of one schema."""

    element: "Schema"


@dataclass(frozen=True)
class MapSchema:
    """String keys to values of one schema."""

    value: "Schema"


Schema: TypeAlias = PrimitiveSchema | GeospatialSchema | EnumSchema | ObjectSchema | ArraySchema | MapSchema

_VECTOR = ObjectSchema(tuple(Field(axis, PrimitiveSchema("double"), None, f"{axis} component") for axis in "xyz"))
_GEOPOINT = ObjectSchema(
    (
        Field("lat", PrimitiveSchema("double"), "degreeOfArc", "Latitude"),
        Field("lon", PrimitiveSchema("double"), "degreeOfArc", "Longitude"),
        Field("alt", PrimitiveSchema("double"), "metre", "Altitude"),
    )
)
_NAMED_SCHEMAS: dict[str, Schema] = {
    **{name: PrimitiveSchema(name) for name in PRIMITIVES},
    **{kind: GeospatialSchema(kind) for kind in GEOSPATIAL_DEPTHS},
    # the IoT Central extension, which many public models use
    "geopoint": _GEOPOINT,
    "vector": _VECTOR,
    # a number as its digits and a power of ten
    "scaledDecimal": ObjectSchema(
        (
            Field("scale", PrimitiveSchema("integer"), None, "Power of ten"),
            Field("value", PrimitiveSchema("string"), None, "Digits"),
        )
    ),
}
_STANDARD_SCHEMA = re.compile(
    r"dtmi:(?:dtdl:instance:Schema|standard:schema:geospatial|iotcentral:schema):([A-Za-z]+);\d+"
)


def parse_schema(raw: object, library: Mapping[str, Mapping[str, object]], where: str, depth: int = 1) -> Schema:
    """The schema that `raw` writes inline, names, or refers to by a DTMI in `library`.

    `where` names the place for errors. Raises ModelError for a schema that is unknown, wrong or nested too deeply
    (which is also how a schema within itself ends).
    """
    if depth > MAX_SCHEMA_DEPTH:
        raise ModelError(f"The schema of {where} is more than {MAX_SCHEMA_DEPTH} deep, or holds itself: flatten it.")
    if isinstance(raw, dict) and set(raw) == {"@id"}:
        raw = raw["@id"]
    if isinstance(raw, str):
        return _named_schema(raw, library, where, depth)
    if not isinstance(raw, dict):
        raise ModelError(f"{where} has no usable schema: give a name such as 'double', a DTMI or an object.")
    kinds = set(string_list(raw.get("@type"), f"@type of the schema of {where}")) & {"Object", "Enum", "Array", "Map"}
    if len(kinds) != 1:
        raise ModelError(f"The schema of {where} has @type {raw.get('@type')!r}: give Object, Enum, Array or Map.")
    match kinds.pop():
        case "Enum":
            return _enum(raw, where)
        case "Object":
            return _object(raw, library, where, depth)
        case "Array":
            return ArraySchema(parse_schema(raw.get("elementSchema"), library, f"the elements of {where}", depth + 1))
        case _:
            return _map(raw, library, where, depth)


def plain_schema_name(name: str) -> str:
    """The short name of a schema of the language: `dtmi:dtdl:instance:Schema:double;2` -> `double`; others as is."""
    standard = _STANDARD_SCHEMA.fullmatch(name)
    return standard.group(1) if standard else name


def _named_schema(name: str, library: Mapping[str, Mapping[str, object]], where: str, depth: int) -> Schema:
    known = _NAMED_SCHEMAS.get(plain_schema_name(name))
    if known is not None:
        return known
    if name in units(2):
        return EnumSchema("string", units(2)[name])
    if name in library:
        # the reference itself adds no level: the referred schema may again be a mere reference, so count it anyway
        return parse_schema(library[name], library, where, depth + (set(library[name]) == {"@id"}))
    raise ModelError(
        f"{where} has the schema {name!r}, which is neither a DTDL schema nor declared here: "
        f"declare it under 'schemas', or use one of {', '.join(sorted(_NAMED_SCHEMAS))}."
    )


def _enum(raw: Mapping[str, object], where: str) -> EnumSchema | PrimitiveSchema:
    value_schema = plain_schema_name(str(raw.get("valueSchema")))
    if value_schema not in ("string", "integer"):
        raise ModelError(f"The enum of {where} has valueSchema {value_schema!r}: give 'string' or 'integer'.")
    values: list[str | int] = []
    for entry in object_list(raw.get("enumValues"), f"enumValues of {where}"):
        match entry.get("enumValue"):
            case str(text) if value_schema == "string":
                values.append(text)
            case int(code) if value_schema == "integer" and not isinstance(code, bool):
                values.append(code)
            case other:
                raise ModelError(f"The enum of {where} has the value {other!r}, which is not of type {value_schema}.")
    if len(set(values)) < len(values):
        raise ModelError(f"The enum of {where} has a value twice: {values}.")
    if not values:
        # one that lists nothing restricts nothing
        return PrimitiveSchema(str(value_schema))
    return EnumSchema("string" if value_schema == "string" else "integer", tuple(values))


def _object(raw: Mapping[str, object], library: Mapping[str, Mapping[str, object]], where: str,
            depth: int) -> ObjectSchema:  # fmt: skip
    fields = []
    for entry in object_list(raw.get("fields"), f"fields of {where}"):
        name = element_name(entry, f"a field of {where}")
        place = f"field {name!r} of {where}"
        schema = parse_schema(entry.get("schema"), library, place, depth + 1)
        fields.append(Field(name, schema, optional_text(entry, "unit", place), describe(entry, place)))
    if not fields:
        raise ModelError(f"The object of {where} has no fields: declare at least one.")
    refuse_same_names([field.name for field in fields], where)
    return ObjectSchema(tuple(fields))


def _map(raw: Mapping[str, object], library: Mapping[str, Mapping[str, object]], where: str, depth: int) -> MapSchema:
    value = raw.get("mapValue")
    if not isinstance(value, dict):
        raise ModelError(f"The map of {where} has no mapValue: give one with a name and a schema.")
    return MapSchema(parse_schema(value.get("schema"), library, f"the values of {where}", depth + 1))


# Helpers for JSON that a person wrote, shared with `dtdl`.


def string_list(value: object, where: str) -> list[str]:
    """JSON-LD lets one string stand for a list of one."""
    values = value if isinstance(value, list) else [] if value is None else [value]
    if not all(isinstance(item, str) for item in values):
        raise ModelError(f"{where} must be a string or a list of strings.")
    return list(values)


def object_list(value: object, where: str) -> list[dict[str, object]]:
    """JSON-LD lets one object stand for a list of one."""
    values = value if isinstance(value, list) else [] if value is None else [value]
    if not all(isinstance(item, dict) for item in values):
        raise ModelError(f"{where} must be an object or a list of objects.")
    return list(values)


def element_name(raw: Mapping[str, object], where: str) -> str:
    """The `name` of a content or field; raises ModelError when DTDL does not allow it."""
    name = raw.get("name")
    if not isinstance(name, str) or not _NAME.fullmatch(name) or len(name) > _MAX_NAME_CHARACTERS:
        raise ModelError(
            f"{where} has the name {name!r}: a name is letters, digits and underscores, starts with a letter and "
            "does not end with an underscore."
        )
    return name


def optional_text(raw: Mapping[str, object], key: str, where: str) -> str | None:
    """A string, or the DTMI of an inline object, or None."""
    value = raw.get(key)
    if isinstance(value, dict):
        value = value.get("@id")
    if value is None or isinstance(value, str):
        return value
    raise ModelError(f"{key} of {where} must be a string.")


def localized_text(value: object, where: str) -> str:
    """A text, or the English (else the first by language code) of a language map; '' for none."""
    if value is None or isinstance(value, str):
        return value or ""
    if isinstance(value, dict) and value and all(isinstance(text, str) for text in value.values()):
        english = sorted(language for language in value if language.split("-")[0] == "en")
        return str(value[(english or sorted(value))[0]])
    raise ModelError(f"{where} must be a text or an object of language code to text.")


def describe(raw: Mapping[str, object], where: str) -> str:
    """Its description, else its display name, else ''."""
    description = localized_text(raw.get("description"), f"description of {where}")
    return description or localized_text(raw.get("displayName"), f"displayName of {where}")


def refuse_same_names(names: list[str], where: str) -> None:
    """Raise ModelError for names that are equal, or differ in case only: SQL engines do not tell those apart."""
    seen: dict[str, str] = {}
    for name in names:
        other = seen.setdefault(name.lower(), name)
        if other is not name:
            how = "is declared twice" if other == name else f"differs from {other!r} only in upper and lower case"
            raise ModelError(f"{name!r} {how} in {where}: give each a name of its own.")
