"""The store of added device models: the folder of a lakehouse into which `models add` writes.

Belongs here: checking a new document against what is known, and writing it. Reading the folder is in
`model_documents`, what a model becomes is in `models`.
"""

import hashlib
import json
import os
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from lake.models.catalog import BUILT_IN_MODELS, Catalog, Model, catalog_of
from lake.models.documents import (
    QUALITY_SUFFIX,
    Document,
    device_interfaces,
    quality_as_written,
    quality_beside,
    quality_by_model,
    read_document,
    read_folder,
)
from runtime.errors import ModelError, UsageError
from runtime.settings import Settings

_NAME_CHARACTERS = 150


@dataclass(frozen=True)
class Addition:
    """What adding a document came to: its device models, its parts with the reason, and where it was written.

    `path` is None when all of it was known before. `changed` are models of other documents that gained columns by it.
    """

    models: tuple[Model, ...]
    parts: Mapping[str, str]
    changed: tuple[Model, ...]
    path: Path | None


def known_catalog(settings: Settings) -> Catalog:
    """Every device model of this lakehouse, and every Interface that is none. Raises ModelError."""
    return catalog_of(_known_documents(settings))


def add_model(settings: Settings, path: Path, quality_path: Path | None = None, table: str | None = None) -> Addition:
    """Declare the Interfaces of the file at `path`, with the quality file given or the one beside it.

    `table` names the table of the file's device model, over what the quality file says. Adding the same twice changes
    nothing; quality values may be given anew. Raises UsageError for a file that cannot be read, and ModelError for
    what cannot be used, for a DTMI that is declared otherwise already and for a model's table that would change.
    """
    for each in (path, quality_path):
        if each is not None and not each.is_file():
            raise UsageError(f"{each} is not a file: give the path of a JSON file.")
    document = read_document(path, quality_path or quality_beside(path))
    before = _known_documents(settings)
    target = settings.models_folder / _file_name(document)
    stored = next((each for each in before if each.name == target.name), None)
    if table is not None:
        document = _with_table(document, table, stored)

    known, catalog = catalog_of(before), catalog_of([*before, document])
    _refuse_other_tables(known, catalog)
    is_news = _digests(catalog) != _digests(known)
    if is_news:
        _store(document, path, target, stored)
    return Addition(
        models=tuple(catalog.models[model_id] for model_id in document.declarations if model_id in catalog.models),
        parts={model_id: catalog.parts[model_id] for model_id in document.declarations if model_id in catalog.parts},
        changed=tuple(
            model
            for model_id, model in catalog.models.items()
            if model_id not in document.declarations
            and model_id in known.models
            and model.telemetry != known.models[model_id].telemetry
        ),
        path=target if is_news else None,
    )


def _store(document: Document, path: Path, target: Path, stored: Document | None) -> None:
    new, old = set(document.declarations), set(stored.declarations if stored else ())
    if not (old <= new or new <= old):
        raise ModelError(
            f"{document.name} would replace {target}, which also declares {', '.join(sorted(old - new))}: "
            "put that into the new file too."
        )
    # quality first: a model must never be seen without its limits, while limits without a model are not looked at
    if document.quality:
        quality = json.dumps(quality_as_written(document), indent=2, ensure_ascii=False) + "\n"
        _write(target.with_name(target.stem + QUALITY_SUFFIX), quality.encode())
    if not new <= old:
        _write(target, path.read_bytes())


def _digests(catalog: Catalog) -> tuple[dict[str, str], set[str]]:
    return {model_id: model.digest for model_id, model in catalog.models.items()}, set(catalog.parts)


def _known_documents(settings: Settings) -> list[Document]:
    return [*read_folder(BUILT_IN_MODELS), *read_folder(settings.models_folder)]


def _with_table(document: Document, table: str, stored: Document | None) -> Document:
    """The document with `table` among its quality values, or among the stored ones when it brings none."""
    devices = device_interfaces(document)
    if len(devices) != 1:
        raise UsageError(
            f"--table names one table, and {document.name} declares {len(devices)} device models: "
            "name their tables in a quality file, as an object of DTMI to values."
        )
    raw = quality_as_written(document if document.quality or stored is None else stored)
    own = raw.get(devices[0])
    raw = {**raw, devices[0]: {**own, "table": table}} if isinstance(own, dict) else {**raw, "table": table}
    return replace(document, quality=quality_by_model(raw, document.declarations, "--table"))


def _refuse_other_tables(known: Catalog, catalog: Catalog) -> None:
    for model_id, model in catalog.models.items():
        before = known.models.get(model_id)
        if before is not None and before.table != model.table:
            raise ModelError(
                f"{model_id} has the table {before.table}, where its readings are, and would move to {model.table}: "
                "a model keeps its table."
            )


def _file_name(document: Document) -> str:
    """`dtmi:com:example:Thermostat;1` -> `com.example.Thermostat-1.json`; of several devices the first by name."""
    first = min(device_interfaces(document))
    name = first.removeprefix("dtmi:").replace(":", ".").replace(";", "-")
    if len(name) > _NAME_CHARACTERS:  # file systems take 255 bytes
        name = f"{name[:_NAME_CHARACTERS]}-{hashlib.sha256(first.encode()).hexdigest()[:16]}"
    return name + ".json"


def _write(path: Path, content: bytes) -> None:
    """Write all of the file or nothing of it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile(dir=path.parent, suffix=".part", delete=False) as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    Path(file.name).replace(path)
