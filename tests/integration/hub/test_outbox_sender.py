"""The outbox's sender: who ends in order leaves the outbox to the next."""

from pathlib import Path

from hub.messages.outbox_sender import OutboxSender
from hub.registry.hub_registry import Registry
from hub.registry.identities import Identity, create
from hub.registry.outbox import pending
from hub.registry.sender_lease import SenderLease
from hub.registry.tenants import DEFAULT_TENANT
from ingestion.landing_topics import ensure_topics
from tests.support.awaiting import awaited
from tests.support.hub_server import every_record


def test_a_sender_that_is_stopped_leaves_the_outbox_to_the_next_at_once(tmp_path: Path, broker: str) -> None:
    """What was committed before it stopped is in Kafka, and who has never seen it renew can take the lease."""
    ensure_topics(broker)
    registry = Registry(f"sqlite:///{tmp_path / 'registry.db'}")
    try:
        sender, next_one = OutboxSender(registry, broker, "a"), SenderLease(registry, "b")
        sender.start()
        for name in ("told-1", "told-2"):
            registry.write(lambda tx, name=name: create(tx, Identity(name, DEFAULT_TENANT))).result()
            if name == "told-1":
                awaited(lambda: not registry.read(lambda tx: pending(tx, 1)), "the end of the outbox")
                assert not next_one.take()
        sender.stop()
        assert next_one.take()
        sent = {record.key for record in every_record(broker, ("lifecycle",))}
        assert {"told-1", "told-2"} <= sent
    finally:
        registry.close()
