"""Events of the built-in endpoint: whose they are is said by the hub alone."""

from typing import Any, cast

from confluent_kafka import Message

from hub.amqp.endpoint_events import event_of, read_headers
from hub.messages.device_messages import Author, shape_of
from wire.hub_topics import read_bag


class Record:
    """A record as a device's message becomes one; `headers` may be asked once."""

    def __init__(self, bag: str, more: list[tuple[str, bytes]] = [], *, is_readable: bool = True) -> None:  # noqa: B006
        shape = shape_of(read_bag(bag), None, "sas", [])
        self._headers = [*Author("sender", "", "h", 1).headers(shape, b"2026-11-28T00:00:00Z", 1, b"d"), *more]
        self._is_readable, self._is_asked = is_readable, False

    def headers(self) -> list[tuple[str, bytes]]:
        assert not self._is_asked, "asked twice"
        self._is_asked = True
        if not self._is_readable:
            raise SystemError("returned a result with an exception set")
        return self._headers

    def offset(self) -> int:
        return 5

    def timestamp(self) -> tuple[int, int]:
        return (1, 1000)

    def value(self) -> bytes:
        return b"{}"

    def key(self) -> bytes:
        return b"sender"


def annotations(record: Record) -> dict[Any, Any]:
    headers = read_headers(cast(Message, record))
    assert headers is not None
    return event_of(cast(Message, record), headers).annotations


def test_a_device_names_no_other_as_the_sender() -> None:
    """Neither by what it sends, nor by headers that older records have."""
    old = [("iothub-connection-device-id", b"victim"), ("iothub-connection-module-id", b"m"),
           ("iothub-message-source", b"lifecycle")]  # fmt: skip
    for record in (Record("%24.cdid=victim&%24.cmid=m&%24.to=x"), Record("%24.to=x", old)):
        found = annotations(record)
        assert found["iothub-connection-device-id"] == "sender"
        assert "iothub-connection-module-id" not in found
        assert (found["iothub-message-source"], found["iothub-to"]) == ("Telemetry", "x")


def test_headers_that_cannot_be_read_are_asked_once() -> None:
    """Nobody knows whose such a record is, and asking again would end the process."""
    assert read_headers(cast(Message, Record("", is_readable=False))) is None
