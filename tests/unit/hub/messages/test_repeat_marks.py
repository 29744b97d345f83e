"""Marks of delivery as they lie in Kafka: those of a hub are known, and what others wrote keeps nobody from looking."""

from typing import Any

import pytest

from hub.messages.device_messages import DELIVERY
from hub.messages.repeat_window import _note, _Tail


class Record:
    """One with such a mark."""

    def __init__(self, mark: bytes) -> None:
        self._mark = mark

    def offset(self) -> int:
        return 4

    def key(self) -> bytes:
        return b"d"

    def headers(self) -> list[tuple[str, Any]]:
        return [(DELIVERY, self._mark)]


def test_a_hubs_mark_is_known() -> None:
    """By its epoch."""
    tail = _Tail(0, 0)
    _note(tail, Record(b"3-7-00ff00ff00ff00ff"))
    assert tail.found == {(b"d", 3): {(7, b"00ff00ff00ff00ff")}}


@pytest.mark.parametrize("mark", [b"", b"x", b"1-2", b"a-b-c", b"1-2-3-4", b"\xff-1-2"])
def test_what_no_hub_wrote_marks_nothing(mark: bytes) -> None:
    """The record is passed over."""
    tail = _Tail(0, 0)
    _note(tail, Record(mark))
    assert (tail.found, tail.next_offset) == ({}, 5)
