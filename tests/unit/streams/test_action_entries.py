"""What becomes of an action does not depend on what else there is: an attempt or a record that nobody foresaw."""

import json
from concurrent.futures import Future
from typing import Any

import pytest
from confluent_kafka import Message

from runtime.guarded_http import RefusedError
from streams.action_entries import Entry, entries_for, entry_of, newest, object_of
from streams.dispatcher import DispatchOptions, _Dispatcher
from streams.senders import TryAgainError

ENTRY = Entry("call/k", "call", {"rule": "hot"})


def record(value: bytes | None) -> Any:
    """A record of Kafka's with a value."""
    return Message("t", 0, 0, b"k", value)


@pytest.mark.parametrize(("error", "state", "said"), [
    (None, "sent", ""), (RefusedError("no"), "dead", "no"), (TryAgainError("later"), "waiting", "later"),
    (UnicodeError("label\n empty"), "waiting", "UnicodeError: label empty"),
])  # fmt: skip
def test_an_attempt_that_fails_is_that_actions_alone(error: Exception | None, state: str, said: str) -> None:
    """An error that nobody foresaw waits as others do, and leaves the loop alone."""
    dispatcher = object.__new__(_Dispatcher)
    dispatcher._options = DispatchOptions()
    future: Future[None] = Future()
    if error is None:
        future.set_result(None)
    else:
        future.set_exception(error)
    ended = dispatcher._result(ENTRY, future, 100.0)
    assert (ended.state, ended.error, ended.attempts) == (state, said, 1)


@pytest.mark.parametrize("value", [
    None, b"{", b"[1]", b'{"a": "\\ud800", "actions": ["call"]}',
    b'{"a": NaN, "actions": ["call"]}', b'{"actions": [{}, 1]}', b'{"actions": 5}', b"[" * 100_000,
])  # fmt: skip
def test_an_alert_that_is_none_of_ours_asks_for_nothing(value: bytes | None) -> None:
    """Whatever stands in the topic, it is passed over."""
    assert entries_for("k", object_of(record(value)) or {}) == []


def test_a_record_of_the_outbox_that_is_no_entry_is_passed_over() -> None:
    """What has other names or kinds is none; an entry among such records is found as it was written."""
    wrong = [{}, {"name": 1}, {"key": 1, "action": "a", "alert": {}}, {"key": "k", "action": "a", "alert": 3},
             {"key": "k", "action": "a", "alert": {}, "due_at": "soon"}]  # fmt: skip
    assert [entry_of(record(json.dumps(each).encode())) for each in wrong] == [None] * len(wrong)
    values = [b"x", ENTRY.message().value, json.dumps(wrong[1]).encode()]
    assert newest(map(record, values)) == {ENTRY.key: ENTRY}
