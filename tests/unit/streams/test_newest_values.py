"""The topic `latest` never goes back in time."""

import json
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import duckdb
from hypothesis import given, settings
from hypothesis import strategies as st

from streams.hot_outputs import latest_message
from streams.newest_values import NewestValues
from transforms.windows import ARRIVAL, OPEN_COLUMNS

START = datetime(2026, 11, 26, 12, tzinfo=UTC)
Reading = tuple[str, int, int]
READINGS = st.lists(
    st.tuples(st.sampled_from(["d0", "d1"]), st.integers(-3, 3), st.integers(0, 2)), min_size=1, max_size=25
)


def connected() -> duckdb.DuckDBPyConnection:
    connection = duckdb.connect()
    connection.execute("SET TimeZone = 'UTC'; SET threads = 1; SET disabled_optimizers = 'statistics_propagation'")
    columns = ", ".join(f'"{name}" {type_}' for name, type_ in OPEN_COLUMNS.items())
    connection.execute(f"CREATE TABLE new_readings ({columns})")
    return connection


def told(readings: Sequence[Reading], cuts: set[int], restarts: set[int]) -> list[dict[str, Any]]:
    """What goes to the topic when batches end before the readings in `cuts` and a process begins anew at `restarts`."""
    connection = connected()
    topic: list[bytes] = []
    newest = NewestValues(connection, [])
    newest.prepare()
    for number, (device, half_seconds, partition) in enumerate(readings):
        at = START + timedelta(milliseconds=500 * half_seconds, microseconds=half_seconds)
        connection.execute(
            f"""INSERT INTO new_readings BY NAME SELECT *, {ARRIVAL} AS arrival FROM (SELECT
                ?::VARCHAR AS device_id, 'temperature' AS metric_name, 'degc' AS unit, ?::TIMESTAMPTZ AS event_at,
                ?::INTEGER AS "partition", ?::BIGINT AS "offset", 0 AS part_number, ?::DOUBLE AS value)""",
            [device, at, partition, number, number],
        )
        if number + 1 in cuts or number + 1 == len(readings):
            topic += [latest_message(row).value or b"" for row in newest.update()]
            connection.execute("DELETE FROM new_readings")
        if number + 1 in restarts & cuts:
            connection.execute("DEALLOCATE newest")
            newest = NewestValues(connection, list(topic))
            newest.prepare()
    return [json.loads(value) for value in topic]


@settings(max_examples=25)
@given(READINGS, st.sets(st.integers(1, 25)), st.sets(st.integers(1, 25)))
def test_the_newest_is_shown_however_batches_fall(readings: list[Reading], cuts: set[int], restarts: set[int]) -> None:
    """After any batches and restarts the last record of a device is its reading with the latest event, of equal ones
    that with the greatest offset; and no record is older than the one before it."""
    shown: dict[str, dict[str, Any]] = {}
    for record in told(readings, cuts, restarts):
        before = shown.get(record["device_id"])
        assert before is None or before["event_at"] <= record["event_at"]
        shown[record["device_id"]] = record
    expected: dict[str, tuple[int, int]] = {}
    for number, (device, half_seconds, _) in enumerate(readings):
        expected[device] = max(expected.get(device, (-9, -9)), (half_seconds, number))
    assert {device: record["value"] for device, record in shown.items()} == {
        device: float(number) for device, (_, number) in expected.items()
    }


def test_a_late_reading_in_a_batch_of_its_own_changes_nothing() -> None:
    """Neither before nor after a restart; one of the same moment with a greater offset does."""
    assert [r["value"] for r in told([("d0", 2, 0), ("d0", 1, 0)], {1}, set())] == [0.0]
    assert [r["value"] for r in told([("d0", 2, 0), ("d0", 1, 0)], {1}, {1})] == [0.0]
    assert [r["value"] for r in told([("d0", 2, 0), ("d0", 2, 0)], {1}, {1})] == [0.0, 1.0]
