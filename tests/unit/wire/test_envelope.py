"""The envelope: CloudEvents in Kafka's binary mode."""

from datetime import UTC, datetime, timedelta, timezone

import pytest

from wire.envelope import REGISTERED, SUBJECT, TIME, TelemetryEnvelope, header, lifecycle_message, rfc3339, with_header


def test_telemetry_carries_its_identity_in_headers() -> None:
    """A reading is one record: the device as key, CloudEvents attributes as headers, the payload untouched."""
    message = TelemetryEnvelope("pump-0001", "motor", "dtmi:x:y;1").message(
        "1-5", "2026-11-20T05:00:00.000Z", b'{"a":1}'
    )
    assert message.topic == "telemetry"
    assert message.key == b"pump-0001"
    assert message.value == b'{"a":1}'
    assert dict(message.headers) == {
        "ce_specversion": b"1.0",
        "ce_id": b"1-5",
        "ce_source": b"/devices/pump-0001",
        "ce_type": b"lakehouse.telemetry",
        "ce_time": b"2026-11-20T05:00:00.000Z",
        "ce_subject": b"motor",
        "ce_dataschema": b"dtmi:x:y;1",
        "content-type": b"application/json",
    }


def test_lifecycle_payload_has_only_what_is_given() -> None:
    """An event without attributes is an empty object, and no telemetry attribute is made up."""
    message = lifecycle_message("pump-0001", "r", REGISTERED, "2026-11-20T05:00:00.000Z", {"site_id": "Ålesund"})
    assert message.topic == "lifecycle"
    assert message.value == '{"site_id":"Ålesund"}'.encode()
    assert lifecycle_message("p", "r", REGISTERED, "t").value == b"{}"
    assert header(message, SUBJECT) is None


@pytest.mark.parametrize(
    ("moment", "text"),
    [
        (datetime(2026, 11, 20, 5, tzinfo=UTC), "2026-11-20T05:00:00.000Z"),
        (datetime(2026, 11, 20, 5, 0, 0, 120_000, tzinfo=UTC), "2026-11-20T05:00:00.120Z"),
        (datetime(2026, 11, 20, 5, 0, 0, 123_456, tzinfo=UTC), "2026-11-20T05:00:00.123456Z"),
        (datetime(2026, 11, 20, 6, tzinfo=timezone(timedelta(hours=1))), "2026-11-20T05:00:00.000Z"),
    ],
)
def test_times_are_utc_and_keep_their_precision(moment: datetime, text: str) -> None:
    """ce_time is UTC with milliseconds, with microseconds only where there are some."""
    assert rfc3339(moment) == text


def test_a_time_without_zone_is_refused() -> None:
    """Nobody guesses a zone."""
    with pytest.raises(ValueError, match="no time zone"):
        rfc3339(datetime(2026, 11, 20))


def test_a_header_is_set_anew_or_left_out() -> None:
    """`with_header` leaves the message that it is given as it is."""
    message = TelemetryEnvelope("d").message("1", "t", b"{}")
    assert header(with_header(message, TIME, b"u"), TIME) == b"u"
    assert header(with_header(message, TIME, None), TIME) is None
    assert header(message, TIME) == b"t"
