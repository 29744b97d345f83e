"""Moments and tags of versions, as the registry keeps them.

Belongs here: microseconds to and from datetimes and texts, and making etags. Nothing that reads a clock.
"""

import secrets
from datetime import UTC, datetime, timedelta

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
NEVER = "0001-01-01T00:00:00Z"
"""How IoT Hub writes a moment that has not come."""


def micros_of(moment: datetime) -> int:
    """Microseconds since 1970 of a moment with a time zone."""
    return (moment - _EPOCH) // timedelta(microseconds=1)


def moment_of(micros: int) -> datetime:
    """The moment, in UTC."""
    return _EPOCH + timedelta(microseconds=micros)


def text_of(micros: int | None) -> str:
    """A moment as IoT Hub writes it, `NEVER` for None."""
    if micros is None:
        return NEVER
    return moment_of(micros).replace(tzinfo=None).isoformat(timespec="microseconds") + "Z"


def new_etag() -> str:
    """A tag that no earlier version of anything had."""
    return secrets.token_hex(8)
