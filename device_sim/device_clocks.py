"""Clocks: what time it is for a simulation, and waiting for it to become later.

Belongs here: the real clock, and one that tests turn by hand. What happens at which time is in `stream`.
"""

from dataclasses import dataclass, field
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


@dataclass
class ManualClock:
    """A clock that only moves when it is waited on, and then at once; keeps what was waited for."""

    moment: datetime
    waits: list[datetime] = field(default_factory=list)

    def now(self) -> datetime:
        """The moment to which it was moved last."""
        return self.moment

    def wait_until(self, moment: datetime, stop: Event) -> None:
        """Move to `moment`."""
        self.waits.append(moment)
        self.moment = max(self.moment, moment)
