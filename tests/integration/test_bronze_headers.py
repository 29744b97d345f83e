"""Headers of every kind on their way to bronze: attributes in columns, the rest kept as it came."""

from typing import Any

import pytest
from pyspark.sql import SparkSession

from ingestion.bronze_ingest import ingest_topic
from ingestion.kafka_records import record_columns
from lake.storage.applications import App
from lake.storage.spark_commits import progress_of
from runtime.settings import Settings
from tests.support.landing import received, rows, send
from tests.support.raw_headers import send_with_header_name
from wire.envelope import TELEMETRY_TOPIC, Message

pytestmark = pytest.mark.every_reader

Headers = list[tuple[str, bytes | None]]

USUAL: Headers = [
    ("ce_specversion", b"1.0"),
    ("ce_id", b"1"),
    ("ce_source", b"/devices/d"),
    ("ce_type", b"lakehouse.telemetry"),
    ("ce_time", b"2026-11-20T05:00:00.000Z"),
    ("content-type", b"application/json"),
]
PLAIN = ("1", "/devices/d", "application/json", True)
# headers -> ce_id, ce_source, content_type, whether measured_at is known; the headers that are kept beside them
CASES: dict[str, tuple[Headers, tuple[Any, ...], Headers | None]] = {
    "usual": (USUAL, PLAIN, None),
    "another order": (USUAL[::-1], PLAIN, None),
    "all eight": ([*USUAL, ("ce_subject", b"motor"), ("ce_dataschema", b"dtmi:x:y;1")], PLAIN, None),
    "none": ([], (None, None, None, False), None),
    "unknown": ([("trace", b"a"), *USUAL, ("x", b"\xff")], PLAIN, [("trace", b"a"), ("x", b"\xff")]),
    "unknown without a value": ([*USUAL, ("x", None)], PLAIN, [("x", None)]),
    "only unknown": ([("x", b"1")], (None, None, None, False), [("x", b"1")]),
    "another case": ([("CE_ID", b"1")], (None, None, None, False), [("CE_ID", b"1")]),
    "repeated": ([*USUAL, ("ce_id", b"2")], ("2", *PLAIN[1:]), [*USUAL, ("ce_id", b"2")]),
    "repeated alike": ([*USUAL, ("ce_id", b"1")], PLAIN, [*USUAL, ("ce_id", b"1")]),
    "repeated, last without a value": ([*USUAL, ("ce_id", None)], (None, *PLAIN[1:]), [*USUAL, ("ce_id", None)]),
    "repeated, last not UTF-8": ([*USUAL, ("ce_id", b"\xff")], (None, *PLAIN[1:]), [*USUAL, ("ce_id", b"\xff")]),
    "repeated, first not UTF-8": ([("ce_id", b"\xff"), *USUAL], PLAIN, [("ce_id", b"\xff"), *USUAL]),
    "unknown repeated": ([*USUAL, ("x", b"1"), ("x", b"1")], PLAIN, [*USUAL, ("x", b"1"), ("x", b"1")]),
    "not UTF-8": ([("ce_id", b"\xff\xfe"), *USUAL[2:]], (None, *PLAIN[1:]), [("ce_id", b"\xff\xfe")]),
    "without a value": ([("ce_id", None), *USUAL[2:]], (None, *PLAIN[1:]), []),
    "empty": ([("ce_id", b""), *USUAL[2:]], ("", *PLAIN[1:]), None),
    "all of it": (
        [("x", b"1"), ("ce_id", None), ("ce_source", b"\xff"), ("ce_type", b"t")],
        (None, None, None, False),
        [("x", b"1"), ("ce_source", b"\xff")],
    ),
}


def test_headers_of_every_kind_land_in_their_columns_or_are_kept(spark: SparkSession, settings: Settings) -> None:
    """The last header of a name is the attribute; what no column holds whole is kept in order, byte for byte.

    So in this process, in Spark's plan that is interpreted, as for few records, and in one that is compiled.
    """
    assert settings.kafka_bootstrap is not None
    many = 30_000
    for copies in (1, many // len(CASES) + 1):
        send(
            settings.kafka_bootstrap,
            (
                Message(TELEMETRY_TOPIC, case.encode(), headers, b"{}")  # type: ignore[arg-type]
                for case, (headers, _, _) in CASES.items()
                for _ in range(copies)
            ),
        )
        ingest_topic(lambda: spark, settings, settings.kafka_bootstrap, TELEMETRY_TOPIC, "test")
        newest = progress_of(settings, "bronze.telemetry", App.INGEST)
        found = rows(
            settings,
            "bronze.telemetry",
            f"""SELECT device_id, ce_id, ce_source, content_type, measured_at IS NOT NULL, headers, count(*)
            FROM t WHERE ingest_id = {newest} GROUP BY ALL""",
        )
        assert {row[0]: row[1:] for row in found} == {
            case: (
                *attributes,
                None if kept is None else [{"key": key, "value": value} for key, value in kept],
                copies,
            )
            for case, (_, attributes, kept) in CASES.items()
        }
        assert len(found) == len(CASES)


def test_a_header_whose_name_is_not_utf_8_holds_nobody_up(spark: SparkSession, settings: Settings) -> None:
    """Its record lands with the others of the tick, whoever reads; the hot path goes on with what else it has."""
    assert settings.kafka_bootstrap is not None
    usual = [(name, value) for name, value in USUAL if value is not None]
    send(settings.kafka_bootstrap, [Message(TELEMETRY_TOPIC, b"usual", usual, b"{}")])
    send_with_header_name(settings.kafka_bootstrap, Message(TELEMETRY_TOPIC, b"odd", [], b"{}"), b"\xff\xfe")
    assert ingest_topic(lambda: spark, settings, settings.kafka_bootstrap, TELEMETRY_TOPIC, "test").records == 2
    found = rows(settings, "bronze.telemetry", "SELECT device_id, ce_id, len(headers) FROM t ORDER BY ALL")
    assert found == [("odd", None, 1), ("usual", "1", None)]
    hot = record_columns(received(settings.kafka_bootstrap, TELEMETRY_TOPIC, 2)).select(["device_id", "ce_id"])
    assert sorted(hot.to_pylist(), key=str) == [
        {"device_id": "odd", "ce_id": None}, {"device_id": "usual", "ce_id": "1"},
    ]  # fmt: skip
