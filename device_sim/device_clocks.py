"""Clocks: what time it is for a simulation, and waiting for it to become later.

Belongs here: the real clock. What happens at which time is in `stream`.
"""

from datetime import UTC, datetime
from threading import Event
from typing import Protocol


class Clock(Protocol):
    """Tells the time, and waits."""

    def now(self) -> datetime:
        """The moment, in UTC."""

    def wait_until(self, moment: datetime, stop: Event) -> None:
        """Return at `moment`, or as soon as `stop` is set."""


class SystemClock:
    """The machine's clock."""

    def now(self) -> datetime:
        """The moment, in UTC."""
        return datetime.now(UTC)

    def wait_until(self, moment: datetime, stop: Event) -> None:
        """Return at `moment`, or as soon as `stop` is set."""
        stop.wait(max(0.0, (moment - self.now()).total_seconds()))
