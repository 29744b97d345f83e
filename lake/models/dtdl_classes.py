"""Classes of DTDL and their properties, version 2 to 4, as the language's description states them.

Belongs here: which class there is, what it is a kind of, which properties it has, and their limits. Types that stand
beside a class are in `dtdl_extensions`; checking documents against all this is in `dtdl_check`.
"""

import functools
from collections.abc import Mapping
from typing import Any

Rule = Mapping[str, Any]
"""What a property takes. A literal has `is` (`string`, `integer`, `boolean`, `langString` or `any`), and may have
`length`, `pattern`, `least`, `value`. Others have `of`, the class that stands there ("" for an identifier alone), and
may have `uris` and `values` (the only ones allowed), `versions` (of the language), `id` (must have one), `untyped`
(`@type` may be left out), `unique` (properties that differ among the elements). Both may have `min`, `max`, `many`."""

VERSIONS = (2, 3, 4)
_NAME = "[A-Za-z](?:[A-Za-z0-9_]*[A-Za-z0-9])?"

_LIMITS: Mapping[str, Mapping[int, int]] = {
    "name": {2: 64, 3: 512, 4: 512},
    "displayName": {2: 64, 3: 512, 4: 512},
    "description": {2: 512, 3: 512, 4: 512},
    "comment": {2: 512, 3: 512, 4: 512},
    "contents": {2: 300, 3: 100_000, 4: 100_000},
    "extends": {2: 2, 3: 1024, 4: 1024},
    "properties": {2: 300, 3: 300, 4: 300},
    "schemas": {2: 300, 3: 100_000, 4: 100_000},
    "fields": {2: 30, 3: 30, 4: 30},
    "enumValues": {2: 100, 3: 100, 4: 100},
}

ABSTRACT = ("Entity", "NamedEntity", "Content", "Schema", "ComplexSchema", "PrimitiveSchema", "NumericSchema",
            "TemporalSchema")  # fmt: skip

_CONTENTS = ("Telemetry", "Property", "Command", "Relationship", "Component")
_NUMBERS = ("Double", "Float", "Integer", "Long")
_NUMBERS_OF_4 = ("Byte", "Decimal", "ScaledDecimal", "Short", "UnsignedByte", "UnsignedInteger", "UnsignedLong",
                 "UnsignedShort")  # fmt: skip
_TIMES = ("Date", "DateTime", "Duration", "Time")
_OTHERS = ("Boolean", "String")
_OTHERS_OF_4 = ("Bytes", "Uuid")
_COMPLEX = ("Array", "Enum", "Map", "Object")
COMMAND_TYPES = ("asynchronous", "synchronous")
GEOSPATIAL = ("lineString", "multiLineString", "multiPoint", "multiPolygon", "point", "polygon")


def primitives(version: int) -> tuple[str, ...]:
    """Classes of the schemas that have a name of their own, such as `Double` for `double`."""
    return (*_NUMBERS, *_TIMES, *_OTHERS, *((*_NUMBERS_OF_4, *_OTHERS_OF_4) if version >= 4 else ()))


@functools.cache
def classes(version: int) -> Mapping[str, Rule]:
    """By name: `kin` (itself and what it is a kind of), `props` by name, and `id`: whether it must have one."""
    props = {
        **{name: {} for name in (*primitives(version), "CommandType")},
        **_contents(version),
        **_schemas(version),
        **_parts(version),
    }
    texts = _texts(version)
    return {
        name: {"kin": (name, *_kinds(name)), "props": {**texts, **own}, "id": name == "Interface"}
        for name, own in props.items()
    }


def _kinds(name: str) -> tuple[str, ...]:
    if name in _CONTENTS:
        return ("Content", "NamedEntity", "Entity")
    if name in (*_NUMBERS, *_NUMBERS_OF_4):
        return ("NumericSchema", "PrimitiveSchema", "Schema", "Entity")
    if name in _TIMES:
        return ("TemporalSchema", "PrimitiveSchema", "Schema", "Entity")
    if name in (*_OTHERS, *_OTHERS_OF_4):
        return ("PrimitiveSchema", "Schema", "Entity")
    if name in _COMPLEX:
        return ("ComplexSchema", "Schema", "Entity")
    return ("Entity",) if name in ("Interface", "CommandType") else ("NamedEntity", "Entity")


def _texts(version: int) -> dict[str, Rule]:
    return {
        "comment": {"is": "string", "length": _LIMITS["comment"][version]},
        "description": {"is": "langString", "length": _LIMITS["description"][version]},
        "displayName": {"is": "langString", "length": _LIMITS["displayName"][version]},
    }


def _name(version: int) -> Rule:
    return {"is": "string", "min": 1, "length": _LIMITS["name"][version], "pattern": _NAME}


def _one(class_: str, version: int, **more: Any) -> Rule:
    return {"of": class_, "max": 1, "versions": _until(version)} | more


def _many(class_: str, version: int, limit: str, **more: Any) -> Rule:
    return {"of": class_, "many": True, "max": _LIMITS[limit][version], "versions": _until(version)} | more


def _until(version: int) -> tuple[int, ...]:
    """An element may use whole ones of its own version of the language and of those before."""
    return tuple(each for each in VERSIONS if each <= version)


def _only(class_: str, version: int, *names: str) -> Rule:
    uris = tuple(f"dtmi:dtdl:instance:Schema:{name};{version}" for name in names)
    return _one(class_, version, min=1, uris=uris, values=names)


def _contents(version: int) -> dict[str, dict[str, Rule]]:
    name, schema = _name(version), _one("Schema", version, min=1)
    of_command = ("CommandPayload", "CommandPayload") if version == 2 else ("CommandRequest", "CommandResponse")
    request, response = (_one(each, version, untyped=True) for each in of_command)
    uris = tuple(f"dtmi:dtdl:instance:CommandType:{each};{version}" for each in COMMAND_TYPES)
    of_type = _one("CommandType", version, values=COMMAND_TYPES, uris=uris)
    return {
        "Interface": {
            "contents": _many("Content", version, "contents", unique=("name",)),
            "extends": _many("Interface", version, "extends"),
            "schemas": _many("ComplexSchema", version, "schemas", id=True, versions=(version,)),
        },
        "Telemetry": {"name": name, "schema": schema},
        "Property": {"name": name, "schema": schema, "writable": {"is": "boolean"}},
        "Command": {"name": name, "request": request, "response": response, "commandType": of_type},
        "Relationship": {
            "name": name,
            "target": {"of": "", "max": 1},
            "minMultiplicity": {"is": "integer", "value": 0},
            "maxMultiplicity": {"is": "integer", "least": 1},
            "properties": _many("Property", version, "properties", unique=("name",)),
            "writable": {"is": "boolean"},
        },
        "Component": {"name": name, "schema": _one("Interface", version, min=1)},
    }  # fmt: skip


def _schemas(version: int) -> dict[str, dict[str, Rule]]:
    part = {"min": 1, "untyped": True, "versions": (version,)}
    parts = {**part, "min": 1 if version == 2 else 0}
    return {
        "Array": {"elementSchema": _one("Schema", version, min=1)},
        "Enum": {
            "enumValues": _many("EnumValue", version, "enumValues", unique=("name", "enumValue"), **parts),
            "valueSchema": _only("PrimitiveSchema", version, "integer", "string"),
        },
        "Map": {"mapKey": _one("MapKey", version, **part), "mapValue": _one("MapValue", version, **part)},
        "Object": {"fields": _many("Field", version, "fields", unique=("name",), **parts)},
    }


def _parts(version: int) -> dict[str, dict[str, Rule]]:
    both = {"name": _name(version), "schema": _one("Schema", version, min=1)}
    nullable = {"nullable": {"is": "boolean"}}
    of_command = {"CommandPayload": both} if version == 2 else {
        "CommandRequest": {**both, **nullable}, "CommandResponse": {**both, **nullable}}  # fmt: skip
    return {
        **of_command,
        "EnumValue": {"name": _name(version), "enumValue": {"is": "any", "min": 1}},
        "Field": both,
        "MapKey": {"name": _name(version), "schema": _only("PrimitiveSchema", version, "string")},
        "MapValue": both,
    }
