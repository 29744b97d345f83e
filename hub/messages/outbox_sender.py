"""Sends the registry's outbox to Kafka.

Belongs here: the thread that brings what the registry committed to its topics in order, and forgets it only once Kafka
has it. What is told belongs in `hub.registry.outbox`.
"""

import logging
import threading

from confluent_kafka import KafkaError, KafkaException, Message, Producer
from confluent_kafka.admin import AdminClient, NewTopic

from hub.registry.hub_registry import Registry
from hub.registry.outbox import DEVICE_EVENTS_TOPIC, forget, pending
from hub.registry.sender_lease import SenderLease
from runtime.containment import Contained
from runtime.errors import LakehouseError
from runtime.kafka.clients import client_config

_GROUP = 500
_POLL_S = 1.0
# less than after what silence a lease changes hands
_TIMEOUT_S = 10.0
_RETENTION_MS = 30 * 24 * 3600 * 1000
_log = logging.getLogger(__name__)


class OutboxSender:
    """One of the processes on a registry sends at a time; what is sent twice after a crash has the same identity."""

    def __init__(self, registry: Registry, bootstrap: str, owner: str) -> None:
        self._registry = registry
        self._bootstrap = bootstrap
        self._lease = SenderLease(registry, owner)
        self._wake = threading.Event()
        self._is_open = True
        self._thread = threading.Thread(target=self._run, name="registry-outbox", daemon=True)

    def start(self) -> None:
        """Begin; also while no broker answers, since the rows wait."""
        self._registry.on_commit(self._wake.set)
        self._thread.start()

    def stop(self) -> None:
        """Send the oldest of what is committed, if Kafka takes it, and give the lease back: the registry is open."""
        self._is_open = False
        self._wake.set()
        self._thread.join(_TIMEOUT_S)

    def _run(self) -> None:
        producer: Producer | None = None
        is_last = False
        while not is_last:
            self._wake.wait(_POLL_S)
            self._wake.clear()
            is_last = not self._is_open
            try:
                producer = producer or self._producer()
                while self._send(producer) and self._is_open:
                    pass
            except Exception as error:  # noqa: BLE001  the thread goes on, whatever kept it this time
                is_known = isinstance(error, KafkaException | LakehouseError)
                _log.warning("The registry's changes wait: %s", error, exc_info=None if is_known else error)
                # what it still held must not arrive behind what is sent anew
                producer = None
        # here, where nothing is on its way any more
        with Contained(_log, "Giving back the outbox's lease"):
            self._lease.give_back()

    def _producer(self) -> Producer:
        self._make_topic()
        return Producer(
            {**client_config(self._bootstrap), "enable.idempotence": True, "linger.ms": 5, "log_level": 0,
             "message.timeout.ms": int(_TIMEOUT_S * 1000)}
        )  # fmt: skip

    def _send(self, producer: Producer) -> bool:
        """Send the oldest rows; True when there may be more."""
        rows = self._registry.read(lambda tx: pending(tx, _GROUP))
        if not rows:
            self._lease.watch()
            return False
        if not self._lease.take():
            return False
        failed: list[KafkaError] = []

        def delivered(error: KafkaError | None, _message: Message) -> None:
            if error is not None:
                failed.append(error)

        for _, message in rows:
            producer.produce(
                message.topic, message.value, message.key, headers=[*message.headers], on_delivery=delivered
            )
        # each is delivered or has failed within message.timeout.ms
        producer.flush()
        if failed:
            raise KafkaException(failed[0])
        self._registry.write(lambda tx: forget(tx, [n for n, _ in rows])).result()
        return len(rows) == _GROUP

    def _make_topic(self) -> None:
        admin = AdminClient({**client_config(self._bootstrap), "log_level": 0})
        if DEVICE_EVENTS_TOPIC not in admin.list_topics(timeout=_TIMEOUT_S).topics:
            config = {"message.timestamp.type": "LogAppendTime", "retention.ms": str(_RETENTION_MS)}
            topic = NewTopic(DEVICE_EVENTS_TOPIC, num_partitions=1, config=config)
            try:
                admin.create_topics([topic])[DEVICE_EVENTS_TOPIC].result()
            except KafkaException as error:
                if error.args[0].code() != KafkaError.TOPIC_ALREADY_EXISTS:
                    raise
