"""Packs in bronze: their messages beside them, each judged once, and the sums of bronze and silver meet."""

from collections import Counter
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow.compute as pc
import pytest
from deltalake import write_deltalake

from lake.models.catalog import BUILT_IN_MODELS, load_models, silver_tables
from lake.storage.applications import App
from lake.storage.delta import append, append_transaction
from lake.storage.duckdb_connection import connect
from lake.storage.lease import writer_lease
from lake.storage.locations import table_uri
from lake.storage.open_logs import open_logs
from lake.tables.bronze import BRONZE_LIFECYCLE, BRONZE_TELEMETRY
from lake.tables.silver import SILVER_DEVICES, SILVER_REJECTED, SILVER_SITES
from pipeline.silver.append import append_new
from pipeline.silver.device_registry import update_registry
from pipeline.silver.judging import judging
from pipeline.silver.unpacking import unpack
from runtime.settings import Settings
from streams.hot_registry import HotRegistry, events_of_the_lake
from tests.support.landing import rows
from tests.support.log_openings import counted_openings
from tests.support.small_lake import THERMOSTAT, Lake, arrow_table
from transforms.packed import is_packed
from wire.envelope import rfc3339

START = datetime(2026, 11, 20, 5, tzinfo=UTC)
MODELS = {THERMOSTAT: load_models([BUILT_IN_MODELS])[THERMOSTAT]}


def _record(offset: int, value: bytes, kind: str = "application/json", **changes: Any) -> dict[str, Any]:
    received = START + timedelta(hours=3)
    hour = int(START.timestamp()) // 3600
    row = {
        "topic": "telemetry", "partition": 0, "offset": offset, "ingest_id": 10, "device_id": "d1", "key": b"d1",
        "received_at": received, "received_date": received.date(), "received_hour": hour + 3, "value": value,
        "ce_specversion": "1.0", "ce_id": f"m{offset}", "ce_source": "/devices/d1", "ce_type": "lakehouse.telemetry",
        "ce_time": "2026-11-20T05:00:00Z", "content_type": kind, "measured_at": START, "measured_hour": hour,
    }  # fmt: skip
    return row | changes


_OF_HEADERS = ("ce_specversion", "ce_id", "ce_source", "ce_type", "ce_time", "measured_at", "measured_hour")
STRUCTURED = dict.fromkeys(_OF_HEADERS)
EVENT = (
    b'{"specversion":"1.0","id":"%s","source":"/devices/d1","type":"lakehouse.telemetry","time":"%s",'
    b'"data":{"temperature":%s}}'
)


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """A lake with a registered device and nothing else."""
    settings = Settings(home=tmp_path, lake_uri=str(tmp_path / "lake"))
    for table in (BRONZE_TELEMETRY, SILVER_REJECTED, SILVER_DEVICES, *silver_tables(MODELS.values()).values()):
        write_deltalake(table_uri(settings, table.name), arrow_table(table, []), partition_by=list(table.partition_by))
    with writer_lease(settings, "test"):
        device = arrow_table(SILVER_DEVICES, [Lake(settings).device("d1")])
        append(settings, SILVER_DEVICES, device, {})
    return settings


def _land(settings: Settings, records: list[dict[str, Any]], ingest_id: int = 10) -> None:
    table = arrow_table(BRONZE_TELEMETRY, [each | {"ingest_id": ingest_id} for each in records])
    append_transaction(settings, BRONZE_TELEMETRY, table.to_reader, (App.INGEST, ingest_id), {"step": "ingest"})


def test_every_message_of_a_pack_is_judged_once(settings: Settings) -> None:
    """A list, SenML in two units, an event, a batch of two hours and a pack that is none, among others; a tick that was
    killed behind the unpacking and comes again changes nothing."""
    bt = int(START.timestamp())
    records = [
        _record(0, b'{"temperature":20}'),
        _record(1, b'[{"temperature":21},{"temperature":"x"}]'),
        _record(2, b' [{"bn":"urn:dev:d1:","bt":%d,"n":"temperature","v":22.5},' % bt
                   + b'{"n":"temperature","t":3600,"v":23}]'),
        _record(3, EVENT % (b"e1", b"2026-11-20T05:10:00Z", b"24"), "application/cloudevents+json", **STRUCTURED),
        _record(4, b"[%s,%s]" % (EVENT % (b"e2", b"2026-11-20T06:10:00Z", b"25"),
                                 EVENT % (b"e1", b"2026-11-20T05:10:00Z", b"24")),
                "application/cloudevents-batch+json", **STRUCTURED),
        _record(5, b"[1]"),
        _record(6, b"no event", "application/cloudevents+json", **STRUCTURED),
        _record(7, b'[{"n":"temperature","u":"Cel","v":19}, {"n":"temperature","t":60,"u":"K","v":293}]'),
    ]  # fmt: skip
    with writer_lease(settings, "test"):
        _land(settings, records)
        with judging(settings) as connection:
            assert unpack(connection, settings, BRONZE_TELEMETRY, -1, 10, "killed") == 7
        append_new(settings, MODELS, "test")
        append_new(settings, MODELS, "again")
    read = (
        "SELECT message_id, temperature_degc, strftime(event_at AT TIME ZONE 'UTC', '%H:%M'), topic FROM t ORDER BY ALL"
    )
    assert rows(settings, "silver.thermostats", read) == [
        ("e1", 24.0, "05:10", "telemetry#1"), ("e2", 25.0, "06:10", "telemetry#1"), ("m0", 20.0, "05:00", "telemetry"),
        ("m1#1", 21.0, "05:00", "telemetry#1"), ("m2#1", 22.5, "05:00", "telemetry#1"),
        ("m2#2", 23.0, "06:00", "telemetry#2"), ("m7#1", 19.0, "05:00", "telemetry#1"),
    ]  # fmt: skip
    refused = 'SELECT "offset", topic, reason, value FROM t ORDER BY ALL'
    assert rows(settings, "silver.rejected", refused) == [
        (1, "telemetry", "unpacked", None), (1, "telemetry#2", "wrong_type", b'{"temperature":"x"}'),
        (2, "telemetry", "unpacked", None), (3, "telemetry", "unpacked", None), (4, "telemetry", "unpacked", None),
        (4, "telemetry#2", "duplicate", EVENT.split(b'"data":')[1][:-1] % b"24"),
        (5, "telemetry", "unpacked", None), (5, "telemetry#1", "not_json", b"[1]"),
        (6, "telemetry", "unpacked", None), (6, "telemetry#1", "bad_envelope", b"no event"),
        (7, "telemetry", "unpacked", None),
        (7, "telemetry#2", "other_unit", b'{"temperature":293,"$units":{"temperature":"K"}}'),
    ]  # fmt: skip
    ((total, places),) = rows(
        settings, "bronze.telemetry", 'SELECT count(*), count(DISTINCT (topic, "partition", "offset")) FROM t'
    )
    assert total == places == 8 + 11


def test_a_killed_tick_whose_packs_wait_with_newer_ones_counts_them_once(settings: Settings) -> None:
    """The next tick ingests more before it goes on, so what it unpacks begins with what was unpacked already."""
    with writer_lease(settings, "test"):
        _land(settings, [_record(0, b'[{"temperature":21},{"temperature":22}]')], 1)
        with judging(settings) as connection:
            assert unpack(connection, settings, BRONZE_TELEMETRY, -1, 1, "killed") == 1
        _land(settings, [_record(1, b'[{"temperature":23}]')], 2)
        append_new(settings, MODELS, "test")
    found = rows(settings, "silver.thermostats", "SELECT message_id, temperature_degc FROM t ORDER BY ALL")
    assert found == [("m0#1", 21.0), ("m0#2", 22.0), ("m1#1", 23.0)]


def test_structured_lifecycle_events_are_events(settings: Settings) -> None:
    """One event, and a batch in which two at one moment count in their order, also behind the tenth, and one declares a
    site; judged again as a copy of the lake would be, they come to the same."""
    registered = _of_registry("registered", 0, "old", '"model_id":"a","site_id":"s1"')
    updates = [_of_registry("updated", 60, f"u{n}", f'"site_id":"s{n}"') for n in range(2, 13)]
    site = _of_registry("declared", 0, "site", '"zone":"Europe/Berlin"').replace(b"device.declared", b"site.declared")
    records = [
        _record(0, registered, "application/cloudevents+json", topic="lifecycle", **STRUCTURED),
        _record(1, b"[%s,5]" % b",".join(updates), "application/cloudevents-batch+json",
                topic="lifecycle", **STRUCTURED),
        _record(2, site, "application/cloudevents+json", topic="lifecycle", key=b"s12", device_id="s12", **STRUCTURED),
        _record(3, b"[]", topic="lifecycle", ce_type="lakehouse.device.updated"),
    ]  # fmt: skip
    for table in (BRONZE_LIFECYCLE, SILVER_SITES):
        write_deltalake(table_uri(settings, table.name), arrow_table(table, []), partition_by=list(table.partition_by))
    with writer_lease(settings, "test"):
        landed = arrow_table(BRONZE_LIFECYCLE, records)
        append_transaction(settings, BRONZE_LIFECYCLE, landed.to_reader, (App.INGEST, 10), {"step": "ingest"})
        assert update_registry(settings, MODELS, "test") == 1
        with judging(settings) as connection:
            assert unpack(connection, settings, BRONZE_LIFECYCLE, -1, 10, "copied") == 0
    history = "SELECT model_id, site_id, topic FROM t WHERE device_id = 'd1' ORDER BY valid_from"
    assert rows(settings, "silver.devices", history) == [("a", "s1", "lifecycle#1"), ("a", "s12", "lifecycle#11")]
    assert rows(settings, "silver.sites", "SELECT site_id, zone FROM t") == [("s12", "Europe/Berlin")]
    refused = 'SELECT "offset", topic, reason FROM t ORDER BY ALL'
    assert rows(settings, "silver.rejected", refused) == [
        (0, "lifecycle", "unpacked"), (1, "lifecycle", "unpacked"), (1, "lifecycle#12", "bad_envelope"),
        (2, "lifecycle", "unpacked"), (3, "lifecycle", "not_json"),
    ]  # fmt: skip

    with connect(settings) as connection:
        for has_parts in (True, False):
            events = events_of_the_lake(connection, settings)
            if not has_parts:
                events = events.filter(pc.equal(events["topic"], "lifecycle"))
            with connect(settings) as hot:
                placed = HotRegistry(hot, events).facts()[1].sort_by("valid_from")
            assert placed.select(["device_id", "site_id"]).to_pylist() == [
                {"device_id": "d1", "site_id": "s1"}, {"device_id": "d1", "site_id": "s12"},
            ]  # fmt: skip


def _of_registry(kind: str, second: int, message_id: str, data: str) -> bytes:
    moment = rfc3339(START + timedelta(seconds=second))
    return (
        f'{{"specversion":"1.0","id":"{message_id}","source":"/devices/d1","type":"lakehouse.device.{kind}",'
        f'"time":"{moment}","data":{{{data}}}}}'
    ).encode()


def test_a_pack_that_comes_again_is_a_repeat(settings: Settings) -> None:
    """Its messages are those of before, across ticks."""
    with writer_lease(settings, "test"):
        for tick in (1, 2):
            _land(settings, [_record(tick, b'[{"temperature":21},{"temperature":22}]', ce_id="same")], tick)
            append_new(settings, MODELS, "test")
    assert rows(settings, "silver.thermostats", "SELECT message_id FROM t ORDER BY ALL") == [("same#1",), ("same#2",)]
    refused = rows(settings, "silver.rejected", "SELECT reason, repeats FROM t WHERE topic <> 'telemetry' ORDER BY ALL")
    assert refused == [("duplicate", "telemetry#1:0:1"), ("duplicate", "telemetry#2:0:1")]


def test_the_first_of_a_pack_is_kept(settings: Settings) -> None:
    """Of two values of one identity in one batch that which stands first counts, also behind the tenth place, and also
    when a record of its own brings it in the same tick."""
    events = [EVENT % (b"e%d" % n, b"2026-11-20T05:10:00Z", b"%d" % n) for n in range(12)]
    events[10] = EVENT % (b"e1", b"2026-11-20T05:10:00Z", b"39")
    of_e2: dict[str, Any] = {
        "ce_id": "e2",
        "measured_at": START + timedelta(minutes=10),
        "ce_time": "2026-11-20T05:10:00Z",
    }
    with writer_lease(settings, "test"):
        _land(settings, [
            _record(0, b"[%s]" % b",".join(events), "application/cloudevents-batch+json", **STRUCTURED),
            _record(1, b'{"temperature":38}', **of_e2),
        ])  # fmt: skip
        append_new(settings, MODELS, "test")
    kept = "SELECT temperature_degc, topic FROM t WHERE message_id IN ('e1', 'e2') ORDER BY ALL"
    assert rows(settings, "silver.thermostats", kept) == [(1.0, "telemetry#2"), (2.0, "telemetry#3")]
    refused = "SELECT topic, reason, repeats FROM t WHERE reason <> 'unpacked' ORDER BY ALL"
    assert rows(settings, "silver.rejected", refused) == [
        ("telemetry", "conflict", "telemetry#3:0:0"), ("telemetry#11", "conflict", "telemetry#2:0:0"),
    ]  # fmt: skip


def test_a_tick_opens_each_log_once(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of bronze, of the registry, of each table that it writes: whatever comes to it again asks for its news."""
    with writer_lease(settings, "test"):
        for number in (1, 2):
            _land(settings, [_record(number, b'[{"temperature":21},{"temperature":"x"}]')], number)
            with open_logs():
                openings = counted_openings(monkeypatch)
                append_new(settings, MODELS, "test")
            names = {"bronze.telemetry", "silver.devices", "silver.rejected", "silver.thermostats"}
            assert Counter(openings) == Counter(dict.fromkeys(names, 1))


@pytest.mark.parametrize(
    ("value", "kind", "expected"),
    [
        (b'{"a":1}', "application/json", False), (b'{"a":[1]}', None, False), (b"", None, False), (None, None, False),
        (b"text", None, False), (b"\\x", None, False), (b"  {}", None, False), (b"\xff", None, False),
        (b"[1]", None, True), (b"\n [1]", "text/plain", True), (b"{}", "application/cloudevents+json", True),
        (b"x", "Application/SenML+JSON", True), (b"x", " application/senml+json", True),
        (None, "application/cloudevents-batch+json", True),
    ],
)  # fmt: skip
def test_packs_are_told_by_their_type_or_their_first_sign(
    value: bytes | None, kind: str | None, expected: bool
) -> None:
    """An ordinary record never is one, nor is a message of a pack."""
    is_event = kind is not None and "cloudevents" in kind
    with connect(Settings(home=Path("/nowhere"), lake_uri="/nowhere")) as connection:
        for topic, is_pack in (("telemetry", expected), ("telemetry#1", False), ("lifecycle", is_event)):
            query = f"SELECT {is_packed()} FROM (SELECT ? AS topic, ?::BLOB AS value, ?::VARCHAR AS content_type)"
            assert connection.execute(query, [topic, value, kind]).fetchall() == [(is_pack,)]
