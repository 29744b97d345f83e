"""What becomes of bad input: one table of cases, each sent to a real broker among good messages and ticked once."""

import time
from datetime import UTC, datetime, timedelta

import pytest
from pyspark.sql import SparkSession

from runtime.settings import Settings
from tests.support.landing import reading, registered, rows, run_tick, send
from wire.envelope import DATASCHEMA, ID, SOURCE, SPECVERSION, SUBJECT, TIME, TYPE, Message, rfc3339, with_header

pytestmark = pytest.mark.every_engine

START = datetime.now(UTC).replace(minute=0, second=0, microsecond=0) - timedelta(hours=3)
GOOD = b'{"temperature":21.5,"humidity":40.5}'

PAYLOADS: dict[str, tuple[bytes, str]] = {
    "text": (b"hello", "not_json"),
    "no payload": (b"", "not_json"),
    "white space": (b"   ", "not_json"),
    "truncated": (b'{"temperature":21.5,"hum', "not_json"),
    "text behind the object": (b'{"temperature":21.5} x', "not_json"),
    "a second object behind": (b'{"temperature":21.5}{"temperature":22}', "not_json"),
    "a closing brace behind": (b'{"temperature":21.5} }', "not_json"),
    "a string": (b'"temperature"', "not_json"),
    "a number": (b"21.5", "not_json"),
    "null": (b"null", "not_json"),
    "NaN": (b'{"temperature":NaN}', "not_json"),
    "Infinity": (b'{"temperature":-Infinity}', "not_json"),
    "a decimal comma": (b'{"temperature":21,5}', "not_json"),
    "single quotes": (b"{'temperature':21.5}", "not_json"),
    "no quotes": (b"{temperature:21.5}", "not_json"),
    "a comment": (b'{"temperature":21.5/*C*/}', "not_json"),
    "a leading zero": (b'{"temperature":021.5}', "not_json"),
    "a leading plus": (b'{"temperature":+21.5}', "not_json"),
    "hexadecimal": (b'{"temperature":0x15}', "not_json"),
    "not UTF-8": (b'{"temperature":21.5,"note":"\xff\xfe"}', "not_json"),
    "UTF-16": ('{"temperature":21.5}'.encode("utf-16"), "not_json"),
    "NUL bytes": (b'{"temp\0erature":21.5}', "not_json"),
    "NUL behind the object": (b'{"temperature":21.5}\0', "not_json"),
    "nested 10,000 deep": (b'{"a":' * 10_000 + b"1" + b"}" * 10_000, "not_json"),
    "1 MB": (b'{"temperature":21.5,"note":"' + b"x" * 1_000_000 + b'"}', "too_large"),
    "a number in a string": (b'{"temperature":"21.5"}', "wrong_type"),
    "a boolean for a number": (b'{"temperature":true}', "wrong_type"),
    "an object for a number": (b'{"temperature":{"value":21.5}}', "wrong_type"),
    "a list for a number": (b'{"temperature":[21.5]}', "wrong_type"),
    "1e400": (b'{"temperature":1e400}', "wrong_type"),
    "a name twice": (b'{"temperature":21.5,"temperature":22.5}', "duplicate_key"),
    "an empty object": (b"{}", "no_telemetry"),
    "only null": (b'{"temperature":null}', "no_telemetry"),
    "only unknown names": (b'{"Temperature":21.5}', "no_telemetry"),
    "above the range": (b'{"temperature":500}', "out_of_range"),
    "below the range": (b'{"temperature":-273.16}', "out_of_range"),
    "one good, one out of range": (b'{"temperature":21.5,"humidity":140}', "out_of_range"),
}


def envelopes() -> dict[str, tuple[Message, str]]:
    """Good payloads in bad envelopes."""

    def message(case: str, time: str | None = None) -> Message:
        return reading("bad-1", f"envelope {case}", time or START + timedelta(minutes=30), GOOD)

    def changed(case: str, header: str, value: bytes | None) -> Message:
        return with_header(message(case), header, value)

    def keyed(case: str, key: bytes | None) -> Message:
        good = message(case)
        return Message(good.topic, key, good.headers, good.value)

    return {
        "no key": (keyed("no key", None), "missing_device"),
        "an empty key": (keyed("an empty key", b""), "missing_device"),
        "a key that is not UTF-8": (keyed("a key that is not UTF-8", b"\xff\xfe"), "missing_device"),
        "an unknown device": (keyed("an unknown device", b"nobody"), "unknown_device"),
        "another case": (keyed("another case", b"BAD-1"), "unknown_device"),
        "a Unicode twin": (keyed("a Unicode twin", "b\u0430d-1".encode()), "unknown_device"),
        "a trailing blank": (keyed("a trailing blank", b"bad-1 "), "unknown_device"),
        "a path": (keyed("a path", b"../../etc/passwd"), "unknown_device"),
        "quotes": (keyed("quotes", b"bad-1' OR '1'='1"), "unknown_device"),
        "a NUL in the key": (keyed("a NUL in the key", b"bad-1\0"), "unknown_device"),
        "a key of 64 KB": (keyed("a key of 64 KB", b"d" * 65536), "unknown_device"),
        "no id": (changed("no id", ID, None), "bad_envelope"),
        "an empty id": (changed("an empty id", ID, b""), "bad_envelope"),
        "an id that is not UTF-8": (changed("an id that is not UTF-8", ID, b"\xff"), "bad_envelope"),
        "no source": (changed("no source", SOURCE, None), "bad_envelope"),
        "no type": (changed("no type", TYPE, None), "bad_envelope"),
        "another type": (changed("another type", TYPE, b"com.example.sold"), "bad_envelope"),
        "no specversion": (changed("no specversion", SPECVERSION, None), "bad_envelope"),
        "an unknown model": (changed("an unknown model", DATASCHEMA, b"dtmi:x:y;1"), "unknown_model"),
        "an unknown component": (changed("an unknown component", SUBJECT, b"motor"), "unknown_component"),
        "no time": (changed("no time", TIME, None), "bad_time"),
        "seconds since 1970": (message("seconds since 1970", "1763900000"), "bad_time"),
        "a date": (message("a date", "2026-11-20"), "bad_time"),
        "no zone": (message("no zone", "2026-11-20T05:00:00"), "bad_time"),
        "the 31st of February": (message("the 31st of February", "2026-02-31T05:00:00Z"), "bad_time"),
        "words": (message("words", "yesterday"), "bad_time"),
        "the year 1970": (message("the year 1970", "1970-01-01T00:00:00Z"), "implausible_time"),
        "the year 1999": (message("the year 1999", "1999-12-31T23:59:59Z"), "implausible_time"),
        "the year 2100": (message("the year 2100", "2100-01-01T00:00:00Z"), "implausible_time"),
        "the year 9999": (message("the year 9999", "9999-12-31T23:59:59Z"), "implausible_time"),
        "the year 0": (message("the year 0", "0000-01-01T00:00:00Z"), "implausible_time"),
    }


ACCEPTED: dict[str, bytes] = {
    "integers for doubles": b'{"temperature":21,"humidity":40}',
    "minus zero": b'{"temperature":-0}',
    "white space around": b' \n{ "temperature" : 21.5 }\t ',
    "one null": b'{"temperature":21.5,"humidity":null}',
    "an exponent": b'{"temperature":2.15e1}',
    "an escaped name": b'{"t\\u0065mperature":21.5}',
    "an unknown name": b'{"temperature":21.5,"colour":"red: {}"}',
}


def test_every_bad_message_is_rejected_with_its_reason_and_its_neighbours_arrive(
    spark: SparkSession, settings: Settings
) -> None:
    """Each case ends in one row with the right reason and its own bytes; the good messages are all readings."""
    assert settings.kafka_bootstrap is not None
    bad = {f"payload {case}": reason for case, (_, reason) in PAYLOADS.items()}
    messages = [registered("bad-1", START), registered("good-1", START)]
    for minute, (case, (payload, _)) in enumerate(PAYLOADS.items()):
        messages.append(reading("bad-1", f"payload {case}", START + timedelta(minutes=minute), payload))
        messages.append(reading("good-1", f"good {minute}", START + timedelta(minutes=minute), GOOD))
    for second, (case, payload) in enumerate(ACCEPTED.items()):
        messages.append(reading("good-1", f"odd {case}", START + timedelta(seconds=second + 1), payload))
    expected_envelopes = envelopes()
    messages += [message for message, _ in expected_envelopes.values()]
    send(settings.kafka_bootstrap, messages)
    run_tick(spark, settings)

    refused = rows(settings, "silver.rejected", "SELECT message_id, reason, value FROM t WHERE message_id <> ''")
    found = {message_id: reason for message_id, reason, _ in refused if message_id.startswith("payload")}
    assert found == bad
    values = {message_id: value for message_id, _, value in refused}
    assert all(values[f"payload {case}"] == payload for case, (payload, _) in PAYLOADS.items() if payload)
    by_envelope = {message_id: reason for message_id, reason, _ in refused if message_id.startswith("envelope")}
    nameless = {"no id", "an empty id", "an id that is not UTF-8"}
    assert by_envelope == {
        f"envelope {case}": reason for case, (_, reason) in expected_envelopes.items() if case not in nameless
    }
    assert rows(
        settings, "silver.rejected", 'SELECT count(*), count(DISTINCT (topic, partition, "offset")) FROM t'
    ) == [(len(bad) + len(expected_envelopes),) * 2]
    readings = {row[0] for row in rows(settings, "silver.thermostats", "SELECT message_id FROM t")}
    assert readings == {f"good {minute}" for minute in range(len(PAYLOADS))} | {f"odd {case}" for case in ACCEPTED}
    assert rows(
        settings, "silver.thermostats", "SELECT unknown_telemetry FROM t WHERE unknown_telemetry IS NOT NULL"
    ) == [({"colour": "red: {}"},)]


@pytest.mark.parametrize("case", ["ahead", "behind", "wrong_unit"])
def test_a_wrong_clock_is_flagged_and_harms_no_one(spark: SparkSession, settings: Settings, case: str) -> None:
    """A clock in 2099, before the device was in service, or in 1970 since its seconds were taken for milliseconds,
    keeps measured_at and counts when it was received."""
    assert settings.kafka_bootstrap is not None
    seconds_as_ms = datetime.fromtimestamp(time.time() / 1000, UTC)
    moment = {
        "ahead": "2099-01-01T00:00:00.000Z",
        "behind": "2015-01-01T00:00:00.000Z",
        "wrong_unit": rfc3339(seconds_as_ms),
    }[case]
    send(
        settings.kafka_bootstrap,
        [
            registered("d", START),
            reading("d", "wrong", moment),
            reading("d", "right", START),
            reading("d", "wrong", moment),
        ],
    )
    run_tick(spark, settings)
    send(settings.kafka_bootstrap, [reading("d", "wrong", moment)])
    run_tick(spark, settings)
    sql = """SELECT message_id, clock_status, year(measured_at) IN (1970, 2015, 2099), event_at = received_at
        FROM t ORDER BY message_id"""
    assert rows(settings, "silver.thermostats", sql) == [("right", "ok", False, False), ("wrong", case, True, True)]
    assert rows(settings, "silver.rejected", "SELECT reason, count(*) FROM t GROUP BY ALL") == [("duplicate", 2)]
