"""A device's messages on their way to Kafka: their shapes, routes and partitions."""

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hub.messages.device_messages import Author, digest, shape_of
from hub.messages.message_routes import MessageRoutes, Route, read_routes
from hub.messages.repeat_window import partition_of
from runtime.errors import UsageError


def test_a_bag_becomes_headers() -> None:
    """System properties under the anchor's names, an app's own apart from them, `$.sub` as the component."""
    bag = {
        "$.mid": "m",
        "$.ct": "application/json",
        "$.ce": "utf-8",
        "$.sub": "room",
        "$.cid": "c",
        "k": "v",
        "f": None,
    }
    shape = shape_of(bag, "dtmi:a;1", "{}", [])
    headers = dict(Author("d", "m1", "hub0-a", 7).headers(shape, b"T", 5, b"dd"))
    assert headers == {
        "ce_specversion": b"1.0", "ce_id": b"m", "ce_source": b"/devices/d/modules/m1",
        "ce_type": b"lakehouse.telemetry",
        "ce_time": b"T", "content-type": b"application/json; charset=utf-8", "ce_subject": b"room",
        "ce_dataschema": b"dtmi:a;1", "iothub-correlation-id": b"c", "iothub-app-k": b"v", "iothub-app-f": b"",
        "iothub-connection-auth-method": b"{}", "hub_delivery": b"7-5-dd",
    }  # fmt: skip
    assert not shape.is_lasting


def test_ids_and_times_are_made_where_none_are_given() -> None:
    """An id that no other connection makes; the app's own time goes before the hub's."""
    author = Author("d", "", "hub0-a", 7)
    plain = shape_of({}, None, "{}", [])
    assert plain.is_lasting
    made = [dict(author.headers(plain, b"T", 0, b""))["ce_id"] for _ in range(2)]
    assert made == [b"hub0-a-7-1", b"hub0-a-7-2"]
    assert "hub_delivery" not in dict(author.headers(plain, b"T", 0, b""))
    dated = shape_of({"iothub-creation-time-utc": "2026-01-01T00:00:00Z"}, None, "{}", [])
    assert dict(author.headers(dated, b"T", 0, b""))["ce_time"] == b"2026-01-01T00:00:00Z"


def test_a_digest_tells_topic_and_payload_apart() -> None:
    """Two messages of a client that differ in either have two digests."""
    assert len({digest(b"t", b"a"), digest(b"t", b"b"), digest(b"u", b"a")}) == 3
    assert digest(b"t" * 500, b"a") == digest(b"t" * 500, b"a")


def test_routes_copy_or_take_over() -> None:
    """A copy beside telemetry, or alone; of one tenant only, where it says so."""
    routes = MessageRoutes(
        (Route("alarms", "level", "high"), Route("noise", "debug", None, True), Route("x", "p", tenant="b"))
    )
    assert routes.topics({}, "a") == ("telemetry",)
    assert routes.topics({"level": "high"}, "a") == ("telemetry", "alarms")
    assert routes.topics({"level": "low"}, "a") == ("telemetry",)
    assert routes.topics({"level": "high", "debug": ""}, "a") == ("alarms", "noise")
    assert routes.topics({"p": ""}, "a") == ("telemetry",)
    assert routes.topics({"p": ""}, "b") == ("telemetry", "x")


def test_a_routes_file_is_read_or_refused(tmp_path: Path) -> None:
    """No file is no route; anything that is no list of routes is named."""
    path = tmp_path / "routes.json"
    assert read_routes(path) == MessageRoutes()
    path.write_text(json.dumps([{"topic": "alarms", "property": "level", "equals": "high", "only": True}]))
    assert read_routes(path).rules == (Route("alarms", "level", "high", True),)
    for bad in (
        "{",
        "[1]",
        '[{"topic": "telemetry", "property": "a"}]',
        '[{"topic": "x", "property": "a", "typo": 1}]',
    ):
        path.write_text(bad)
        with pytest.raises(UsageError, match=r"routes\.json"):
            read_routes(path)


def test_a_partition_is_kafkas() -> None:
    """Keys and partitions as Kafka's own Java client gives them (murmur2's published test values)."""
    assert [partition_of(key, 1 << 31) for key in (b"21", b"foobar", b"a-little-bit-long-string")] == [
        value & 0x7FFFFFFF for value in (-973932308, -790332482, -985981536)
    ]


@given(st.binary(max_size=40), st.integers(1, 64))
def test_any_key_has_a_partition(key: bytes, partitions: int) -> None:
    """No key is without one."""
    assert 0 <= partition_of(key, partitions) < partitions
