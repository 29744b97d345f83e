"""The outbox: what is to be done about alarms, as entries of a compacted topic.

Belongs here: an entry's states and the topic as it was last written. One attempt is in `senders`, the loop in
`dispatcher`.

An entry's key is the action and the identity of the alert's revision, so that a revision has one entry an action
however often it is read. Entries are `waiting` until they are `sent` or `dead`; a dead one waits again when asked to.
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Literal

import orjson
from confluent_kafka import Message as KafkaMessage
from confluent_kafka import Producer

from runtime.errors import PlatformError, UsageError
from runtime.kafka.clients import client_config
from streams.output_topics import ACTIONS
from streams.whole_topics import WholeTopic
from wire.envelope import CONTENT_TYPE, Message

State = Literal["waiting", "sent", "dead"]
ASKED = "lakehouse-asked"
"""The header of an entry that an operator has put back."""
_TIMEOUT_S = 10.0
_FIRST_S, _FACTOR, _LONGEST_S = 2.0, 3.0, 300.0


@dataclass(frozen=True)
class Entry:
    """One action for one revision of an alert. `due_at` is when the next attempt is, in seconds since 1970."""

    key: str
    action: str
    alert: Mapping[str, Any] = field(hash=False)
    state: State = "waiting"
    attempts: int = 0
    due_at: float = 0.0
    error: str = ""

    def message(self, *, is_asked: bool = False) -> Message:
        """The entry as a record of the topic."""
        headers = [(CONTENT_TYPE, b"application/json"), *([(ASKED, b"1")] if is_asked else [])]
        return Message(ACTIONS, self.key.encode(), headers, json.dumps(asdict(self), ensure_ascii=False).encode())


def entries_for(identity: str, alert: Mapping[str, Any]) -> list[Entry]:
    """An entry for each action that an alert asks for; `identity` is that of its message."""
    asked = alert.get("actions")
    names = [name for name in asked if isinstance(name, str)] if isinstance(asked, list) else []
    return [Entry(f"{name}/{identity}", name, alert) for name in dict.fromkeys(names)]


def object_of(record: KafkaMessage) -> Mapping[str, Any] | None:
    """The JSON object of a record; None for what is none of ours, as anybody who may write to Kafka can put there."""
    try:
        # not json, which also takes what cannot be written again: half a character, NaN
        found = orjson.loads(record.value() or b"null")
    except ValueError:
        return None
    return found if isinstance(found, dict) else None


def entry_of(record: KafkaMessage) -> Entry | None:
    """The entry that a record of the outbox is; None for what is none."""
    try:
        entry = Entry(**(object_of(record) or {}))
    except TypeError:
        return None
    texts, numbers = (entry.key, entry.action, entry.error), (entry.attempts, entry.due_at)
    is_one = all(isinstance(each, str) for each in texts) and all(isinstance(each, int | float) for each in numbers)
    return entry if is_one and isinstance(entry.alert, dict) else None


def after_failure(entry: Entry, error: str, now_s: float, most_attempts: int) -> Entry:
    """What becomes of an entry when an attempt did not work: another, each time later, until it is dead."""
    attempts = entry.attempts + 1
    if attempts >= most_attempts:
        return replace(entry, state="dead", attempts=attempts, error=error)
    wait_s = min(_LONGEST_S, _FIRST_S * _FACTOR ** (attempts - 1))
    return replace(entry, attempts=attempts, error=error, due_at=now_s + wait_s)


def newest(records: Iterable[KafkaMessage]) -> dict[str, Entry]:
    """The entries of a topic that was read from its start, by key."""
    found: dict[str, Entry] = {}
    for record in records:
        entry = entry_of(record)
        if entry is not None:
            found[entry.key] = entry
    return found


def read_outbox(bootstrap: str) -> dict[str, Entry]:
    """All entries as they are now. Raises PlatformError, LandingZoneError."""
    topic = WholeTopic(bootstrap, ACTIONS, lambda _: 0)
    try:
        return newest(topic.to_the_end())
    finally:
        topic.close()


def ask_again(bootstrap: str, key: str) -> Entry:
    """Put a dead entry back, with all its attempts. Raises UsageError for one that is not dead, PlatformError."""
    found = read_outbox(bootstrap).get(key)
    if found is None or found.state != "dead":
        state = "no such entry" if found is None else f"an entry that is {found.state}"
        raise UsageError(f"{key!r} is {state}: `lakehouse actions list --dead` shows those that can be sent again.")
    entry = replace(found, state="waiting", attempts=0, due_at=0.0)
    producer = Producer({**client_config(bootstrap), "enable.idempotence": True, "log_level": 0})
    message = entry.message(is_asked=True)
    producer.produce(message.topic, message.value, message.key, headers=list(message.headers))
    if producer.flush(_TIMEOUT_S):
        raise PlatformError(f"Kafka at {bootstrap} did not take it. Is the broker running?")
    return entry
