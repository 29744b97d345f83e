"""Quotas: how much a tenant may do, as token buckets with the anchor's numbers.

Belongs here: the profiles and the buckets. What happens to who has none left belongs to who asks.

Sources: "IoT Hub quotas and throttling", one unit, as it stood on 2023-02-09 in MicrosoftDocs/azure-docs, and "Azure
Digital Twins service limits", which know no units (learn.microsoft.com). The former states no limit for emptying a
device's queue and for feedback: those have none. On a laptop nothing is limited; a profile switches the anchor's limits
on, so that a client's ways of being throttled can be tried.
"""

import time
from collections.abc import Callable, Mapping

from runtime.errors import UsageError

_GRAPH = {
    "graph_reads": 1000.0, "graph_updates": 1000.0, "graph_writes": 500.0, "graph_queries": 500.0,
    "models": 100.0, "event_routes": 100.0,
}  # fmt: skip
PROFILES: Mapping[str, Mapping[str, float]] = {
    "none": {},
    "s1": {
        "messages": 100.0, "connects": 100.0, "registry": 100 / 60, "cloud_messages": 100 / 60, "queries": 20 / 60,
        "twin_reads": 100.0, "twin_updates": 50.0, "methods": 40.0, "jobs": 100 / 60,
        "configurations": 20 / 60, "enrolments": 200 / 60, "registrations": 200 / 60, "uploads": 100 / 60, **_GRAPH,
    },
    "s3": {
        "messages": 6000.0, "connects": 6000.0, "registry": 5000 / 60, "cloud_messages": 5000 / 60,
        "queries": 1000 / 60, "twin_reads": 500.0, "twin_updates": 250.0, "methods": 6144.0, "jobs": 5000 / 60,
        "configurations": 20 / 60, "enrolments": 200 / 60, "registrations": 200 / 60, "uploads": 5000 / 60, **_GRAPH,
    },
}  # fmt: skip
"""Operations a second and tenant; of methods, 4 KB of payload are one."""

# a bucket holds what two seconds bring, at least one operation
_BURST_S = 2.0


class Quotas:
    """The buckets of every tenant; `clock` counts seconds."""

    def __init__(self, profile: str = "none", clock: Callable[[], float] = time.monotonic) -> None:
        """Raises UsageError for a profile that is not there."""
        if profile not in PROFILES:
            raise UsageError(f"There is no quota profile {profile!r}: give one of {', '.join(PROFILES)}.")
        self._rates = PROFILES[profile]
        self._clock = clock
        self.throttled_count = 0
        self._buckets: dict[tuple[str, str], tuple[float, float]] = {}

    def take(self, what: str, tenant: str) -> bool:
        """True when the tenant may do it once more now; then it counts. Who may not is counted as throttled."""
        rate = self._rates.get(what)
        if rate is None:
            return True
        left, now = self._left(what, tenant, rate)
        if left < 1:
            self.throttled_count += 1
            return False
        self._buckets[what, tenant] = (left - 1, now)
        return True

    def spend(self, what: str, tenant: str, count: int) -> None:
        """What was let in counts as so many more, whatever is left: what comes after it waits for that."""
        if (rate := self._rates.get(what)) is not None and count > 0:
            left, now = self._left(what, tenant, rate)
            self._buckets[what, tenant] = (left - count, now)

    def delay_s(self, what: str, tenant: str) -> float:
        """Count it whatever is left; so many seconds the tenant is ahead of its rate, and must be held back."""
        rate = self._rates.get(what)
        if rate is None:
            return 0.0
        left, now = self._left(what, tenant, rate)
        self._buckets[what, tenant] = (left - 1, now)
        return max(0.0, (1 - left) / rate)

    def _left(self, what: str, tenant: str, rate: float) -> tuple[float, float]:
        now = self._clock()
        most = max(1.0, rate * _BURST_S)
        left, then = self._buckets.get((what, tenant), (most, now))
        return min(most, left + (now - then) * rate), now


UNLIMITED = Quotas()
"""Lets everybody do everything."""
