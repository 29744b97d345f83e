"""Recorded files in tests: written to a folder, read as messages.

Belongs here: what several tests of replay need. What is right stands in the tests.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from device_sim.playback import Replayer
from device_sim.replay_options import ReplayOptions
from lake.models.catalog import BUILT_IN_MODELS, Model, load_models
from wire.envelope import ID, TIME, Message, header

MODELS = load_models([BUILT_IN_MODELS])


def written(folder: Path, name: str, text: str) -> Path:
    """A file of that text in UTF-8."""
    path = folder / name
    path.write_text(text, encoding="utf-8", newline="")
    return path


def replayer_of(path: Path, models: Mapping[str, Model] = MODELS, **options: Any) -> Replayer:
    """A replayer of a file, by default as the thermostat `office-1`."""
    options.setdefault("model", "thermostat")
    if "device_column" not in options:
        options.setdefault("device", "office-1")
    return Replayer(ReplayOptions(path, **options), models)


def messages_of(path: Path, **options: Any) -> list[Message]:
    """All messages that a file is."""
    return [message for row in replayer_of(path, **options).rows() for message in row]


def text_of(message: Message, name: str) -> str | None:
    """A header as text."""
    value = header(message, name)
    return None if value is None else value.decode()


def times_of(messages: list[Message]) -> list[str]:
    """The times without their seconds."""
    return [(text_of(each, TIME) or "")[:16] for each in messages]


def ids_of(messages: list[Message]) -> list[str | None]:
    """The ids."""
    return [text_of(each, ID) for each in messages]
