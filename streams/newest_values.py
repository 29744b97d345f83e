"""Newest values: what the topic `latest` shows, so that a late reading does not turn it back.

Belongs here: which of two readings of a metric is the newer one, across batches and restarts. Messages are made of them
in `hot_outputs`.

Newer is the reading with the greater `arrival`: the later `event_at`, of equal ones the greater offset, then the
greater partition, then the later message of a pack, as in gold. What was told is read from the topic itself, which is
committed with the offsets of its readings, so a new process knows what a reader of the topic sees.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import duckdb

_IDENTITY = ("device_id", "metric_name", "unit")
_FURTHER = ("site_id", "model_id", "value", "clock_status", "message_id", "partition", "offset")
_COLUMNS = (*_IDENTITY, "arrival", "event_us", *_FURTHER)
_NEWEST = f"""
    SELECT {", ".join(_IDENTITY)}, max(arrival), epoch_us(arg_max(event_at, arrival)),
        {", ".join(f'arg_max("{name}", arrival)' for name in _FURTHER)}
    FROM new_readings GROUP BY {", ".join(_IDENTITY)}"""

Key = tuple[str, ...]
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class NewestValues:
    """What was told as the newest of each device, metric and unit; `told` are the values of the topic's records, in
    order, None for what was deleted."""

    def __init__(self, connection: duckdb.DuckDBPyConnection, told: Iterable[bytes | str | None]) -> None:
        self._connection = connection
        self._arrivals: dict[Key, int] = {}
        for value in told:
            if value is not None:
                body = json.loads(value)
                self._arrivals[_key(body)] = _arrival(body)

    def prepare(self) -> None:
        """Plan the statement; as with `JudgedBatches.prepare`, this comes when all tables are made."""
        self._connection.execute(f"PREPARE newest AS {_NEWEST}")

    def update(self) -> Sequence[Mapping[str, Any]]:
        """Of `new_readings` what is newer than what was told, one a device, metric and unit; it counts as told.

        Its moment is `event_us`, microseconds since 1970: DuckDB takes long to make a datetime.
        """
        found = []
        for row in self._connection.execute("EXECUTE newest").fetchall():
            reading = dict(zip(_COLUMNS, row, strict=True))
            told = self._arrivals.get(_key(reading))
            if told is None or reading["arrival"] > told:
                self._arrivals[_key(reading)] = reading["arrival"]
                found.append(reading)
        return found


def _key(of: Mapping[str, Any]) -> Key:
    return tuple(of[name] for name in _IDENTITY)


def _arrival(body: Mapping[str, Any]) -> int:
    """As the SQL of `transforms.windows.ARRIVAL`, of what a record of the topic says.

    All messages of a pack come in one batch, so of these the last was told.
    """
    ((partition, (offset, _)),) = body["inputs"].items()
    since = datetime.fromisoformat(body["event_at"]) - _EPOCH
    event_us = since.days * 86_400_000_000 + since.seconds * 1_000_000 + since.microseconds
    return event_us * 2**74 + (int(offset) * 65536 + int(partition)) * 2**14 + (2**14 - 1)
