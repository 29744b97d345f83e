"""The dispatcher: alerts to entries of the outbox, and entries to actions.

Belongs here: the loop and its transactions. What an entry is, is in `action_entries`, one attempt in `senders`.

Alerts that were read and the entries that they make are committed together, so a revision has one entry an action. An
attempt is made before its result is committed: a process killed in between makes it again, once for each time that it
is killed there, with the same key.
"""

import logging
import time
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from threading import Event

from confluent_kafka import Consumer, KafkaError, KafkaException, Producer, TopicPartition
from confluent_kafka import Message as KafkaMessage

from runtime.errors import PlatformError
from runtime.guarded_http import RefusedError
from runtime.kafka.clients import client_config
from runtime.kafka.record_headers import headers_of
from runtime.settings import Settings
from streams.action_declarations import Action
from streams.action_entries import ASKED, Entry, after_failure, entries_for, entry_of, newest, object_of
from streams.kafka_places import RESET, KafkaPlaces, is_gone
from streams.output_topics import ACTIONS, ALERTS, ensure_output_topics
from streams.senders import TryAgainError, send
from streams.whole_topics import WholeTopic
from wire.envelope import ID

_log = logging.getLogger(__name__)
_GROUP = "lakehouse-actions"
_COMMIT_S = 30.0
_MOST = 500
_AT_ONCE = 8
_SHOWN = 200


@dataclass(frozen=True)
class DispatchOptions:
    """How often an action is tried, and how long the loop waits for alerts."""

    most_attempts: int = 10
    poll_s: float = 0.25


def run_actions(settings: Settings, bootstrap: str, actions: Mapping[str, Action], options: DispatchOptions,
                stop: Event, tell: Callable[[str], None]) -> None:  # fmt: skip
    """Run until `stop`; what Kafka breaks off is begun anew from the last commit."""
    has_begun = False
    while not stop.is_set():
        try:
            dispatcher = _Dispatcher(settings, bootstrap, actions, options)
            try:
                dispatcher.begin(tell, is_first=not has_begun)
                has_begun = True
                while not stop.is_set():
                    dispatcher.step()
            finally:
                dispatcher.close()
        except (KafkaException, PlatformError) as error:
            tell(f"Kafka broke off: {error}. Going on from the last commit.")
            stop.wait(1.0)


class _Dispatcher:
    """From one start to the next."""

    def __init__(self, settings: Settings, bootstrap: str, actions: Mapping[str, Action],
                 options: DispatchOptions) -> None:  # fmt: skip
        ensure_output_topics(bootstrap)
        self._settings, self._actions, self._options = settings, actions, options
        self._bootstrap = bootstrap
        self._producer = Producer(
            {**client_config(bootstrap), "transactional.id": _GROUP, "linger.ms": 0, "log_level": 0}
        )
        # before anything is read: it ends what another process of this name had open
        self._producer.init_transactions(_COMMIT_S)
        self._alerts = Consumer(
            {
                **client_config(bootstrap),
                "group.id": _GROUP,
                "isolation.level": "read_committed",
                "enable.auto.commit": False,
                **RESET,
                "log_level": 0,
            }
        )
        self._places = KafkaPlaces(self._alerts, ALERTS, _GROUP, "the process of actions")
        self._outbox = WholeTopic(bootstrap, ACTIONS, lambda _: 0)
        self._entries = {k: e for k, e in newest(self._outbox.to_the_end()).items() if e.state != "sent"}
        self._under_way: dict[str, Future[None]] = {}
        self._pool = ThreadPoolExecutor(_AT_ONCE, "action")

    def begin(self, tell: Callable[[str], None], *, is_first: bool) -> None:
        """A group that has read nothing yet begins with what comes from now on, and says so at once. Where this process
        has read before, Kafka forgot that with the topic: all of the new one came since."""
        places, losses = self._places.next(self._bootstrap, is_from_now=is_first)
        for lost in losses:
            tell(lost)
        self._alerts.assign(places)
        self._commit([], self._places.commits({each.partition: each.offset for each in places}))

    def step(self) -> None:
        """What came, what is due, and what was done since. Raises PlatformError when alerts lie elsewhere than they
        did, or Kafka has let go of what would come next: it is to begin anew, and says what is lost."""
        if self._places.are_others() or self._outbox.has_other_partitions():
            raise PlatformError(f"{ALERTS} or {ACTIONS} has other partitions than it had")
        self._take_alerts(self._alerts.consume(_MOST, self._options.poll_s))
        for record in self._outbox.new():
            # what this process wrote itself comes back too, and is known
            asked = entry_of(record) if dict(headers_of(record) or []).get(ASKED) else None
            if asked is not None:
                self._entries[asked.key] = asked
        now_s = time.time()
        for entry in self._entries.values():
            if entry.state == "waiting" and entry.due_at <= now_s and entry.key not in self._under_way:
                self._under_way[entry.key] = self._pool.submit(self._attempt, entry)
        done = {key: future for key, future in self._under_way.items() if future.done()}
        if done:
            self._commit([self._result(self._entries[key], future, now_s) for key, future in done.items()], [])
            for key in done:
                del self._under_way[key]

    def close(self) -> None:
        """Wait for what is under way; its result is lost, unless it was committed."""
        self._pool.shutdown()
        self._alerts.close()
        self._outbox.close()

    def _take_alerts(self, records: list[KafkaMessage]) -> None:
        entries: list[Entry] = []
        ends: dict[int, int] = {}
        has_gone = False
        for record in records:
            error = record.error()
            if error is None:
                identity = bytes(dict(headers_of(record) or []).get(ID) or b"").decode("utf-8", "replace")
                entries += entries_for(identity, object_of(record) or {})
                ends[record.partition() or 0] = (record.offset() or 0) + 1
            elif is_gone(error):
                has_gone = True
            elif error.code() != KafkaError._PARTITION_EOF and not error.retriable():
                raise PlatformError(f"Kafka refuses to have {ALERTS} read: {error.str()}.")
        if ends:
            new = [entry for entry in entries if entry.key not in self._entries]
            self._commit(new, self._places.commits(ends))
        if has_gone:
            raise PlatformError(f"it has let go of what comes next in {ALERTS}")

    def _attempt(self, entry: Entry) -> None:
        action = self._actions.get(entry.action)
        if action is None:
            raise RefusedError(f"no action is called {entry.action}")
        send(self._settings, action, entry.key, entry.alert)

    def _result(self, entry: Entry, future: Future[None], now_s: float) -> Entry:
        error = future.exception()
        if error is None:
            return replace(entry, state="sent", attempts=entry.attempts + 1, error="")
        if isinstance(error, RefusedError):
            return replace(entry, state="dead", attempts=entry.attempts + 1, error=str(error))
        if isinstance(error, TryAgainError):
            return after_failure(entry, str(error), now_s, self._options.most_attempts)
        if not isinstance(error, Exception):
            raise error
        # nobody foresaw it: it is this action's alone, and the others go on
        _log.error("The action %s failed", entry.key, exc_info=error)
        said = f"{type(error).__name__}: {' '.join(str(error).split())[:_SHOWN]}"
        return after_failure(entry, said, now_s, self._options.most_attempts)

    def _commit(self, entries: list[Entry], offsets: list[TopicPartition]) -> None:
        """Write entries, and the offsets of the alerts that they come from, in one transaction."""
        self._producer.begin_transaction()
        for entry in entries:
            message = entry.message()
            self._producer.produce(message.topic, message.value, message.key, headers=list(message.headers))
        if offsets:
            self._producer.send_offsets_to_transaction(offsets, self._alerts.consumer_group_metadata(), _COMMIT_S)
        while True:
            try:
                self._producer.commit_transaction(_COMMIT_S)
                break
            except KafkaException as error:
                if not error.args[0].retriable():
                    raise
        for entry in entries:
            self._entries[entry.key] = entry
            if entry.state == "sent":
                del self._entries[entry.key]
