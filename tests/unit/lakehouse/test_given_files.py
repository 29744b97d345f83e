"""Which file an error of the system is about, where the system does not say so."""

import os
from collections.abc import Callable
from io import BytesIO
from pathlib import Path

import pytest

from lakehouse.cli.given_files import file_of


def _write(path: Path) -> None:
    memory = BytesIO(b"x")
    with path.open("w") as text:
        buffer = text.buffer
        buffer.write(memory.getvalue())
        buffer.flush()


def _copy(path: Path) -> None:
    with Path(__file__).open("rb") as source, path.open("wb", buffering=0) as full:
        full.write(source.read())


def _receive(path: Path) -> None:
    reading, writing = os.pipe()
    os.write(writing, b"x")
    os.close(writing)
    with os.fdopen(reading, "rb") as pipe, path.open("wb", buffering=0) as full:
        full.write(pipe.read())


@pytest.mark.parametrize(("fill", "name"), [(_write, "/dev/full"), (_copy, ""), (_receive, "")])
def test_a_file_is_named_where_no_other_was_open(fill: Callable[[Path], None], name: str) -> None:
    """A copy to a full disk does not accuse what is copied, nor the caller's file; one file by two names is one."""
    with Path(__file__).open("rb") as outer:
        with pytest.raises(OSError, match="No space left") as caught:
            fill(Path("/dev/full"))
        assert outer.readable()
    assert caught.value.filename is None
    assert file_of(caught.value) == name
