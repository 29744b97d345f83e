"""Types of DTDL elements: the one class that each has, and the types that may stand beside it.

Belongs here: `@type` as written, which class may stand where, and what semantic types ask of an element: a property
more, a unit of their quantity, a kind of schema. The walk through a document is in `dtdl_check`.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from lake.models.dtdl_classes import Rule
from lake.models.dtdl_context import Context
from lake.models.dtdl_extensions import identifier, is_quantity
from lake.models.dtdl_literals import literal
from lake.models.dtdl_rules import RESERVED, class_rule, element, family, is_dtmi, supplement
from lake.models.hints import hint
from runtime.errors import ModelError

_TERM = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_CLASS = re.compile(r"dtmi:dtdl:class:([A-Za-z]+);([0-9]+)")


@dataclass(frozen=True)
class Types:
    """The class of an element, the identifiers of the types beside it, and whether there are some that are not known,
    which may bring any property."""

    kind: str
    beside: tuple[str, ...] = ()
    is_open: bool = False

    def added(self) -> dict[str, Rule]:
        """The properties that the types beside the class bring, by identifier."""
        found: dict[str, Rule] = {}
        for name in self.beside:
            for key, rule in (supplement(name) or {}).get("props", {}).items():
                found.setdefault(key, rule)
        return found


def types_of(raw: Mapping[str, Any], rule: Rule, context: Context, where: str) -> Types:
    """The types of an element that stands where `rule` says. Raises ModelError."""
    if "@type" not in raw:
        if not rule.get("untyped"):
            raise ModelError(f"{where} has no @type: give one.")
        require_class(str(rule["of"]), context.version, rule, where)
        return Types(str(rule["of"]))
    given = raw["@type"]
    names = given if isinstance(given, list) else [given]
    if not names or not all(isinstance(each, str) for each in names):
        raise ModelError(f"{where} has @type {given!r}: give a type, or a list of types.")
    classes: set[tuple[str, int]] = set()
    beside: list[str] = []
    is_open = False
    for name in names:
        meaning = context.meaning(name) or _quantity(name, context)
        class_ = _CLASS.fullmatch(meaning or "")
        if class_ is not None and class_rule(class_.group(1), int(class_.group(2))):
            classes.add((class_.group(1), int(class_.group(2))))
        elif meaning is not None and supplement(meaning) is not None:
            beside.append(meaning)
        elif _may_be_unknown(name, meaning, context):
            is_open = True
        else:
            types = (term for term, known in context.terms.items() if ":property:" not in known and term[0].isupper())
            raise ModelError(f"{where} has the type {name!r}, which is not known{hint(name, types)}")
    if len(classes) != 1:
        expected = f"exactly one class of DTDL, here {rule['of']}"
        raise ModelError(f"{where} has @type {given!r}: give {expected}, and semantic types beside it if any.")
    kind, version = classes.pop()
    if version != context.version:
        raise ModelError(f"{where} is {kind} of version {version} in a document of version {context.version}.")
    require_class(kind, version, rule, where)
    quantities = [_short(each) for each in beside if is_quantity(each)]
    if len(set(quantities)) > 1:
        raise ModelError(f"{where} has the types {' and '.join(quantities)}: it can be of one quantity only.")
    for each in beside:
        _require_beside(each, kind, version, beside, where)
    return Types(kind, tuple(beside), is_open)


def plain_types(given: Any) -> Any:
    """Types as written, classes by their names."""
    if isinstance(given, list):
        return [plain_types(each) for each in given]
    class_ = _CLASS.fullmatch(given)
    return class_.group(1) if class_ else given


def require_class(kind: str, version: int, rule: Rule, where: str) -> None:
    """Raise ModelError where a class does not belong."""
    found = class_rule(kind, version)
    if found is None or rule["of"] not in found["kin"] or version not in rule.get("versions", (version,)):
        raise ModelError(f"{where} is {kind} of version {version}: only {_article(rule['of'])} can stand there.")


def require_added(value: object, rule: Rule, context: Context, where: str) -> object:
    """The value of a property that a type beside the class brings; a unit is one of its quantity."""
    items = value if isinstance(value, list) else [value]
    if not items or any(each is None for each in items):
        raise ModelError(f"{where} is {value!r}: give a value.")
    if "is" in rule:
        found = literal(value, rule["is"], where)
        if "pattern" in rule and not re.fullmatch(rule["pattern"], found):
            raise ModelError(f"{where} is {found!r}: {rule['asked']}.")
        return found
    wanted = rule.get("unit")
    if wanted is None:
        return value
    if len(items) != 1 or not isinstance(items[0], str):
        raise ModelError(f"{where} is {value!r}: give the name of a unit.")
    if _short(context.meaning(items[0]) or items[0]) not in family(*wanted):
        units = ", ".join(family(*wanted))
        raise ModelError(f"{where} is {items[0]!r}, which is no unit of its type: {wanted[0]} has {units}.")
    return items[0]


def require_schema(types: Types, schema: object, context: Context, where: str) -> None:
    """Raise ModelError where a type beside the class asks for another kind of schema: a temperature is a number."""
    for name in types.beside:
        wanted = (supplement(name) or {}).get("schema")
        kin = None if wanted is None else _kin_of_schema(schema, context)
        if kin is not None and not set(wanted or ()) & kin:
            raise ModelError(f"{where} has the type {_short(name)}, whose schema is {' or '.join(wanted or ())}.")


def _kin_of_schema(schema: object, context: Context) -> set[str] | None:
    """All that a schema is a kind of; None where it is declared elsewhere."""
    if isinstance(schema, dict):
        kind: str | None = types_of(schema, {"of": "Entity"}, context, "schema").kind
    else:
        kind = (element(context.meaning(str(schema)) or "") or (None,))[0]
    rule = None if kind is None else class_rule(kind, context.version)
    return set(rule["kin"]) if rule else None


def _may_be_unknown(name: str, meaning: str | None, context: Context) -> bool:
    """True for a type that an extension which is not known may have."""
    if not (is_dtmi(name, 3) or (_TERM.fullmatch(name) if context.version > 2 else not name.startswith("dtmi:"))):
        return False
    if meaning is None or (name == meaning and not meaning.startswith(RESERVED)):
        return context.version == 2 or context.is_open
    return context.is_open


def _require_beside(dtmi: str, kind: str, version: int, beside: list[str], where: str) -> None:
    rule = supplement(dtmi) or {}
    if kind not in rule["on"] or version not in rule["in"]:
        raise ModelError(f"{where} has the type {_short(dtmi)}, which {kind} of version {version} does not take.")
    needed = rule.get("needs")
    if needed is not None and needed not in map(_short, beside):
        raise ModelError(f"{where} has the type {_short(dtmi)} without {needed}: give both.")


def _quantity(name: str, context: Context) -> str | None:
    """A semantic type where a document of version 3 or 4 leaves out the extension that has it."""
    dtmi = identifier("quantitativeTypes", context.version - 2, name)
    return dtmi if supplement(dtmi) is not None else None


def _short(dtmi: str) -> str:
    return dtmi.rpartition(":")[2].partition(";")[0]


def _article(name: str) -> str:
    return f"{'an' if name[0] in 'AEIO' else 'a'} {name}"
