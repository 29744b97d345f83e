"""Judging envelopes: the first rule that refuses a record says why, and the registry says its model."""

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import duckdb
import pytest

from lake.models.catalog import BUILT_IN_MODELS, load_models
from lake.sql_text import Relation
from transforms.envelope_rules import judged_envelopes

MODELS = load_models([BUILT_IN_MODELS])
THERMOSTAT, PUMP = "dtmi:lakehouse:thermostat;1", "dtmi:lakehouse:pump;1"
AT = datetime(2026, 11, 20, 5, tzinfo=UTC)
_GOOD: dict[str, Any] = {
    "device_id": "d1", "ce_specversion": "1.0", "ce_id": "m", "ce_source": "/devices/d1",
    "ce_type": "lakehouse.telemetry", "ce_subject": None, "ce_time": "2026-11-20T05:00:00Z", "ce_dataschema": None,
    "measured_at": AT, "received_at": AT, "value": b"{}", "topic": "telemetry", "content_type": None,
}  # fmt: skip
_TYPES = {"measured_at": "TIMESTAMPTZ", "received_at": "TIMESTAMPTZ", "value": "BLOB"}


@pytest.fixture(scope="module")
def connection() -> Iterator[duckdb.DuckDBPyConnection]:
    """A database with the registry's facts: d1 is a thermostat that became a pump, d2 has no model."""
    with duckdb.connect() as connection:
        connection.execute("SET TimeZone = 'UTC'")
        connection.execute(f"""
            CREATE TABLE facts AS
            SELECT 'd1' AS registered_id, TIMESTAMPTZ '2026-11-01 00:00:00+00' AS in_service_at, [
                struct_pack(valid_from := TIMESTAMPTZ '2026-11-01 00:00:00+00', model_id := '{THERMOSTAT}'),
                struct_pack(valid_from := TIMESTAMPTZ '2026-11-20 06:00:00+00', model_id := '{PUMP}')] AS models
            UNION ALL SELECT 'd2', TIMESTAMPTZ '2026-11-01 00:00:00+00', NULL
            UNION ALL SELECT 'd3', TIMESTAMPTZ '2026-11-01 00:00:00+00', [
                struct_pack(valid_from := TIMESTAMPTZ '2026-11-01 00:00:00+00', model_id := '{THERMOSTAT}')]""")
        yield connection


def judged(connection: duckdb.DuckDBPyConnection, changes: Mapping[str, Any]) -> dict[str, Any]:
    """What becomes of a good record with some changes."""
    record = _GOOD | dict(changes)
    columns = ", ".join(f"${name}::{_TYPES.get(name, 'VARCHAR')} AS {name}" for name in record)
    sql = judged_envelopes(Relation(f"(SELECT {columns})"), Relation("facts"), MODELS)
    cursor = connection.execute(sql, record)
    names = [each[0] for each in cursor.description or ()]
    [row] = cursor.fetchall()
    return dict(zip(names, row, strict=True))


@pytest.mark.parametrize(
    ("changes", "reason", "detail"),
    [
        ({}, None, None),
        ({"device_id": None}, "missing_device", "the Kafka key"),
        ({"device_id": ""}, "missing_device", "the Kafka key"),
        ({"ce_specversion": None}, "bad_envelope", "missing: ce_specversion"),
        ({"ce_id": ""}, "bad_envelope", "missing: ce_id"),
        ({"ce_source": None, "ce_type": None}, "bad_envelope", "missing: ce_source, ce_type"),
        ({"ce_type": "else"}, "bad_envelope", "unknown ce_type"),
        ({"ce_type": "lakehouse.device.registered"}, "bad_envelope", "unknown ce_type"),
        ({"measured_at": None, "ce_time": "now"}, "bad_time", "now"),
        ({"measured_at": datetime(1999, 12, 31, tzinfo=UTC)}, "implausible_time", "ce_time is"),
        ({"measured_at": datetime(2100, 1, 1, tzinfo=UTC)}, "implausible_time", "ce_time is"),
        ({"device_id": "stranger"}, "unknown_device", "stranger"),
        ({"device_id": "d2"}, "unknown_model", "no declared model"),
        ({"ce_dataschema": "dtmi:else;1"}, "unknown_model", "dtmi:else;1"),
        ({"ce_subject": "motor"}, "unknown_component", "motor"),
        ({"ce_subject": "motor", "ce_dataschema": PUMP}, None, None),
        ({"ce_subject": ""}, None, None),
        ({"ce_dataschema": ""}, None, None),
        # the first rule that a record breaks says why
        ({"device_id": None, "ce_id": None, "measured_at": None}, "missing_device", "key"),
        ({"ce_id": None, "measured_at": None}, "bad_envelope", "ce_id"),
        ({"device_id": "stranger", "measured_at": None}, "bad_time", "ce_time"),
        ({"device_id": "stranger", "ce_dataschema": "dtmi:else;1"}, "unknown_device", "stranger"),
    ],
)
def test_the_first_broken_rule_is_the_reason(
    connection: duckdb.DuckDBPyConnection, changes: dict[str, Any], reason: str | None, detail: str | None
) -> None:
    """Each rule refuses what it is for, in the order of judging, and says what was found."""
    row = judged(connection, changes)
    assert row["reason"] == reason
    assert row["detail"] is None if detail is None else detail in row["detail"]


@pytest.mark.parametrize(
    ("device", "measured", "schema", "model"),
    [
        ("d1", AT, None, THERMOSTAT),
        ("d1", AT + timedelta(minutes=60) - timedelta(microseconds=1), None, THERMOSTAT),
        ("d1", AT + timedelta(minutes=60), None, PUMP),
        ("d1", AT - timedelta(days=900), None, THERMOSTAT),
        ("d1", None, None, THERMOSTAT),
        ("d1", AT, PUMP, PUMP),
        ("d3", AT + timedelta(days=2), None, THERMOSTAT),
        ("d2", AT, None, None),
        ("stranger", AT, THERMOSTAT, THERMOSTAT),
    ],
)
def test_the_model_is_that_of_the_time(
    connection: duckdb.DuckDBPyConnection, device: str, measured: datetime | None, schema: str | None, model: str | None
) -> None:
    """The message's own, else the registry's at the time that the device says; before the first one the first."""
    received = AT if measured is None else max(AT, measured)
    changes = {"device_id": device, "measured_at": measured, "ce_dataschema": schema, "received_at": received}
    assert judged(connection, changes)["model_id"] == model


@pytest.mark.parametrize(
    ("measured", "status"),
    [
        (datetime(2001, 1, 1, tzinfo=UTC), "behind"),
        (datetime(1970, 1, 1, tzinfo=UTC) + (AT + timedelta(days=9) - datetime(1970, 1, 1, tzinfo=UTC)) / 1_000,
         "wrong_unit"),
    ],
)  # fmt: skip
def test_a_wrong_clock_says_nothing_of_the_model(
    connection: duckdb.DuckDBPyConnection, measured: datetime, status: str
) -> None:
    """The model is the registry's at the time that the record counts for: when it was received."""
    row = judged(connection, {"measured_at": measured, "received_at": AT + timedelta(days=9), "ce_subject": "motor"})
    assert (row["clock_status"], row["model_id"], row["reason"]) == (status, PUMP, None)


def test_a_clock_ahead_brings_no_later_model(connection: duckdb.DuckDBPyConnection) -> None:
    """A device that is a thermostat when it is received was no pump when it measured."""
    row = judged(connection, {"measured_at": AT + timedelta(days=9)})
    assert (row["clock_status"], row["model_id"]) == ("ahead", THERMOSTAT)


def test_a_wrong_unit_is_no_implausible_time(connection: duckdb.DuckDBPyConnection) -> None:
    """It counts when it was received, and is kept."""
    epoch = datetime(1970, 1, 1, tzinfo=UTC)
    row = judged(connection, {"measured_at": epoch + (AT - epoch) / 1_000})
    assert (row["reason"], row["clock_status"], row["event_at"]) == (None, "wrong_unit", AT)
    assert (str(row["event_date"]), row["event_hour"]) == ("2026-11-20", 5)


def test_what_is_compared_of_payloads_is_of_the_bytes(connection: duckdb.DuckDBPyConnection) -> None:
    """Other bytes have another digest, the same ones the same, and it is never negative."""
    digests = [judged(connection, {"value": value})["payload_digest"] for value in (b"{}", b"{} ", b"{}", b"\xff")]
    assert digests[0] == digests[2]
    assert len(set(digests)) == 3
    assert all(digest >= 0 for digest in digests)
