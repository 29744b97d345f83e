"""Which hub processes on a registry live, whatever the machines' clocks say.

Belongs here: judging by their beats, which each of them counts, and which the others watch, by their own monotonic
clock, to still come. Counting a beat belongs in `connections`.
"""

import threading
import time
from collections.abc import Callable, Mapping

SILENT_S = 5.0
"""A process beats each second: one that has not for so long is gone."""


class InstanceWatch:
    """What one process has seen of all of them; `clock` counts seconds. From any thread."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._seen: dict[str, tuple[int, float]] = {}
        self._gone: set[str] = set()

    def saw(self, beats: Mapping[str, int]) -> None:
        """So many times has each process beaten by now."""
        with self._lock:
            now = self._clock()
            for instance in self._seen.keys() | beats.keys():
                count, since_s = self._seen.get(instance, (None, 0.0))
                if beats.get(instance, 0) != count:
                    self._seen[instance] = (beats.get(instance, 0), now)
                    self._gone.discard(instance)
                elif now - since_s >= SILENT_S:
                    self._gone.add(instance)

    def is_alive(self, instance: str) -> bool:
        """False for one that was silent for too long. Who is not known yet may have begun just now."""
        with self._lock:
            self._seen.setdefault(instance, (0, self._clock()))
            return instance not in self._gone
