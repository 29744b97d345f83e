"""Marks of delivery as they lie in Kafka: those of a hub are known, and what others wrote keeps nobody from looking."""

from types import SimpleNamespace
from typing import Any

import pytest

from hub.messages.device_messages import DELIVERY
from hub.messages.repeat_window import RepeatWindows, _note, _Tail


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


def test_what_is_found_is_told_by_topic(monkeypatch: pytest.MonkeyPatch) -> None:
    """The newest epoch of which any topic has something, and which of them has what."""
    tails = {
        "telemetry": _Tail(0, 0, {(b"d", 1): {(1, b"aa")}, (b"d", 2): {(1, b"bb"), (2, b"cc")}}),
        "alarms": _Tail(0, 0, {(b"d", 1): {(1, b"aa")}, (b"d", 2): {(1, b"bb")}, (b"e", 3): {(1, b"dd")}}),
    }  # fmt: skip

    class Cluster:
        def list_topics(self, topic: str, timeout: float) -> Any:
            return SimpleNamespace(topics={topic: SimpleNamespace(partitions={0: None})})

        def close(self) -> None:
            """Nothing is held."""

    windows = RepeatWindows("nowhere")
    monkeypatch.setattr(windows, "_consumer", Cluster())
    monkeypatch.setattr(windows, "_read", lambda topic, _partition, _since_ms: tails[topic])
    found = windows.find(tails, b"d", (3, 2, 1), 0).result()
    assert found.epoch == 2
    assert found.topics_with((1, b"bb")) == {"telemetry", "alarms"}
    assert found.topics_with((2, b"cc")) == {"telemetry"}
    assert not found.topics_with((1, b"aa"))
    windows.close()
