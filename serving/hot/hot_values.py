"""Hot values: the newest value of each series, and its last minutes, as the hot path tells them.

Belongs here: keeping what a topic says, by revision. Reading topics is in `push.news_sources`, what a record has to be
like in `hot_records`, answering in `api`.
"""

import threading
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from serving.hot.hot_records import FIGURES
from wire.times import moment_of_rfc3339

Series = tuple[str, str, str]
"""device_id, metric_name and unit."""

MINUTES = "device_minutes"
"""The window whose figures are those of gold.device_minutes, before any gate."""
_MOST_MINUTES = 200_000


@dataclass(frozen=True)
class HotMinute:
    """Figures of a minute as the hot path has them; a revision is its count of readings."""

    minute_at: datetime
    figures: tuple[float | None, ...]
    revision: int
    is_final: bool


class HotValues:
    """What the hot path told last. It may be used by many threads.

    `is_followed` says whether there is a hot path that it listens to; `revision` grows with each value.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._latest: dict[Series, Mapping[str, Any]] = {}
        self._minutes: dict[Series, dict[datetime, HotMinute]] = {}
        self._order: deque[tuple[Series, datetime]] = deque()
        self.is_followed = False
        self.revision = -1

    def take_latest(self, body: Mapping[str, Any], offset: int) -> None:
        """The newest value of a series, at an offset of its topic, which is its revision."""
        series = _series(body)
        if series is None:
            return
        with self._lock:
            self._latest[series] = {**body, "revision": offset}
            self.revision = max(self.revision, offset)

    def take_window(self, body: Mapping[str, Any]) -> None:
        """A result of a window; those of minutes are kept, an earlier revision of one is left out."""
        series = _series(body)
        minute_at = moment_of_rfc3339(str(body.get("window_start")))
        revision = body.get("revision")
        if body.get("window") != MINUTES or series is None or minute_at is None or not isinstance(revision, int):
            return
        figures = tuple(None if body.get(name) is None else float(body[name]) for name in FIGURES)
        told = HotMinute(minute_at, figures, revision, body.get("is_final") is True)
        with self._lock:
            minutes = self._minutes.setdefault(series, {})
            known = minutes.get(minute_at)
            if known is None or (known.revision, known.is_final) <= (told.revision, told.is_final):
                minutes[minute_at] = told
            if known is None:
                self._order.append((series, minute_at))
            if len(self._order) > _MOST_MINUTES:
                gone, at = self._order.popleft()
                del self._minutes[gone][at]

    def latest(self) -> list[Mapping[str, Any]]:
        """The newest value of each series, in the order of device, metric and unit."""
        with self._lock:
            return [body for _, body in sorted(self._latest.items())]

    def newest_of(self, device_id: str) -> list[Mapping[str, Any]]:
        """The same of one device."""
        return [body for body in self.latest() if body["device_id"] == device_id]

    def minutes(self, series: Series) -> list[HotMinute]:
        """The minutes of a series that are kept, the oldest first."""
        with self._lock:
            return [minute for _, minute in sorted(self._minutes.get(series, {}).items())]


def _series(body: Mapping[str, Any]) -> Series | None:
    names = (body.get("device_id"), body.get("metric_name"), body.get("unit"))
    return (names[0], names[1], names[2]) if all(isinstance(name, str) for name in names) else None  # type: ignore[return-value]
