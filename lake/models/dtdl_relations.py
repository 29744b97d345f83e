"""What the elements of a DTDL document say of each other.

Belongs here: rules that one element alone cannot break: schemas within themselves, components within themselves,
arrays in properties of version 2, and contents that annotate or override their siblings. What an element may say by
itself is in `dtdl_check`.
"""

from collections.abc import Iterator, Mapping
from graphlib import CycleError, TopologicalSorter
from typing import Any

from lake.models.dtdl_classes import GEOSPATIAL
from lake.models.dtdl_quantities import units
from lake.models.dtdl_schemas import MAX_SCHEMA_DEPTH, plain_schema_name
from runtime.errors import ModelError

Elements = Mapping[str, tuple[str, int, Mapping[str, Any]]]
"""Elements that have an identifier: class, version of the language and plain spelling."""


def require_sound(elements: Elements) -> None:
    """Hold the elements of a document against each other. Raises ModelError."""
    depths: dict[str, int] = {}
    _require_apart(elements)
    for dtmi, (kind, version, raw) in elements.items():
        if kind == "Interface":
            _require_annotations(dtmi, elements)
            for where, each in _with_schema(raw, dtmi):
                if version < 4:
                    _require_finite(each["schema"], elements, depths, where)
                if version == 2 and "Property" in _types(each) and _has_array(each["schema"], elements, set()):
                    raise ModelError(f"The schema of {where} has an array: a property of version 2 cannot hold one.")
    # what is declared under `schemas` and used nowhere
    for dtmi, (kind, version, _) in elements.items():
        if version < 4 and kind in ("Array", "Map", "Object"):
            _require_finite(dtmi, elements, depths, dtmi)


def _require_apart(elements: Elements) -> None:
    """Refuse an Interface that has itself as a component, directly or through what it extends and holds."""
    held = {dtmi: set(_components(dtmi, elements)) for dtmi, (kind, *_) in elements.items() if kind == "Interface"}
    try:
        TopologicalSorter(held).prepare()
    except CycleError as error:
        circle = " -> ".join(error.args[1])
        raise ModelError(f"{error.args[1][0]} has itself as a component ({circle}): break the circle.") from error


def _components(dtmi: str, elements: Elements) -> list[str]:
    contents = _contents(dtmi, elements, set())
    return [_identifier(each.get("schema")) for each in contents if "Component" in _types(each)]


def _contents(dtmi: str, elements: Elements, seen: set[str]) -> list[Mapping[str, Any]]:
    """The contents of an Interface and of all that it extends, as far as they are in the document."""
    if dtmi not in elements or dtmi in seen:
        return []
    seen.add(dtmi)
    raw = elements[dtmi][2]
    own = [_resolved(each, elements) for each in _listed(raw.get("contents"))]
    bases = [_identifier(each) for each in _listed(raw.get("extends"))]
    return [*own, *(each for base in bases for each in _contents(base, elements, seen))]


def _require_annotations(dtmi: str, elements: Elements) -> None:
    """A `ValueAnnotation` says something of a telemetry or property beside it, an `Override` replaces its unit."""
    contents = {str(each.get("name")): each for each in _contents(dtmi, elements, set())}
    overridden = set()
    for name, each in contents.items():
        target = contents.get(str(each.get("annotates")))
        if "ValueAnnotation" not in _types(each) or target is None:
            continue
        if not _types(target) & {"Telemetry", "Property"} or "ValueAnnotation" in _types(target):
            raise ModelError(
                f"{name!r} in {dtmi} annotates {target['name']!r}: only a telemetry or property that is "
                "no annotation itself can be annotated."
            )
        if "Override" not in _types(each):
            continue
        replaced = each.get("overrides")
        if replaced != "unit" or "unit" not in target:
            raise ModelError(
                f"{name!r} in {dtmi} overrides {replaced!r} of {target['name']!r}, which has none to replace."
            )
        listed = units(2).get(str(each.get("schema")).rpartition(":")[2], ())
        if str(target["unit"]).rpartition(":")[2].partition(";")[0] not in listed:
            raise ModelError(
                f"{name!r} in {dtmi} overrides the unit of {target['name']!r} with the schema {each.get('schema')!r}, "
                f"which does not list {target['unit']!r}."
            )
        if target["name"] in overridden:
            raise ModelError(f"The unit of {target['name']!r} in {dtmi} is overridden twice: remove one.")
        overridden.add(target["name"])


def _with_schema(raw: object, where: str) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Every element within that has a schema, save Interfaces, which stand for themselves; and where it is."""
    if isinstance(raw, list):
        for each in raw:
            yield from _with_schema(each, where)
    if isinstance(raw, dict):
        place = f"{raw['name']!r} in {where}" if "name" in raw else where
        if "schema" in raw and "Component" not in _types(raw):
            yield place, raw
        for value in raw.values():
            if not (isinstance(value, dict) and "Interface" in _types(value)):
                yield from _with_schema(value, place)


def _require_finite(schema: object, elements: Elements, depths: dict[str, int], where: str) -> None:
    if _depth(schema, elements, depths, (), where) > MAX_SCHEMA_DEPTH:
        raise ModelError(f"The schema of {where} is more than {MAX_SCHEMA_DEPTH} deep: flatten it.")


def _depth(schema: object, elements: Elements, depths: dict[str, int], above: tuple[str, ...], where: str) -> int:
    """How many arrays, maps and objects stand within each other; `depths` are those found before."""
    dtmi = _identifier(schema)
    if dtmi in above:
        raise ModelError(
            f"The schema of {where} holds itself, endlessly deep: {' -> '.join((*above, dtmi))}. Break the circle."
        )
    if dtmi in depths:
        return depths[dtmi]
    parts = _parts(_resolved(schema, elements))
    within = (*above, dtmi) if dtmi else above
    deepest = max((_depth(each, elements, depths, within, where) for each in parts), default=0)
    found = deepest + bool(parts)
    if dtmi:
        depths[dtmi] = found
    return found


def _has_array(schema: object, elements: Elements, seen: set[str]) -> bool:
    dtmi = _identifier(schema)
    if plain_schema_name(dtmi) in GEOSPATIAL:
        return True
    if dtmi in seen:
        return False
    raw = _resolved(schema, elements)
    seen.update({dtmi} - {""})
    return "Array" in _types(raw) or any(_has_array(each, elements, seen) for each in _parts(raw))


def _parts(raw: Mapping[str, Any]) -> list[object]:
    """The schemas within a schema."""
    fields = [each["schema"] for each in _listed(raw.get("fields")) if isinstance(each, dict) and "schema" in each]
    value = raw.get("mapValue")
    found = [raw.get("elementSchema"), value.get("schema") if isinstance(value, dict) else None, *fields]
    return [each for each in found if each is not None]


def _resolved(value: object, elements: Elements) -> Mapping[str, Any]:
    if isinstance(value, Mapping):
        return value
    return elements[str(value)][2] if str(value) in elements else {}


def _identifier(value: object) -> str:
    """The DTMI of a reference or of an element; "" for an element without one."""
    found = value.get("@id", "") if isinstance(value, Mapping) else value
    return str(found)


def _types(raw: Mapping[str, Any]) -> set[str]:
    return {str(each).rpartition(":")[2].partition(";")[0] for each in _listed(raw.get("@type"))}


def _listed(value: object) -> list[Any]:
    return value if isinstance(value, list) else [] if value is None else [value]
