"""The loop: batches of telemetry to windows, latest values and alarms, each batch in one Kafka transaction.

Belongs here: the order of a batch, the transaction, and coming back after a failure. The outputs of a batch and the
offsets that it read are committed together, so a process that is killed at any moment goes on as if it had not been:
what it had not committed nobody sees. Its memory is read again from the topic.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from threading import Event

import duckdb
from confluent_kafka import KafkaException, Producer
from confluent_kafka import Message as KafkaMessage

from ingestion.kafka_records import place_of
from lake.models.catalog import known_models
from lake.storage.duckdb_connection import connect
from runtime.errors import PlatformError, UsageError
from runtime.kafka.clients import client_config
from runtime.settings import Settings
from streams.declarations import Declarations
from streams.hot_consumer import HotConsumer
from streams.hot_outputs import latest_message
from streams.hot_registry import HotRegistry, events_of_the_lake
from streams.judged_batches import JudgedBatches
from streams.newest_values import NewestValues
from streams.output_topics import LATEST, ensure_output_topics
from streams.results import CORRECT_S, Results
from streams.scoring.scores import Scores
from streams.whole_topics import WholeTopic, read_states, read_values
from wire.envelope import LIFECYCLE_TOPIC, TELEMETRY_TOPIC, Message
from wire.hot_topics import GROUP

# of a backlog; a batch costs what it costs, and 20,000 records take a quarter less CPU each than 5,000
_MOST_RECORDS = 20_000
_TRANSACTION_MS = 60_000
_COMMIT_S = 30.0
_REGISTRATION_S = 0.1
# what is to be read again lies there: to wait longer for a full batch would only be to wait
_CATCH_UP_S = 0.05
_IDLE_COMMIT_S = 10.0
_US = 1_000_000


@dataclass(frozen=True)
class LoopOptions:
    """How a process reads: as the one with the number `instance`, from 0, of `instances` that share the partitions.

    A batch is what came in `batch_s`. Readings are kept for `correct_s` after their windows are final, for corrections.
    """

    instance: int = 0
    instances: int = 1
    batch_s: float = 0.4
    correct_s: int = CORRECT_S
    skew_s: float = 1.0


def run_loop(settings: Settings, bootstrap: str, declared: Declarations, options: LoopOptions, stop: Event,
             tell: Callable[[str], None]) -> None:  # fmt: skip
    """Run until `stop`; what Kafka breaks off is begun anew from the last commit, as often as it takes."""
    pause_s = 0.5
    while not stop.is_set():
        began = time.monotonic()
        try:
            with connect(settings, threads=1) as connection:
                _Run(_Given(settings, bootstrap, declared, options, stop, tell), connection).go_on()
        except (KafkaException, PlatformError) as error:
            tell(f"Kafka broke off: {error}. Going on from the last commit.")
            pause_s = 0.5 if time.monotonic() - began > 60 else min(10.0, pause_s * 2)
            stop.wait(pause_s)


@dataclass(frozen=True)
class _Given:
    """What `run_loop` was given."""

    settings: Settings
    bootstrap: str
    declared: Declarations
    options: LoopOptions
    stop: Event
    tell: Callable[[str], None]


class _Run:
    """From one start to the next."""

    def __init__(self, given: _Given, connection: duckdb.DuckDBPyConnection) -> None:
        settings, bootstrap, declared, options = given.settings, given.bootstrap, given.declared, given.options
        self._given, self._options, self._stop = given, options, given.stop
        ensure_output_topics(bootstrap)
        self._producer = _producer(bootstrap, options.instance)
        with ThreadPoolExecutor() as beside:
            ended = beside.submit(self._producer.init_transactions, _COMMIT_S)
            self._judged = JudgedBatches(connection, known_models(settings), settings.telemetry_types)
            self._registry = HotRegistry(connection, events_of_the_lake(connection, settings))
            # before anything that the hot path wrote is read: it ends what another process of this name had open
            ended.result()
            self._consumer = HotConsumer(bootstrap, TELEMETRY_TOPIC, GROUP,
                                         lambda: time.time_ns() // 1000, int(options.skew_s * _US))  # fmt: skip
            partitions = _own(self._consumer.partitions(), options)
            self._lifecycle = WholeTopic(bootstrap, LIFECYCLE_TOPIC, self._registry.next_offset)
            states = beside.submit(read_states, bootstrap, partitions, self._stop)
            latest = beside.submit(read_values, bootstrap, LATEST, self._stop)
            events = beside.submit(self._lifecycle.to_the_end, self._stop)
            self._scores = Scores(settings, declared.windows)
            self._results = Results(connection, declared, partitions, states.result(), options.correct_s)
            self._newest = NewestValues(connection, latest.result())
        # when all tables are made: what was planned before one is made is planned anew each time
        self._judged.prepare()
        self._results.prepare()
        self._newest.prepare()
        self._registry.add(events.result())
        self._judged.set_registry(*self._registry.facts())
        self._committed_at = time.monotonic()
        self._partitions, self._told_us, self._has_said_odd = partitions, 0, False

    def go_on(self) -> None:
        """Batch after batch until it is to stop. Raises PlatformError when partitions were added."""
        try:
            self._begin()
            while not self._stop.is_set():
                self._batch()
                if self._consumer.has_other_partitions() or self._lifecycle.has_other_partitions():
                    raise PlatformError(f"{TELEMETRY_TOPIC} or {LIFECYCLE_TOPIC} has other partitions than it had")
        finally:
            self._consumer.close()
            self._lifecycle.close()

    def _begin(self) -> None:
        resumed = self._consumer.begin(self._partitions)
        for each in resumed.values():
            if each.lost:
                self._given.tell(each.lost)
        self._told_us = min(each.watermark_us for each in resumed.values())
        self._catch_up({partition: each.told_until for partition, each in resumed.items()})

    def _catch_up(self, until: Mapping[int, int]) -> None:
        """Read again what open windows and pending alarms hold, and tell nothing of it: it was told."""
        while any(self._consumer.positions()[partition] < offset for partition, offset in until.items()):
            if self._stop.is_set():
                return
            records = self._consumer.poll(_MOST_RECORDS, _CATCH_UP_S)
            self._judged.take([record for record in records if _is_before(record, until)])
            self._outputs(self._told_us)
        self._consumer.go_to(until)

    def _batch(self) -> None:
        records = self._consumer.poll(_MOST_RECORDS, self._options.batch_s)
        # behind the records, since a device may be registered just before it sends: its registration is there, and of a
        # device that is new it may not be read yet
        self._update_registry(self._lifecycle.new(_REGISTRATION_S if self._registry.lacks(records) else 0.0))
        self._say_of_odd(self._judged.take(records).odd)
        watermark_us = max(self._told_us, self._consumer.watermark_us())
        outputs = self._outputs(watermark_us)
        self._told_us = watermark_us
        self._judged.forget(watermark_us - self._results.kept_us)
        outputs += [latest_message(reading) for reading in self._newest.update()]
        # also when nothing comes: how far everything was read is news to who compares
        if records or outputs or time.monotonic() - self._committed_at > _IDLE_COMMIT_S:
            self._commit(outputs)

    def _say_of_odd(self, places: Sequence[tuple[int, int]]) -> None:
        """Once a start: who sends such records sends many."""
        if places and not self._has_said_odd:
            self._has_said_odd = True
            partition, offset = places[0]
            self._given.tell(
                f"Records of {TELEMETRY_TOPIC} have a header whose name is not UTF-8, the first at partition "
                f"{partition}, offset {offset}: the hot path can read none of their headers, and leaves them to the "
                "lake."
            )

    def _outputs(self, watermark_us: int) -> list[Message]:
        """What the readings that were taken, and the time that has passed, change in windows and alarms."""
        return self._results.of_batch(watermark_us, self._told_us, self._consumer.read_from, self._scores.of)

    def _update_registry(self, events: list[KafkaMessage]) -> None:
        if events:
            self._registry.add(events)
            self._judged.set_registry(*self._registry.facts())

    def _commit(self, outputs: Sequence[Message]) -> None:
        self._producer.begin_transaction()
        for message in outputs:
            self._produce(message)
        offsets = self._consumer.commits(self._judged.oldest_offsets(self._partitions), self._told_us)
        self._producer.send_offsets_to_transaction(offsets, self._consumer.group_metadata(), _COMMIT_S)
        while True:
            try:
                self._producer.commit_transaction(_COMMIT_S)
                self._committed_at = time.monotonic()
                return
            except KafkaException as error:
                # it is not known whether the broker has it: asking again gives the same answer
                if not error.args[0].retriable():
                    raise

    def _produce(self, message: Message) -> None:
        while True:
            try:
                self._producer.produce(message.topic, message.value, message.key, headers=list(message.headers))
                return
            except BufferError:
                self._producer.poll(0.1)


def _producer(bootstrap: str, instance: int) -> Producer:
    return Producer(
        {
            **client_config(bootstrap),
            "transactional.id": f"lakehouse-streams-{instance}",
            "transaction.timeout.ms": _TRANSACTION_MS,
            "compression.type": "lz4",
            "linger.ms": 0,
            "log_level": 0,
        }
    )


def _own(partitions: Sequence[int], options: LoopOptions) -> Sequence[int]:
    found = partitions[options.instance :: options.instances]
    if not found:
        raise UsageError(
            f"{options.instances} processes share {TELEMETRY_TOPIC}, which has fewer partitions: "
            f"give --streams-processes {options.instance} or fewer."
        )
    return found


def _is_before(record: KafkaMessage, ends: Mapping[int, int]) -> bool:
    partition, offset = place_of(record)
    return offset < ends[partition]
