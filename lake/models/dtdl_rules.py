"""The DTDL language answered from: what an identifier, a term, a class and a type beside a class are, by version.

Belongs here: identifiers and terms, and the way from them to the tables in `dtdl_classes`, `dtdl_extensions` and
`dtdl_quantities`; checking documents against those is in `dtdl_check`.
"""

import functools
import re
from collections.abc import Mapping

from lake.models import dtdl_extensions
from lake.models.dtdl_classes import ABSTRACT, COMMAND_TYPES, GEOSPATIAL, VERSIONS, Rule, classes, primitives
from lake.models.dtdl_quantities import units

DTDL_CONTEXT = re.compile(r"dtmi:dtdl:context;([1-9][0-9]*)(?:\.[0-9]+)?(#[A-Za-z0-9_]*)?")
IOT_CENTRAL = "dtmi:iotcentral:context;2"
RESERVED = ("dtmi:dtdl:", "dtmi:standard:")
_SEGMENT = r"[A-Za-z](?:[A-Za-z0-9_]*[A-Za-z0-9])?"
_DTMI_2 = re.compile(rf"dtmi:{_SEGMENT}(?::{_SEGMENT})*;[1-9][0-9]{{0,8}}")
_DTMI_3 = re.compile(rf"dtmi:{_SEGMENT}(?::{_SEGMENT})*(?:;[1-9][0-9]{{0,8}}(?:\.[1-9][0-9]{{0,5}})?)?")
_BUILT_IN = re.compile(r"dtmi:standard:(?:class|unit):([A-Za-z0-9]+);2|dtmi:dtdl:property:(unit);2")
_OF_EXTENSION = re.compile(r"dtmi:dtdl:extension:([A-Za-z0-9]+):v([0-9]+):(?:[A-Za-z0-9]+:)*([A-Za-z0-9]+)")
_FAMILY = re.compile(r"dtmi:dtdl:extension:quantitativeTypes:v([12]):([A-Za-z]+Unit)")
_STANDARD = "dtmi:standard:schema:geospatial:{};{}"


def is_dtmi(text: str, version: int) -> bool:
    """True for an identifier as that version of the language writes it."""
    return bool((_DTMI_2 if version == 2 else _DTMI_3).fullmatch(text))


def canonical(dtmi: str) -> str:
    """An identifier as it is called here: version 2 has built in what later ones have as an extension."""
    if built_in := _BUILT_IN.fullmatch(dtmi):
        return dtdl_extensions.identifier("quantitativeTypes", 1, built_in.group(1) or built_in.group(2))
    if of_extension := _OF_EXTENSION.fullmatch(dtmi):
        extension, version, name = of_extension.groups()
        return dtdl_extensions.identifier(extension, int(version), name)
    return dtmi


def class_rule(name: str, version: int) -> Rule | None:
    """What a class is: `kin` (itself and what it is a kind of), `props`, and `id` where it needs one."""
    return classes(version).get(name) if version in VERSIONS else None


@functools.cache
def contexts() -> Mapping[str, Mapping[str, str]]:
    """The terms of each context that is known, with what each stands for."""
    found = {f"dtmi:dtdl:context;{version}": _language_terms(version) for version in VERSIONS}
    found["dtmi:dtdl:context;2"] |= _extension_terms("quantitativeTypes", 1)
    for name, version in dtdl_extensions.extensions():
        found[f"dtmi:dtdl:extension:{name};{version}"] = _extension_terms(name, version)
    found[IOT_CENTRAL] = {name: f"dtmi:iotcentral:schema:{name};2" for name in ("geopoint", "vector")}
    return found


def _language_terms(version: int) -> dict[str, str]:
    named = classes(version)
    return {
        **{name: f"dtmi:dtdl:class:{name};{version}" for name in (*named, *ABSTRACT)},
        **{name: f"dtmi:dtdl:property:{name};{version}" for rule in named.values() for name in rule["props"]},
        **{dtmi.rpartition(":")[2].partition(";")[0]: dtmi for dtmi in _elements(version)},
    }


def _extension_terms(extension: str, version: int) -> dict[str, str]:
    names = dtdl_extensions.terms(extension, version)
    return {name: dtdl_extensions.identifier(extension, version, name) for name in names}


def supplement(dtmi: str) -> Rule | None:
    """A type that may stand beside a class: `on` which classes, `in` which versions, `props`, `schema`."""
    return dtdl_extensions.types().get(dtmi)


@functools.cache
def _elements(version: int) -> Mapping[str, str]:
    found = {f"dtmi:dtdl:instance:Schema:{_small(name)};{version}": name for name in primitives(version)}
    found |= {_STANDARD.format(name, version): "Object" for name in GEOSPATIAL}
    found |= {f"dtmi:dtdl:instance:CommandType:{name};{version}": "CommandType" for name in COMMAND_TYPES}
    if version == 2:
        found |= dict.fromkeys(("dtmi:iotcentral:schema:geopoint;2", "dtmi:iotcentral:schema:vector;2"), "Object")
    return found


def element(dtmi: str) -> tuple[str, int] | None:
    """The class and version of an element of the language itself, such as `double`; None for another."""
    for version in VERSIONS:
        if dtmi in _elements(version):
            return _elements(version)[dtmi], version
    # the units of a quantity, as a schema
    listed = _FAMILY.fullmatch(dtmi)
    return ("Enum", int(listed[1]) + 2) if listed and family(listed[2], int(listed[1])) else None


def family(name: str, version: int) -> tuple[str, ...]:
    """The names of the units of a family, of a version of QuantitativeTypes."""
    return units(version).get(name, ())


def _small(name: str) -> str:
    return name[0].lower() + name[1:]
