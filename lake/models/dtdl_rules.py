"""The DTDL language as data: classes and their properties, terms, semantic types and units, by version.

Belongs here: reading `dtdl_rules.json` and answering from it. The file states what the language's public definition
(version 2 to 4, with the extensions by its authors) allows, and is made by `bench.dtdl_conformance`; checking documents
against it is in `dtdl_check`.
"""

import functools
import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

Rule = Mapping[str, Any]

DTDL_CONTEXT = re.compile(r"dtmi:dtdl:context;([1-9][0-9]*)(?:\.[0-9]+)?(#[A-Za-z0-9_]*)?")
RESERVED = ("dtmi:dtdl:", "dtmi:standard:")
_SEGMENT = r"[A-Za-z](?:[A-Za-z0-9_]*[A-Za-z0-9])?"
_DTMI_2 = re.compile(rf"dtmi:{_SEGMENT}(?::{_SEGMENT})*;[1-9][0-9]{{0,8}}")
_DTMI_3 = re.compile(rf"dtmi:{_SEGMENT}(?::{_SEGMENT})*(?:;[1-9][0-9]{{0,8}}(?:\.[1-9][0-9]{{0,5}})?)?")


@functools.cache
def _language() -> dict[str, Any]:
    found: dict[str, Any] = json.loads(Path(__file__).with_name("dtdl_rules.json").read_text(encoding="utf-8"))
    return found


def is_dtmi(text: str, version: int) -> bool:
    """True for an identifier as that version of the language writes it."""
    return bool((_DTMI_2 if version == 2 else _DTMI_3).fullmatch(text))


def class_rule(name: str, version: int) -> Rule | None:
    """What a class is: `kin` (itself and what it is a kind of), `props`, and `id` where it needs one."""
    rule: Rule | None = _language()["classes"].get(str(version), {}).get(name)
    return rule


@functools.cache
def contexts() -> Mapping[str, Mapping[str, str]]:
    """The terms of each context, with what each stands for."""
    return {name: dict(_spelt_out(groups)) for name, groups in _language()["contexts"].items()}


def _spelt_out(groups: Mapping[str, Any]) -> list[tuple[str, str]]:
    return [
        (term, meaning.replace("*", term))
        for meaning, terms in groups.items()
        for term in (terms if isinstance(terms, list) else [terms])
    ]


def supplement(dtmi: str) -> Rule | None:
    """A type that may stand beside a class: `on` which classes, `in` which versions, `props`, `parent`, `schema`."""
    rule: Rule | None = _language()["supplements"].get(dtmi)
    return rule


@functools.cache
def _elements() -> dict[str, tuple[str, ...]]:
    return {dtmi: tuple(types.split()) for types, all_ in _language()["elements"].items() for dtmi in all_}


def element(dtmi: str) -> tuple[str, ...]:
    """The types of an element of the language itself, such as `double` or `metre`; none for another."""
    return _elements().get(dtmi, ())


def family(dtmi: str) -> tuple[str, ...]:
    """The names of the values of an enumeration of the language itself, such as the units of a quantity."""
    return tuple(_language()["families"].get(dtmi, ()))
