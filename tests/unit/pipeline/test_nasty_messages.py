"""Nasty messages: whatever bytes come, both judging paths refuse or take them; an exception would stop each refresh."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pytest
from deltalake import write_deltalake
from hypothesis import given
from hypothesis import strategies as st

from ingestion.kafka_records import bronze_batch
from lake.models.catalog import BUILT_IN_MODELS, load_models, silver_tables
from lake.storage.applications import App
from lake.storage.delta import append, append_transaction
from lake.storage.lease import writer_lease
from lake.storage.locations import table_uri
from lake.tables.bronze import BRONZE_LIFECYCLE, BRONZE_TELEMETRY
from lake.tables.silver import SILVER_DEVICES, SILVER_REJECTED, SILVER_SITES
from pipeline.silver.append import append_new
from pipeline.silver.device_registry import update_registry
from runtime.settings import Settings
from streams.judged_batches import JudgedBatches
from tests.support.landing import rows
from tests.support.small_lake import THERMOSTAT, Lake, arrow_table
from transforms.device_history import judge_event
from transforms.packed import messages_in
from transforms.payload import payloads_of
from transforms.site_history import SITE
from transforms.strict_payload import judge
from wire.envelope import REGISTERED, SITE_DECLARED

READ_AT = datetime(2026, 11, 20, 8, tzinfo=UTC)
MODELS = {THERMOSTAT: load_models([BUILT_IN_MODELS])[THERMOSTAT]}
TIMES = ("0000-01-01T00:00:00Z", "9999-12-31T23:59:59-23:59", "0001-01-01T00:00:00+23:59")
GOOD = '{"temperature":21.5}'
EVENT = '"specversion":"1.0","id":"e","source":"/s","type":"lakehouse.telemetry","time":"2026-11-20T05:00:00Z"'
HALF = "\\ud800"
DEEP = tuple("[" * depth + "]" * depth for depth in (50, 300, *range(850, 1000), 5000))

Sent = tuple[str, bytes, dict[str, str | bytes]]
"""Topic, payload, headers besides the usual."""


class Record:
    """A record as confluent-kafka gives it: of its own class only the client can make any."""

    def __init__(self, offset: int, sent: Sent, key: bytes = b"d1") -> None:
        usual: dict[str, str | bytes] = {
            "ce_specversion": "1.0", "ce_id": f"m{offset}", "ce_source": "/devices/d1",
            "ce_time": "2026-11-20T05:00:00Z", "ce_type": "lakehouse.telemetry",
        }  # fmt: skip
        self._topic, self._value, more = sent
        self._offset, self._key, self._headers = offset, key, usual | more

    def topic(self) -> str:
        return self._topic

    def key(self) -> bytes:
        return self._key

    def value(self) -> bytes:
        return self._value

    def headers(self) -> list[tuple[str, bytes]]:
        return [(name, value if isinstance(value, bytes) else value.encode()) for name, value in self._headers.items()]

    def partition(self) -> int:
        return 0

    def offset(self) -> int:
        return self._offset

    def timestamp(self) -> tuple[int, int]:
        return 2, int(READ_AT.timestamp()) * 1000


def structured(*members: str) -> Sent:
    text = "{" + ",".join((EVENT, *members)) + "}"
    return "telemetry", text.encode(), {"content-type": "application/cloudevents+json"}


def telemetry(text: str | bytes, **headers: str | bytes) -> Sent:
    return "telemetry", text if isinstance(text, bytes) else text.encode(), dict(headers)


NASTY = [
    *(structured(f'"{name}":"{text}"', f'"data":{GOOD}')
      for name in ("id", "source", "type", "subject", "dataschema", "datacontenttype", "specversion", "time")
      for text in (HALF, "a\\u0000b", "")),
    *(structured(f'"time":"{time}"', f'"data":{GOOD}') for time in TIMES),
    structured('"data":"' + HALF + '"', '"datacontenttype":"text/plain"'), structured('"data_base64":"/w=="'),
    *(structured(f'"data":{deep}') for deep in DEEP),
    *(telemetry(f"[{GOOD}]", ce_time=time) for time in TIMES),
    *(telemetry('[{"n":"temperature","v":1,"t":1}]', ce_time=time) for time in TIMES),
    *(telemetry(GOOD, ce_time=time) for time in TIMES),
    *(telemetry(f'[{{"bn":"d:","bt":{bt},"n":"temperature","v":1}}]')
      for bt in ("999999999999", "-99999999999", "253402300800", "1e999999", "1e-999999", "1" * 5000)),
    telemetry('[{"n":"' + HALF + '","v":1}]'),
    *(telemetry(f'{{"temperature":{value}}}') for value in ("1e999", "9" * 400, "9" * 5000, "-0.0", "1e-400")),
    *(telemetry(f'{{"temperature":1,"{name}":2}}') for name in (HALF, "a\\u0000b", "\\uffff", "")),
    *(telemetry(f'{{"temperature":1,"x":{deep}}}') for deep in DEEP), *map(telemetry, DEEP),
    *(telemetry(f'{{"temperature":{deep}}}') for deep in DEEP),
    *map(telemetry, (b"\xff", b"[\xff]", b"", b"\0", b"[", b"[]", b"\xef\xbb\xbf[1]", b'"\xed\xa0\x80"', b"[" * 9000)),
    *(telemetry(GOOD, **{name: value}) for name in ("ce_id", "ce_subject", "ce_dataschema", "ce_time", "content-type")
      for value in (b"\xff", b"\0", b"", b"\xed\xa0\x80")),
]  # fmt: skip
DECLARATIONS = [
    *(f'{{"zone":{zone}}}' for zone in ('"' + "a" * 300 + '"', f'"{HALF}"', '"a\\u0000"', "5", *DEEP)),
    *(f'{{"model_id":{text}}}' for text in (f'"{HALF}"', "5", '"a\\u0000b"', *DEEP)),
    *(f'{{"reporting_interval_s":{number}}}' for number in ("1e999", "9" * 5000, "2147483648", "60.0", '"60"')),
    '{"name":"' + HALF + '"}', "[", "", '{"site_id":"' + "s" * 9000 + '"}',
]  # fmt: skip


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """A lake with a registered device and nothing else."""
    settings = Settings(home=tmp_path, lake_uri=str(tmp_path / "lake"))
    readings = silver_tables(MODELS.values()).values()
    for table in (BRONZE_TELEMETRY, BRONZE_LIFECYCLE, SILVER_REJECTED, SILVER_DEVICES, SILVER_SITES, *readings):
        write_deltalake(table_uri(settings, table.name), arrow_table(table, []), partition_by=list(table.partition_by))
    with writer_lease(settings, "test"):
        append(settings, SILVER_DEVICES, arrow_table(SILVER_DEVICES, [Lake(settings).device("d1")]), {})
    return settings


def hot_batches() -> JudgedBatches:
    connection = duckdb.connect()
    connection.execute("SET TimeZone = 'UTC'")
    batches = JudgedBatches(connection, MODELS)
    connection.execute(
        "INSERT INTO facts SELECT 'd1', TIMESTAMPTZ '2026-01-01', [struct_pack(valid_from := TIMESTAMPTZ '2026-01-01', "
        f"model_id := '{THERMOSTAT}')]"
    )
    return batches


def test_each_is_judged_alike_in_both_paths(settings: Settings) -> None:
    """The tick gives every message a place, in silver or with a reason, and the hot path as many of each."""
    records = [Record(offset, sent) for offset, sent in enumerate(NASTY)]
    batch = bronze_batch(records, 10, READ_AT)  # type: ignore[arg-type]
    append_transaction(settings, BRONZE_TELEMETRY, pa.Table.from_batches([batch]).to_reader, (App.INGEST, 10), {})
    with writer_lease(settings, "test"):
        report = append_new(settings, MODELS, "test")
    taken, refused = sum(report.rows.values()), sum(report.rejected.values())
    ((bronze,),) = rows(settings, "bronze.telemetry", "SELECT count(*) FROM t")
    assert bronze == taken + refused
    batches = hot_batches()
    counts = batches.take(records)  # type: ignore[arg-type]
    assert (counts.readings, counts.refused) == (taken, refused)


def test_each_declaration_is_judged(settings: Settings) -> None:
    """The registry takes or refuses every event, of devices and of sites."""
    sent: list[Sent] = [
        ("lifecycle", text.encode(), {"ce_type": kind}) for text in DECLARATIONS
        for kind in (REGISTERED, SITE_DECLARED)
    ]  # fmt: skip
    records: list[Any] = [Record(offset, each) for offset, each in enumerate(sent)]
    batch = bronze_batch(records, 10, READ_AT)
    append_transaction(settings, BRONZE_LIFECYCLE, pa.Table.from_batches([batch]).to_reader, (App.INGEST, 10), {})
    with writer_lease(settings, "test"):
        update_registry(settings, MODELS, "test")
    assert rows(settings, "silver.rejected", "SELECT count(*) > 40 FROM t") == [(True,)]


LEAVES = st.one_of(
    st.none(), st.booleans(), st.sampled_from([GOOD, *TIMES, "a\0b", "\ud800", "?", 10**400, 1e308, -(2**63)]),
    st.integers(), st.floats(), st.text(st.characters(codec=None), max_size=5),
)  # fmt: skip
NAMES = st.sampled_from(
    ["temperature", "bn", "bt", "n", "t", "v", "vs", "data", "id", "time", "subject", "zone", "\ud800"]
)
DOCUMENTS = st.recursive(LEAVES, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=4))
KINDS = st.sampled_from(
    ["application/json", "application/cloudevents+json", "application/cloudevents-batch+json", "application/senml+json"]
)


@given(DOCUMENTS, KINDS, st.sampled_from(TIMES), st.binary(max_size=3), st.floats(0, 1))
def test_no_document_stops_a_judge(document: Any, kind: str, time: str, edit: bytes, share: float) -> None:
    """Any JSON, with bytes put into it, comes out of packs and of the judges as Arrow can hold it."""
    text = json.dumps(document).encode()
    place = round(share * len(text))
    value = text[:place] + edit + text[place:]
    record = Record(0, ("telemetry", value, {"content-type": kind, "ce_time": time}))
    packs = pa.Table.from_batches([bronze_batch([record], 1, READ_AT)])  # type: ignore[list-item]
    messages = messages_in(packs)
    (shape,) = payloads_of(MODELS.values())[:1]
    judged = [judge(each, shape) for each in messages["value"].to_pylist()]
    judged += [judge_event(value), judge_event(value, SITE)]
    assert all(each.reason or pa.array([each.text], pa.string()) for each in judged)
