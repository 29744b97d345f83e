"""Types that may stand beside a class of DTDL: quantities, and what the language's public extensions add.

Belongs here: for each version of an extension, its types, which classes they stand beside, the properties that they
bring and the schema that they ask for. Quantities and their units are in `dtdl_quantities`.
"""

import functools
from collections.abc import Iterator, Mapping
from typing import Any

from lake.models.dtdl_quantities import quantities, units

Rule = Mapping[str, Any]

_WITH_SCHEMA = ("Telemetry", "Property", "Field", "MapValue", "CommandRequest", "CommandResponse")
_UNIT = {"name": "unit", "min": 1}

# versions of the extension, versions of the language, type, classes, properties that it needs, and that it may have
_TYPES = (
    ("annotation", (1, 2), (3, 4), "ValueAnnotation", ("Telemetry", "Property"), ("annotates",), ()),
    ("historization", (1, 2), (3, 4), "Historized", ("Telemetry", "Property"), (), ()),
    ("initialization", (1, 2), (3, 4), "Initialized", ("Property",), (), ("initialValue",)),
    ("overriding", (1, 2), (3, 4), "Override", ("Property",), ("overrides",), ()),
    ("requirement", (1,), (3, 4), "Required", ("Field", "Property", "Relationship", "Telemetry"), (), ()),
    ("streaming", (1,), (3, 4), "Stream", ("Telemetry",), (), ()),
)


@functools.cache
def types() -> Mapping[str, Rule]:
    """By identifier: `on` which classes, `in` which versions of the language, `props`, and the `schema` asked for."""
    return dict([*_quantities(), *_added()])


def identifier(extension: str, version: int, name: str) -> str:
    """How a term of an extension is called here, whatever part of the extension it is."""
    return f"dtmi:dtdl:extension:{extension}:v{version}:{name}"


def is_quantity(dtmi: str) -> bool:
    """True for a type that says what is measured."""
    return dtmi.startswith("dtmi:dtdl:extension:quantitativeTypes:")


def extensions() -> frozenset[tuple[str, int]]:
    """Every extension that is known, with its version."""
    known = {(name, version) for name, versions, *_ in _TYPES for version in versions}
    return frozenset(known | {("quantitativeTypes", 1), ("quantitativeTypes", 2)})


def terms(extension: str, version: int) -> Iterator[str]:
    """The types and properties of an extension, and the schemas that list the units of a quantity."""
    for dtmi, rule in types().items():
        if dtmi.startswith(identifier(extension, version, "")):
            yield dtmi.rpartition(":")[2]
            yield from (each["name"] for each in rule["props"].values())
    if extension == "quantitativeTypes":
        yield from units(version)


def _quantities() -> Iterator[tuple[str, Rule]]:
    for version in (1, 2):
        for name, family in quantities(version).items():
            unit = {**_UNIT, "unit": (family, version)}
            rule = {"on": _WITH_SCHEMA, "in": (2, 3, 4) if version == 1 else (3, 4), "schema": ("NumericSchema",),
                    "props": {identifier("quantitativeTypes", version, "unit"): unit}}  # fmt: skip
            yield identifier("quantitativeTypes", version, name), rule


def _added() -> Iterator[tuple[str, Rule]]:
    for extension, versions, languages, name, classes, needed, allowed in _TYPES:
        for version in versions:
            props = {
                identifier(extension, version, each): {"name": each, "min": int(each in needed)}
                for each in (*needed, *allowed)
            }
            yield identifier(extension, version, name), {"on": classes, "in": languages, "props": props}
