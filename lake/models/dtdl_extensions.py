"""Types that may stand beside a class of DTDL: quantities, and what the language's public extensions add.

Belongs here: for each version of an extension, its types, which classes they stand beside, the properties that they
bring and the schema that they ask for. Quantities and their units are in `dtdl_quantities`.
"""

import functools
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from lake.models.dtdl_quantities import quantities, units

Rule = Mapping[str, Any]

_WITH_SCHEMA = ("Telemetry", "Property", "Field", "MapValue", "CommandRequest", "CommandResponse")
_UNIT = {"name": "unit", "min": 1}

_DURATION = {
    "is": "string",
    "pattern": r"P(?=.)([0-9]+Y)?([0-9]+M)?([0-9]+W)?([0-9]+D)?(T(?=.)([0-9]+H)?([0-9]+M)?([0-9]+(\.[0-9]+)?S)?)?",
    "asked": "give a duration such as 'PT15S'",
}
_TEXT = {"is": "string"}


class _Added(NamedTuple):
    """A type of an extension: `on` which classes it stands, which properties it must and may have, which `schema` it
    asks for, and which other type it `needs` beside it."""

    extension: str
    versions: tuple[int, ...]
    name: str
    on: tuple[str, ...]
    must: Mapping[str, Rule] = {}
    may: Mapping[str, Rule] = {}
    schema: tuple[str, ...] = ()
    needs: str | None = None


_ADDED = (
    _Added("annotation", (1, 2), "ValueAnnotation", ("Telemetry", "Property"), {"annotates": _TEXT}),
    _Added("historization", (1, 2), "Historized", ("Telemetry", "Property")),
    _Added("initialization", (1, 2), "Initialized", ("Property",), may={"initialValue": {}}),
    _Added("mqtt", (1, 2, 3, 4), "Idempotent", ("Command",)),
    _Added("mqtt", (1, 2, 3, 4), "Cacheable", ("Command",), {"ttl": _DURATION}, needs="Idempotent"),
    _Added("mqtt", (2, 3, 4), "Transparent", ("CommandRequest", "CommandResponse", "Telemetry"), schema=("Object",)),
    _Added("overriding", (1, 2), "Override", ("Property",), {"overrides": _TEXT}),
    _Added("requirement", (1,), "Required", ("Field", "Property", "Relationship", "Telemetry")),
)
PARTLY_KNOWN = ("initialization", "mqtt")
"""Extensions that have types which are not declared here."""


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
    known = {(each.extension, version) for each in _ADDED for version in each.versions}
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
    for each in _ADDED:
        for version in each.versions:
            rules = {**{name: {**rule, "min": 1} for name, rule in each.must.items()}, **each.may}
            props = {identifier(each.extension, version, name): {"name": name, **rule} for name, rule in rules.items()}
            yield identifier(each.extension, version, each.name), {
                "on": each.on, "in": (3, 4), "props": props, "needs": each.needs,
                "schema": each.schema or None}  # fmt: skip
