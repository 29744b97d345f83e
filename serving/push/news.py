"""News: what can be subscribed to, numbered and kept for a while.

Belongs here: the streams, their numbers, and who may see what. Where news come from is in `news_sources`.
"""

from collections import deque
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

STREAMS = ("latest", "alerts", "publications")
_KEPT = 2_000


@dataclass(frozen=True)
class Item:
    """One piece of news; `sequence` grows within its stream."""

    stream: str
    sequence: int
    body: Mapping[str, Any]


@dataclass(frozen=True)
class Wish:
    """What a subscriber wants of a stream: everything, or one site or device of it."""

    stream: str
    site_id: str | None = None
    device_id: str | None = None

    def fits(self, item: Item, sites: tuple[str, ...] | None) -> bool:
        """True for what was wished and may be seen. News of no site are for who sees every site."""
        if item.stream != self.stream:
            return False
        if item.stream == "publications":
            return True
        site = item.body.get("site_id") or item.body.get("seen", {}).get("site_id")
        if sites is not None and site not in sites:
            return False
        if self.site_id is not None and site != self.site_id:
            return False
        return self.device_id is None or item.body.get("device_id") == self.device_id


class News:
    """The last items of each stream, and who is told of new ones. All of it runs in one event loop."""

    def __init__(self) -> None:
        self._items: dict[str, deque[Item]] = {stream: deque(maxlen=_KEPT) for stream in STREAMS}
        self._whole_from = dict.fromkeys(STREAMS, 0)
        self._listeners: set[Callable[[Item], None]] = set()

    def add(self, item: Item) -> None:
        """Keep an item and tell of it; one that is known already is left out."""
        kept = self._items[item.stream]
        if kept and item.sequence <= kept[-1].sequence:
            return
        if len(kept) == _KEPT:
            self._whole_from[item.stream] = max(self._whole_from[item.stream], kept[0].sequence + 1)
        kept.append(item)
        for listener in tuple(self._listeners):
            listener(item)

    def begins(self, stream: str, sequence: int) -> None:
        """Items are told from this number on, as after a restart: what came between it and the newest is not kept."""
        if sequence > self.newest(stream) + 1:
            self._whole_from[stream] = sequence

    def listen(self, listener: Callable[[Item], None]) -> None:
        """Tell this listener from now on."""
        self._listeners.add(listener)

    def leave(self, listener: Callable[[Item], None]) -> None:
        """Tell it no longer."""
        self._listeners.discard(listener)

    def newest(self, stream: str) -> int:
        """The number of the newest item; -1 before the first."""
        kept = self._items[stream]
        return kept[-1].sequence if kept else -1

    def since(self, stream: str, sequence: int) -> tuple[Iterator[Item], bool]:
        """What came after a number, and whether something between is no longer kept."""
        kept = self._items[stream]
        is_missing = sequence + 1 < self._whole_from[stream]
        return (item for item in tuple(kept) if item.sequence > sequence), is_missing
