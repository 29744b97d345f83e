"""Model documents: a DTDL file with the quality file beside it, as read from a folder.

Belongs here: pairing the two, which Interfaces of a document stand for devices, and that one DTMI says one thing
across documents. What a model becomes is in `models`.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from lake.models.dtdl import Declaration, dtmi_family, read_declarations
from lake.models.limits import read_quality
from runtime.errors import ModelError

QUALITY_SUFFIX = ".quality.json"


@dataclass(frozen=True)
class Document:
    """`declarations` by DTMI; `quality` values as written, by DTMI, or under "" when the file names none."""

    name: str
    declarations: Mapping[str, Declaration]
    quality: Mapping[str, Mapping[str, object]]

    @property
    def quality_name(self) -> str:
        """The file name of the quality file, whether there is one or not."""
        return self.name.removesuffix(".json") + QUALITY_SUFFIX


def read_folder(folder: Path) -> list[Document]:
    """Every document of a folder by file name; none when there is no such folder. Raises ModelError."""
    paths = [path for path in sorted(folder.glob("*.json")) if not path.name.endswith(QUALITY_SUFFIX)]
    return [read_document(path, quality_beside(path), is_known=True) for path in paths]


def quality_beside(path: Path) -> Path | None:
    """The quality file of the document at `path`: `pump.json` has `pump.quality.json`; None when there is none."""
    beside = path.with_name(path.stem + QUALITY_SUFFIX)
    return beside if beside.exists() else None


def read_document(path: Path, quality_path: Path | None, is_known: bool = False) -> Document:
    """The document at `path` with the quality values at `quality_path`; `is_known` for one that was added before.

    Raises ModelError.
    """
    declarations = read_declarations(path.read_bytes(), path.name, is_known)
    if quality_path is None:
        return Document(path.name, declarations, {})
    raw = read_quality(quality_path.read_bytes(), quality_path.name)
    return Document(path.name, declarations, quality_by_model(raw, declarations, quality_path.name))


def quality_by_model(
    raw: Mapping[str, object], declarations: Mapping[str, Declaration], origin: str
) -> dict[str, Mapping[str, object]]:
    """A quality file holds the values of the one model beside it, or an object of DTMI to values for several."""
    if not any(key.startswith("dtmi:") for key in raw):
        return {"": raw} if raw else {}
    by_model: dict[str, Mapping[str, object]] = {}
    for key, values in raw.items():
        if key not in declarations:
            raise ModelError(f"{origin} speaks of {key}, which the file beside it does not declare.")
        if not isinstance(values, dict):
            raise ModelError(f"{origin} must hold an object of values for {key}.")
        by_model[key] = values
    return by_model


def quality_as_written(document: Document) -> Mapping[str, object]:
    """The JSON object of a document's quality file, empty when it has none."""
    return document.quality.get("", document.quality)


def merged_declarations(documents: Iterable[Document]) -> dict[str, Declaration]:
    """Every Interface of `documents`. Raises ModelError when two say different things of one DTMI."""
    merged: dict[str, Declaration] = {}
    for document in documents:
        for model_id, declaration in document.declarations.items():
            known = merged.setdefault(model_id, declaration)
            if not known.is_same_as(declaration):
                raise ModelError(
                    f"{model_id} is declared in {known.origin} and otherwise in {declaration.origin}: "
                    "what a DTMI says does not change, so give the newer one the next version number."
                )
    return merged


def device_interfaces(document: Document) -> tuple[str, ...]:
    """The Interfaces that no other one of the document uses, save as a former version of itself.

    Raises ModelError when some use each other in a circle.
    """
    uses = {
        model_id: {other for other in (*each.extends, *each.components) if other in document.declarations}
        for model_id, each in document.declarations.items()
    }
    parts = {
        other for model_id, others in uses.items() for other in others if dtmi_family(other) != dtmi_family(model_id)
    }
    devices = tuple(model_id for model_id in document.declarations if model_id not in parts)
    reached: set[str] = set()
    waiting = list(devices)
    while waiting:
        model_id = waiting.pop()
        if model_id not in reached:
            reached.add(model_id)
            waiting.extend(uses[model_id])
    if len(reached) < len(document.declarations):
        circle = ", ".join(sorted(set(document.declarations) - reached))
        raise ModelError(f"{circle} in {document.name} use each other in a circle: break it.")
    return devices
