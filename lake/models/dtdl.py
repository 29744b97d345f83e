"""DTDL documents: Interfaces of version 2 and 3 read from JSON.

Belongs here: finding the Interfaces in a document, checking identifiers, names and references, and what an Interface
contains once its `extends` are followed. Shapes of values are in `dtdl_schemas`; what becomes a column is in
`telemetry`; where documents are kept is in `models`.
"""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Literal, NoReturn

from lake.models.dtdl_check import checked
from lake.models.dtdl_schemas import (
    Schema,
    describe,
    element_name,
    localized_text,
    object_list,
    optional_text,
    parse_schema,
    refuse_same_names,
    string_list,
)
from runtime.errors import ModelError

Kind = Literal["Telemetry", "Property", "Command", "Relationship", "Component"]
_KINDS: tuple[Kind, ...] = ("Telemetry", "Property", "Command", "Relationship", "Component")

MAX_EXTENDS_DEPTH = 12
"""DTDL v4's limit on Interfaces that extend Interfaces (v2 and v3 allow 10)."""

_SEGMENT = r"(?:_+[A-Za-z0-9]|[A-Za-z])(?:[A-Za-z0-9_]*[A-Za-z0-9])?"
_DTMI = re.compile(rf"dtmi:{_SEGMENT}(?::{_SEGMENT})*(?:;([1-9]\d{{0,8}})(?:\.([1-9]\d{{0,5}}))?)?")
_MAX_DTMI_CHARACTERS = 2048
_TELEMETRY_KEYS = frozenset({"@type", "@id", "name", "displayName", "description", "comment", "schema", "unit"})
_SCHEMA_TYPES = ("Object", "Enum", "Array", "Map")


@dataclass(frozen=True)
class Content:
    """One entry of an Interface's contents.

    `schema`, `unit` and `ignored_keys` are of a telemetry, `target` is the DTMI of a component's Interface.
    """

    kind: Kind
    name: str
    description: str
    schema: Schema | None = None
    unit: str | None = None
    target: str | None = None
    ignored_keys: tuple[str, ...] = ()


@dataclass(frozen=True)
class Declaration:
    """One Interface as declared: `raw` is its JSON object, `origin` the file that it was read from."""

    model_id: str
    raw: Mapping[str, object] = field(repr=False)
    origin: str
    display_name: str
    description: str
    extends: tuple[str, ...]
    components: tuple[str, ...]

    def is_same_as(self, other: "Declaration") -> bool:
        """True when both say the same, whatever the file, the spacing and the order of keys."""
        return canonical_json(self.raw) == canonical_json(other.raw)


def canonical_json(value: object) -> str:
    """One text for one value: sorted keys, no spaces."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def dtmi_version(model_id: str) -> tuple[int, int]:
    """`dtmi:a:b;2` -> (2, 0); a DTMI without a version is (0, 0)."""
    match = _DTMI.fullmatch(model_id)
    return (int(match.group(1) or 0), int(match.group(2) or 0)) if match else (0, 0)


def dtmi_family(model_id: str) -> str:
    """The DTMI without its version: `dtmi:a:b;2` -> `dtmi:a:b`."""
    return model_id.split(";")[0]


def require_dtmi(value: object, where: str) -> str:
    """`value` if it is a DTMI; raises ModelError if not."""
    if isinstance(value, str) and len(value) <= _MAX_DTMI_CHARACTERS and _DTMI.fullmatch(value):
        return value
    raise ModelError(f"{where} is {value!r}, which is not a DTMI: write it like 'dtmi:example:thermostat;1'.")


def parse_json(text: bytes, origin: str) -> object:
    """Strict JSON: UTF-8, no key twice, no NaN, no half of a character.

    Raises ModelError naming `origin` and the place.
    """

    def no_constant(name: str) -> NoReturn:
        raise ModelError(f"{origin} contains {name}, which is not JSON: give a number or null.")

    def no_key_twice(pairs: list[tuple[str, object]]) -> dict[str, object]:
        found = dict(pairs)
        if len(found) < len(pairs):
            keys = [key for key, _ in pairs]
            raise ModelError(f"{origin} has the key {max(keys, key=keys.count)!r} twice in one object: remove one.")
        return found

    try:
        parsed: object = json.loads(
            text.decode("utf-8-sig"), parse_constant=no_constant, object_pairs_hook=no_key_twice
        )
        canonical_json(parsed).encode()
    except UnicodeEncodeError as error:
        half = error.object[error.start]
        raise ModelError(f"{origin} has {half!r}, half of a character: write the whole one.") from error
    except UnicodeDecodeError as error:
        raise ModelError(f"{origin} is no text in UTF-8, as JSON is: save it as UTF-8.") from error
    except (ValueError, RecursionError) as error:
        raise ModelError(f"{origin} is not JSON: {error}.") from error
    return parsed


def read_declarations(text: bytes, origin: str, is_known: bool = False) -> dict[str, Declaration]:
    """Every Interface of a document by DTMI, those nested in `extends` and component schemas too.

    A document is an Interface, a list of them, or an object with a `@graph`. One that `is_known` was taken before, and
    is read as it is where it breaks a rule of the language that was not asked for then. Raises ModelError.
    """
    document = parse_json(text, origin)
    if isinstance(document, dict) and "@graph" in document:
        context = document.get("@context")
        top = [{"@context": context, **entry} for entry in object_list(document["@graph"], f"@graph of {origin}")]
    else:
        top = object_list(document, origin)
    if not top:
        raise ModelError(f"{origin} declares no Interface.")
    try:
        top = checked(top)
    except RecursionError as error:
        raise ModelError(f"{origin} nests or extends elements too deeply to be read: flatten it.") from error
    except ModelError as error:
        if not is_known:
            raise ModelError(f"{origin} is not DTDL: {error}") from error
    declarations: dict[str, Declaration] = {}
    for raw in top:
        for declaration in _interfaces_within(raw, origin):
            known = declarations.setdefault(declaration.model_id, declaration)
            if not known.is_same_as(declaration):
                raise ModelError(f"{declaration.model_id} is declared twice in {origin}, and not alike.")
    return declarations


def _interfaces_within(raw: dict[str, object], origin: str) -> Iterator[Declaration]:
    model_id = require_dtmi(raw.get("@id"), f"@id of an Interface in {origin}")
    if "Interface" not in string_list(raw.get("@type"), f"@type of {model_id}"):
        raise ModelError(f"{model_id} in {origin} has @type {raw.get('@type')!r}: only an Interface can be declared.")
    extends = []
    bases = raw.get("extends")
    for base in bases if isinstance(bases, list) else [] if bases is None else [bases]:
        base_id, nested = _reference(base, f"extends of {model_id}")
        extends.append(base_id)
        if nested is not None:
            yield from _interfaces_within(nested, origin)
    components = []
    for content in object_list(raw.get("contents"), f"contents of {model_id}"):
        if _kind(content, model_id) == "Component":
            component_id, nested = _reference(content.get("schema"), f"the schema of a component of {model_id}")
            components.append(component_id)
            if nested is not None:
                yield from _interfaces_within(nested, origin)
    yield Declaration(
        model_id=model_id,
        raw=raw,
        origin=origin,
        display_name=localized_text(raw.get("displayName"), f"displayName of {model_id}"),
        description=localized_text(raw.get("description"), f"description of {model_id}"),
        extends=tuple(extends),
        components=tuple(components),
    )


def _reference(value: object, where: str) -> tuple[str, dict[str, object] | None]:
    """The DTMI that `value` is or has, and the Interface that it holds, if it holds one."""
    if isinstance(value, dict):
        return require_dtmi(value.get("@id"), where), None if set(value) == {"@id"} else value
    return require_dtmi(value, where), None


def _kind(content: Mapping[str, object], model_id: str) -> Kind:
    types = string_list(content.get("@type"), f"@type of {content.get('name')!r} in {model_id}")
    kinds = [kind for kind in _KINDS if kind in types]
    if len(kinds) != 1:
        raise ModelError(
            f"{content.get('name')!r} in {model_id} has @type {content.get('@type')!r}: "
            f"give exactly one of {', '.join(_KINDS)}, and semantic types beside it if any."
        )
    return kinds[0]


class Library:
    """Declarations that may refer to each other, with the schemas that they name."""

    def __init__(self, declarations: Mapping[str, Declaration]) -> None:
        self.declarations = declarations
        self._schemas: dict[str, Mapping[str, object]] = {}
        for declaration in declarations.values():
            for raw in object_list(declaration.raw.get("schemas"), f"schemas of {declaration.model_id}"):
                require_dtmi(raw.get("@id"), f"@id of a schema of {declaration.model_id}")
            self._schemas.update(_schemas_within(declaration.raw))

    def lineage(self, model_id: str) -> tuple[str, ...]:
        """`model_id` and all it extends, bases first, each once. Raises ModelError for a cycle or a missing base."""
        return tuple(dict.fromkeys(self._lineage(model_id, ())))

    def _lineage(self, model_id: str, below: tuple[str, ...]) -> Iterator[str]:
        if model_id in below:
            raise ModelError(f"{model_id} extends itself: {' -> '.join((*below, model_id))}.")
        if len(below) > MAX_EXTENDS_DEPTH:
            raise ModelError(f"{below[0]} extends more than {MAX_EXTENDS_DEPTH} levels deep: {' -> '.join(below)}.")
        if model_id not in self.declarations:
            user = self.declarations[below[-1]]
            raise ModelError(
                f"{user.model_id} in {user.origin} extends {model_id}, which is not declared: "
                "give its file, too, put it in the same file (as a list), or add its file first."
            )
        for base in self.declarations[model_id].extends:
            yield from self._lineage(base, (*below, model_id))
        yield model_id

    def used_by(self, model_id: str) -> tuple[str, ...]:
        """`model_id` and every declared Interface that it extends or has as a component, at any depth, sorted."""
        found: set[str] = set()
        waiting = [model_id]
        while waiting:
            name = waiting.pop()
            if name in self.declarations and name not in found:
                found.add(name)
                waiting.extend((*self.declarations[name].extends, *self.declarations[name].components))
        return tuple(sorted(found))

    def contents(self, model_id: str) -> tuple[Content, ...]:
        """All that `model_id` contains, what it extends first. Raises ModelError."""
        contents = [
            self._content(raw, ancestor)
            for ancestor in self.lineage(model_id)
            for raw in object_list(self.declarations[ancestor].raw.get("contents"), f"contents of {ancestor}")
        ]
        names = [content.name for content in contents]
        for name in names:
            if names.count(name) > 1:
                raise ModelError(f"{name!r} is declared twice in the contents of {model_id}: rename one.")
        refuse_same_names([each.name for each in contents if each.schema is not None], f"the telemetry of {model_id}")
        return tuple(contents)

    def _content(self, raw: Mapping[str, object], model_id: str) -> Content:
        kind = _kind(raw, model_id)
        name = element_name(raw, f"a {kind.lower()} of {model_id}")
        where = f"{kind.lower()} {name!r} of {model_id}"
        description = describe(raw, where)
        if kind == "Component":
            return Content(kind, name, description, target=_reference(raw.get("schema"), where)[0])
        if kind != "Telemetry":
            return Content(kind, name, description)
        return Content(
            kind,
            name,
            description,
            schema=parse_schema(raw.get("schema"), self._schemas, where),
            unit=optional_text(raw, "unit", where),
            ignored_keys=tuple(sorted(set(raw) - _TELEMETRY_KEYS)),
        )


def _schemas_within(value: object) -> Iterator[tuple[str, Mapping[str, object]]]:
    if isinstance(value, list):
        for item in value:
            yield from _schemas_within(item)
    if isinstance(value, dict):
        kind = value.get("@type")
        is_schema = any(item in _SCHEMA_TYPES for item in (kind if isinstance(kind, list) else [kind]))
        if is_schema and isinstance(value.get("@id"), str):
            yield str(value["@id"]), value
        for item in value.values():
            yield from _schemas_within(item)
