"""DTDL documents held against the language: every element, whether or not it becomes a column.

Belongs here: the walk through a document, its properties, identifiers and references; its elements come out in the
plain spelling that the rest of the reader takes. The language itself is in `dtdl_rules`, types in `dtdl_types`,
literals in `dtdl_literals`, contexts in `dtdl_context`.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from lake.models.dtdl_classes import VERSIONS, Rule
from lake.models.dtdl_context import Context, context_of
from lake.models.dtdl_literals import literal, texts
from lake.models.dtdl_relations import require_sound
from lake.models.dtdl_rules import RESERVED, class_rule, element, family, is_dtmi
from lake.models.dtdl_types import Types, plain_types, require_added, require_class, require_schema, types_of
from lake.models.hints import hint
from runtime.errors import ModelError

_MAX_ID, _MAX_INTERFACE_ID = 2048, 128
_OF_SCHEMAS = ("dtmi:dtdl:instance:Schema:", "dtmi:standard:schema:", "dtmi:iotcentral:schema:")
_KEYWORDS = ("@context", "@id", "@type")
_PROPERTY = re.compile(r"dtmi:dtdl:property:([A-Za-z]+);[0-9]+")
_TOP = {"of": "Interface", "versions": VERSIONS}


def checked(documents: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The Interfaces of a document, in plain spelling. Raises ModelError for whatever is not DTDL."""
    checker = _Checker()
    plain = [checker.embedded(raw, _TOP, None, f"{raw.get('@id', 'an Interface')}") for raw in documents]
    checker.finish()
    return plain


@dataclass
class _Checker:
    """Walks one document; `elements` are those with an identifier, as class, version and plain spelling."""

    elements: dict[str, tuple[str, int, Mapping[str, Any]]] = field(default_factory=dict)
    references: list[tuple[str, Rule, str]] = field(default_factory=list)

    def finish(self) -> None:
        """Check what the elements refer to. An Interface may be in another document."""
        for target, rule, where in self.references:
            if target in self.elements:
                require_class(*self.elements[target][:2], rule, where)
            elif rule["of"] != "Interface":
                raise ModelError(f"{where} is {target!r}, which is neither a DTDL schema nor declared in its document.")
        require_sound(self.elements)

    def embedded(self, raw: dict[str, Any], rule: Rule, outer: Context | None, where: str) -> dict[str, Any]:
        """One element that stands where `rule` says."""
        context = context_of(raw["@context"], outer, f"@context of {where}") if "@context" in raw else outer
        if context is None:
            raise ModelError(f"{where} has no @context: give 'dtmi:dtdl:context;2' or a later one.")
        for key in raw:
            if key.startswith("@") and key not in _KEYWORDS and (context.version > 2 or key == "@graph"):
                raise ModelError(f"{where} has {key}: only {', '.join(_KEYWORDS)} may stand there.")
        types = types_of(raw, rule, context, where)
        identity = _identity(raw, types.kind, rule, context.version, where)
        plain: dict[str, Any] = {key: raw[key] for key in ("@context", "@id") if key in raw}
        if "@type" in raw:
            plain["@type"] = plain_types(raw["@type"])
        self._properties(raw, plain, types, context, where)
        require_schema(types, plain.get("schema"), context, where)
        if types.kind == "Enum":
            _require_enum(plain, where)
        if (
            identity is not None
            and self.elements.setdefault(identity, (types.kind, context.version, plain))[2] != plain
        ):
            raise ModelError(f"{identity} is declared twice in its document, and not alike.")
        return plain

    def _properties(self, raw: Mapping[str, Any], plain: dict[str, Any], types: Types, context: Context,
                    where: str) -> None:  # fmt: skip
        own = _rule_of(types.kind, context.version)["props"]
        added = types.added()
        by_name = {rule["name"]: dtmi for dtmi, rule in added.items()}
        for key, value in raw.items():
            if key.startswith("@"):
                continue
            meaning = context.meaning(key) or by_name.get(key)
            declared = _PROPERTY.fullmatch(meaning or "")
            name = declared.group(1) if declared else key
            if meaning in added:
                plain[added[meaning]["name"]] = require_added(value, added[meaning], context, f"{name} of {where}")
            elif declared and name in own:
                if name in plain:
                    raise ModelError(f"{where} has {name} twice.")
                found = self._property(value, own[name], context, f"{name} of {where}")
                if found is not None:
                    plain[name] = found
            elif _may_stand(key, meaning, value, types, context):
                plain[key] = value
            else:
                known = hint(key, (*own, *by_name))
                raise ModelError(
                    f"{where} has {key!r}, which {types.kind} of version {context.version} does not have{known}"
                )
        for name, rule in (*own.items(), *((each["name"], each) for each in added.values())):
            if _count(plain.get(name)) < rule.get("min", 0):
                of = f" of {', '.join(family(*rule['unit']))}" if "unit" in rule else ""
                raise ModelError(f"{where} has no {name}: give one{of}.")

    def _property(self, value: object, rule: Rule, context: Context, where: str) -> object:
        if value is None:
            raise ModelError(f"{where} is null: give a value, or leave it out.")
        if rule.get("is") == "langString":
            limit = None if context.is_limitless else rule.get("length")
            by_language = texts(value, limit, where, context.version > 2)
            return value if isinstance(value, str) else by_language or None
        if "is" in rule:
            found = literal(value, rule["is"], where, context.version > 2)
            _require_literal(found, rule, context, where)
            return found
        items = value if isinstance(value, list) else [value]
        if len(items) > rule.get("max", len(items)):
            raise ModelError(f"{where} has {len(items)} values: at most {rule['max']} are allowed.")
        elements = [self._object(item, rule, context, where) for item in items]
        for name in rule.get("unique", ()):
            known = [str(each[name]) for each in elements if isinstance(each, dict) and name in each]
            twice = next((each for each in known if known.count(each) > 1), None)
            if twice is not None:
                raise ModelError(f"The {name} {twice!r} is declared twice in {where}: rename one.")
        return elements if rule.get("many") or not elements else elements[0]

    def _object(self, item: object, rule: Rule, context: Context, where: str) -> object:
        if isinstance(item, dict) and set(item) == {"@id"}:
            item = item["@id"]
        if isinstance(item, str):
            return self._reference(item, rule, context, where)
        if not isinstance(item, dict) or rule.get("uris") or not rule["of"]:
            raise ModelError(
                f"{where} is {item!r}, which is not a DTMI{'' if rule.get('uris') else ' nor an element'}."
            )
        name = item.get("name")
        return self.embedded(item, rule, context, f"{name!r} in {where}" if isinstance(name, str) else where)

    def _reference(self, item: str, rule: Rule, context: Context, where: str) -> str:
        meaning = context.meaning(item)
        if meaning is None or not is_dtmi(meaning, context.version) or len(meaning) > _MAX_ID:
            known = hint(item, _schemas(context) if rule["of"] == "Schema" else (), 30)
            raise ModelError(f"{where} is {item!r}, which is not a DTMI, neither a DTDL schema nor declared{known}")
        if rule.get("uris") and meaning not in rule["uris"]:
            raise ModelError(f"{where} is {item!r}: give one of {', '.join(rule['values'])}.")
        built_in = element(meaning)
        if built_in is not None and rule["of"]:
            require_class(*built_in, rule, where)
        elif rule["of"]:
            if meaning.startswith(RESERVED):
                raise ModelError(f"{where} is {item!r}, which the language does not have.")
            self.references.append((meaning, rule, where))
        return item


def _schemas(context: Context) -> list[str]:
    """The names of the schemas of the language, without those that list units."""
    return [term for term, meaning in context.terms.items() if meaning.startswith(_OF_SCHEMAS)]


def _rule_of(kind: str, version: int) -> Rule:
    rule = class_rule(kind, version)
    assert rule is not None  # types_of has looked
    return rule


def _identity(raw: Mapping[str, Any], kind: str, rule: Rule, version: int, where: str) -> str | None:
    if "@id" not in raw:
        if rule.get("id") or _rule_of(kind, version).get("id"):
            raise ModelError(f"{where} has no @id, or one that is not a DTMI: write it like 'dtmi:example:thing;1'.")
        return None
    value = raw["@id"]
    if not isinstance(value, str) or not is_dtmi(value, version) or len(value) > _MAX_ID:
        raise ModelError(f"{where} has the @id {value!r}, which is not a DTMI: write it like 'dtmi:example:thing;1'.")
    if kind == "Interface" and len(value) > _MAX_INTERFACE_ID:
        raise ModelError(f"{where} has an @id of {len(value)} characters: an Interface may have {_MAX_INTERFACE_ID}.")
    if value.startswith(RESERVED):
        raise ModelError(f"{where} has the @id {value!r}, which the language keeps for itself.")
    return value


def _may_stand(key: str, meaning: str | None, value: object, types: Types, context: Context) -> bool:
    """True for a property that is not of the language: version 2 ignores those, an unknown type may bring them."""
    if context.version == 2 and (meaning is None or types.is_open or not meaning.startswith(RESERVED)):
        return True
    if types.is_open and (context.is_open or meaning is None):
        return True
    # many models name a unit without saying of which quantity
    return key == "unit" and isinstance(value, str) and not types.added()


def _require_literal(value: Any, rule: Rule, context: Context, where: str) -> None:
    if value is None:
        return
    if not context.is_limitless and len(value if isinstance(value, str) else "") > rule.get("length", _MAX_ID):
        raise ModelError(f"{where} has {len(value)} characters: at most {rule['length']} are allowed.")
    if "pattern" in rule and not re.fullmatch(rule["pattern"], value):
        raise ModelError(
            f"{where} is {value!r}: a name is letters, digits and underscores, starts with a letter and does not end "
            "with an underscore."
        )
    if value < rule.get("least", value) or value != rule.get("value", value):
        raise ModelError(f"{where} is {value}: {rule.get('value', rule.get('least'))} is the least that it may be.")


def _require_enum(plain: Mapping[str, Any], where: str) -> None:
    schema = str(plain.get("valueSchema", "")).rpartition(":")[2].partition(";")[0]
    expected = {"integer": int, "string": str}.get(schema)
    for each in plain.get("enumValues") or ():
        if isinstance(each, dict) and expected is not None and type(each.get("enumValue")) is not expected:
            raise ModelError(
                f"The enum {where} has the value {each.get('enumValue')!r}, which is not of type {schema}."
            )


def _count(value: object) -> int:
    return len(value) if isinstance(value, list) else 0 if value is None else 1
