"""Which hub processes on a registry live, whatever the machines' clocks say.

Belongs here: judging by their beats, which each of them counts, and which the others watch, by their own monotonic
clock, to still come. Counting a beat belongs in `connections`.
"""

import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

SILENT_S = 5.0
"""A process beats each second: one that has not for so long is gone."""

# so much at most is silence between two looks: while the registry was away, nobody could beat
_LONGEST_STEP_S = 2.0


@dataclass(slots=True)
class _Seen:
    """How often it has beaten (None for one that never has), and since when it has not; `is_sure` once a beat came."""

    count: int | None
    silent_s: float = 0.0
    is_sure: bool = False


class InstanceWatch:
    """What one process has seen of all of them; `clock` counts seconds. From any thread."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._seen: dict[str, _Seen] = {}
        self._known: frozenset[str] = frozenset()
        self._looked_s = clock()

    def saw(self, beats: Mapping[str, int]) -> None:
        """So many times has each process beaten by now."""
        with self._lock:
            now = self._clock()
            step_s, self._looked_s = min(now - self._looked_s, _LONGEST_STEP_S), now
            self._known = frozenset(beats)
            for instance in self._seen.keys() | beats.keys():
                seen, count = self._seen.get(instance), beats.get(instance)
                if seen is None:
                    self._seen[instance] = _Seen(count)
                elif not count or count == seen.count:
                    # none, or no beat: another took it for gone, and ended what it held or a part of that
                    seen.silent_s += step_s
                else:
                    self._seen[instance] = _Seen(count, is_sure=seen.count is not None)

    def is_alive(self, instance: str) -> bool:
        """False for one that was silent for too long. Who is not known yet may have begun just now."""
        with self._lock:
            return self._seen.setdefault(instance, _Seen(None)).silent_s < SILENT_S

    def is_unsure(self, instance: str) -> bool:
        """True for one that no beat was seen of yet, and that has not been silent for too long either."""
        with self._lock:
            seen = self._seen.setdefault(instance, _Seen(None))
            return not seen.is_sure and seen.silent_s < SILENT_S

    def gone(self) -> list[str]:
        """Those that were silent for too long, and that the registry knows of."""
        with self._lock:
            return sorted(name for name in self._known if self._seen[name].silent_s >= SILENT_S)
