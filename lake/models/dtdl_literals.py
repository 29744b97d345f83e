"""Literals of DTDL documents, in every spelling that JSON-LD has: a value, a list of one, an object with `@value`.

Belongs here: reading a text, a number, a truth or a text by language as it is meant. Which literal stands where is in
`dtdl_check`.
"""

import re
from typing import Any

from runtime.errors import ModelError

_LANGUAGE = re.compile(r"[a-z]{2,4}(?:-[A-Z][a-z]{3})?(?:-(?:[A-Z]{2}|[0-9]{3}))?")
_TYPES = {"string": str, "integer": int, "boolean": bool}
_SPELLINGS = {name: (f"xsd:{name}", f"http://www.w3.org/2001/XMLSchema#{name}") for name in _TYPES}
_LARGEST = 2**31
_OF_VALUE, _OF_TEXT = ("@value", "@type"), ("@value", "@language")
_NEVER = ("@context", "@id", "@graph")


def literal(raw: object, kind: str, where: str, is_strict: bool = True) -> Any:
    """The value of a kind (`string`, `integer`, `boolean`, or any of them), None for an empty list.

    `is_strict` refuses keywords beside `@value` and `@type`, which version 2 leaves alone. Raises ModelError.
    """
    items = raw if isinstance(raw, list) else [raw]
    if len(items) > 1:
        raise ModelError(f"{where} has {len(items)} values: give one.")
    for item in items:
        value = _value(item, kind, where, is_strict)
        expected = _TYPES.get(kind)
        right = type(value) is expected if expected else type(value) in (str, int, bool, float)
        if kind == "integer" and isinstance(value, float) and value.is_integer():
            value, right = int(value), True
        if not right or (type(value) is int and not -_LARGEST <= value < _LARGEST and kind == "integer"):
            raise ModelError(f"{where} is {item!r}: give a {kind}.")
        return value
    return None


def _value(item: object, kind: str, where: str, is_strict: bool) -> object:
    if not isinstance(item, dict):
        return item
    if "@value" not in item or any(key not in _OF_VALUE and (is_strict or key in _NEVER) for key in item):
        raise ModelError(f"{where} is {item!r}: give a value, or an object with '@value'.")
    said = item.get("@type")
    if isinstance(said, list) and len(said) == 1:
        said = said[0]
    if "@type" in item and said not in _SPELLINGS.get(kind if kind in _TYPES else _kind_of(item["@value"]), ()):
        raise ModelError(f"{where} has @type {said!r}, which its value does not have.")
    return item["@value"]


def _kind_of(value: object) -> str:
    return next((name for name, type_ in _TYPES.items() if type(value) is type_), "")


def texts(raw: object, limit: int | None, where: str, is_strict: bool = True) -> dict[str, str]:
    """Texts by language code; one without a language is English. Raises ModelError."""
    found: dict[str, str] = {}
    if isinstance(raw, dict):
        pairs: list[tuple[object, object]] = list(raw.items())
    else:
        pairs = [_in_language(item, where, is_strict) for item in (raw if isinstance(raw, list) else [raw])]
    for code, text in pairs:
        if not isinstance(code, str) or not _LANGUAGE.fullmatch(code):
            raise ModelError(f"{where} has the language {code!r}: give a code such as 'en' or 'pt-BR'.")
        if not isinstance(text, str):
            raise ModelError(f"{where} is {text!r}: give a text, or an object of language code to text.")
        if limit is not None and len(text) > limit:
            raise ModelError(f"{where} has {len(text)} characters: at most {limit} are allowed.")
        if code in found:
            raise ModelError(f"{where} has two texts of the language {code!r}: remove one.")
        found[code] = text
    return found


def _in_language(item: object, where: str, is_strict: bool) -> tuple[object, object]:
    if not isinstance(item, dict):
        return "en", item
    if "@value" not in item or any(key not in _OF_TEXT and (is_strict or key in _NEVER) for key in item):
        raise ModelError(f"{where} is {item!r}: give a text, or an object with '@value' and '@language'.")
    return item.get("@language", "en"), item["@value"]
