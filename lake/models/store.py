"""The store of added device models: the folder of a lakehouse into which `models add` writes.

Belongs here: checking a new document against what is known, and writing it. Reading the folder is in
`documents`, what a model becomes is in `models`.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
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
from runtime.private_files import ensure_home
from runtime.settings import Settings
from runtime.whole_files import write_whole

_NAME_CHARACTERS = 150


@dataclass(frozen=True)
class Addition:
    """What adding documents came to: their device models, their parts with the reason, and what was written.

    `paths` are the files written, none when all of it was known before. `changed` are models of other documents that
    gained columns by it.
    """

    models: tuple[Model, ...]
    parts: Mapping[str, str]
    changed: tuple[Model, ...]
    paths: tuple[Path, ...]


def known_catalog(settings: Settings) -> Catalog:
    """Every device model of this lakehouse, and every Interface that is none. Raises ModelError."""
    return catalog_of(_known_documents(settings))


def add_models(
    settings: Settings, paths: Sequence[Path], quality_path: Path | None = None, table: str | None = None
) -> Addition:
    """Declare the Interfaces of files and of the files in folders, in any order: they may refer to each other.

    Each file has the quality file beside it; of a single one another may be given, and `table` names the table of its
    device model, over what the quality file says. Adding the same twice changes nothing; quality values may be given
    anew. Raises UsageError for a file that cannot be read, and ModelError for what cannot be used, for a DTMI that is
    declared otherwise already and for a model's table that would change; nothing is written then.
    """
    if quality_path is not None and not quality_path.is_file():
        raise UsageError(f"{quality_path} is not a file: give the path of a JSON file.")
    files = _files(paths)
    if len(files) > 1 and (quality_path or table):
        raise UsageError(f"A quality file and --table are for one file, and there are {len(files)}: add it by itself.")
    before = _known_documents(settings)
    stored = {each.name: each for each in before}
    documents = [read_document(path, quality_path or quality_beside(path)) for path in files]
    if table is not None:
        documents = [_with_table(each, table, stored.get(_file_name(each))) for each in documents]
    known, catalog = catalog_of(before), catalog_of([*before, *documents])
    _refuse_other_tables(known, catalog)
    news = [
        (document, path, settings.models_folder / _file_name(document))
        for document, path in zip(documents, files, strict=True)
        if _said_of(document, catalog) != _said_of(document, known)
    ]
    for document, _, target in news:
        _refuse_loss(document, target, stored.get(target.name))
    if news:
        ensure_home(settings)
    for document, path, target in news:
        _store(document, path, target, stored.get(target.name))
    ours = dict.fromkeys(model_id for document in documents for model_id in document.declarations)
    return Addition(
        models=tuple(catalog.models[model_id] for model_id in ours if model_id in catalog.models),
        parts={model_id: catalog.parts[model_id] for model_id in ours if model_id in catalog.parts},
        changed=tuple(
            model
            for model_id, model in catalog.models.items()
            if model_id not in ours and model_id in known.models and model.telemetry != known.models[model_id].telemetry
        ),
        paths=tuple(target for _, _, target in news),
    )


def _files(paths: Sequence[Path]) -> list[Path]:
    found: list[Path] = []
    for path in paths:
        inside = sorted(each for each in path.rglob("*.json") if not each.name.endswith(QUALITY_SUFFIX))
        if path.is_dir() and not inside:
            raise UsageError(f"{path} has no JSON file: give files, or folders of files.")
        if not path.is_dir() and not path.is_file():
            raise UsageError(f"{path} is not a file: give the path of a JSON file.")
        found.extend(inside if path.is_dir() else [path])
    return list(dict.fromkeys(found))


def _refuse_loss(document: Document, target: Path, stored: Document | None) -> None:
    new, old = set(document.declarations), set(stored.declarations if stored else ())
    if not (old <= new or new <= old):
        raise ModelError(
            f"{document.name} would replace {target}, which also declares {', '.join(sorted(old - new))}: "
            "put that into the new file too."
        )


def _store(document: Document, path: Path, target: Path, stored: Document | None) -> None:
    new, old = set(document.declarations), set(stored.declarations if stored else ())
    target.parent.mkdir(parents=True, exist_ok=True)
    # quality first: a model must never be seen without its limits, while limits without a model are not looked at
    if document.quality:
        quality = json.dumps(quality_as_written(document), indent=2, ensure_ascii=False) + "\n"
        write_whole(target.with_name(target.stem + QUALITY_SUFFIX), quality, mode=0o600, is_synced=True)
    if not new <= old:
        write_whole(target, path.read_bytes(), mode=0o600, is_synced=True)


def _said_of(document: Document, catalog: Catalog) -> dict[str, str]:
    """What a catalog has of the Interfaces of a document: the digest of a model, or why one is none."""
    digests = {model_id: model.digest for model_id, model in catalog.models.items()}
    return {name: said for name, said in ({**catalog.parts, **digests}).items() if name in document.declarations}


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
