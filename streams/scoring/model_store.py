"""The model store: versions of models in `<home>/ml`, and which of them is in use.

Belongs here: writing a version once, reading it back only as it was written, and promoting. What a model is made of is
in `training`, what it is used for in `scores`.

A version is a folder: the model as ONNX, what is usual as Parquet, and a card that says where they come from, with
their hashes. It appears with its whole content and is never changed.
"""

import hashlib
import json
import secrets
import shutil
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from runtime.errors import PlatformError, UsageError
from runtime.private_files import ensure_home
from runtime.settings import Settings
from runtime.whole_files import write_whole

MODEL, USUAL = "model.onnx", "usual.parquet"
_CARD, _PROMOTED = "card.json", "promoted.json"


@dataclass(frozen=True)
class ModelCard:
    """Where a version comes from. `first_minute` to `last_minute` is the span of gold that it was made of.

    `measured` is what training found of the last fifth of the span, which the model was not fitted to. A minute whose
    score is above `threshold` counts as unusual. `files` are the SHA-256 of its files, `digest` that of all of it.
    """

    version: int
    trained_at: str
    publication: int
    metrics: tuple[str, ...]
    features: Mapping[str, str]
    features_digest: str
    first_minute: str
    last_minute: str
    minute_count: int
    device_count: int
    threshold: float
    measured: Mapping[str, Any]
    libraries: Mapping[str, str]
    files: Mapping[str, str]
    digest: str = ""


def models_folder(settings: Settings) -> Path:
    """Where a home's model versions are."""
    return settings.ml_folder


def add_version(settings: Settings, card: ModelCard, files: Mapping[str, bytes]) -> ModelCard:
    """Store files as the next version; returns its card with number and hashes. Raises OSError."""
    ensure_home(settings)
    folder = models_folder(settings)
    folder.mkdir(mode=0o700, exist_ok=True)
    said = asdict(card) | {"files": {name: hashlib.sha256(content).hexdigest() for name, content in files.items()}}
    draft = folder / f"{secrets.token_hex(8)}.draft"
    draft.mkdir()
    try:
        for name, content in files.items():
            write_whole(draft / name, content, is_synced=True)
        while True:
            said |= {"version": max((each.version for each in list_versions(settings)), default=0) + 1}
            said |= {"digest": _digest(said)}
            write_whole(draft / _CARD, json.dumps(said, indent=2, ensure_ascii=False), is_synced=True)
            try:
                draft.rename(folder / str(said["version"]))
                return _card(said)
            except OSError:
                if not (folder / str(said["version"])).exists():
                    raise  # else another training was first: the next number
    finally:
        shutil.rmtree(draft, ignore_errors=True)


def list_versions(settings: Settings) -> list[ModelCard]:
    """The cards of all versions, oldest first. Raises PlatformError for one that was changed."""
    folder = models_folder(settings)
    numbers = [int(path.name) for path in folder.glob("*") if path.name.isdecimal()] if folder.is_dir() else []
    return [_read_card(settings, number) for number in sorted(numbers)]


def read_version(settings: Settings, version: int) -> tuple[ModelCard, dict[str, bytes]]:
    """A version's card and files. Raises UsageError when there is none, PlatformError when it was changed."""
    card = _read_card(settings, version)
    folder = models_folder(settings) / str(version)
    files: dict[str, bytes] = {}
    for name, digest in card.files.items():
        try:
            files[name] = (folder / name).read_bytes()
        except OSError as error:
            raise PlatformError(f"{folder / name} cannot be read ({error.strerror}): train another version.") from error
        if hashlib.sha256(files[name]).hexdigest() != digest:
            raise PlatformError(f"{folder / name} is not what was trained: train another version.")
    return card, files


def promote(settings: Settings, version: int | None) -> None:
    """Put a version in use, None none, from the hot path's next batch on. Raises UsageError or PlatformError."""
    digest = "" if version is None else read_version(settings, version)[0].digest
    ensure_home(settings)
    models_folder(settings).mkdir(mode=0o700, exist_ok=True)
    said = json.dumps({"version": version, "digest": digest})
    write_whole(models_folder(settings) / _PROMOTED, said, is_synced=True)


def promoted(settings: Settings) -> int | None:
    """The version in use. Raises PlatformError when what says so cannot be read."""
    path = models_folder(settings) / _PROMOTED
    try:
        version = json.loads(path.read_text())["version"]
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise PlatformError(f"{path} cannot be read: promote a version again with `lakehouse ml promote`.") from error
    return None if version is None else int(version)


def promotion_mark(settings: Settings) -> tuple[int, int] | None:
    """What changes whenever a version is promoted; cheap enough to be asked for with every batch."""
    try:
        found = (models_folder(settings) / _PROMOTED).stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_ino


def _read_card(settings: Settings, version: int) -> ModelCard:
    path = models_folder(settings) / str(version) / _CARD
    try:
        said = json.loads(path.read_text())
        card = _card(said)
    except FileNotFoundError as error:
        raise UsageError(
            f"There is no model version {version}: `lakehouse ml list` shows those that there are."
        ) from error
    except (OSError, ValueError, TypeError) as error:
        raise PlatformError(f"{path} cannot be read: train another version.") from error
    if card.digest != _digest(said):
        raise PlatformError(f"{path} was changed after training: train another version.")
    return card


def _card(said: Mapping[str, Any]) -> ModelCard:
    values = {each.name: said[each.name] for each in fields(ModelCard) if each.name in said}
    return ModelCard(**values | {"metrics": tuple(said["metrics"])})


def _digest(said: Mapping[str, Any]) -> str:
    text = json.dumps({name: value for name, value in said.items() if name != "digest"}, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()
