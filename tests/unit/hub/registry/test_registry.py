"""The registry: identities, twins, queues and the outbox move together, with etags, and outlive the process."""

import json
import threading
from collections.abc import Iterator
from concurrent.futures import wait
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import delete, update

from hub.hub_errors import HubCode, HubError
from hub.registry import cloud_queue, connections, enrolments, identities, outbox, tenants, twins
from hub.registry.change_feed import Change
from hub.registry.cloud_queue import CloudMessage
from hub.registry.database import Tx
from hub.registry.hub_registry import Registry
from hub.registry.identities import Identity
from hub.registry.registry_tables import FACTS, INSTANCES, OUTBOX
from runtime.errors import PlatformError
from wire.envelope import LIFECYCLE_TOPIC, Message


class Clock:
    """A clock that goes on when it is told to."""

    def __init__(self) -> None:
        self.now = datetime(2026, 11, 26, 12, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def registry(tmp_path: Path, clock: Clock) -> Iterator[Registry]:
    opened = Registry(f"sqlite:///{tmp_path / 'registry.db'}", clock)
    yield opened
    opened.close()


def add(registry: Registry, device_id: str = "d1", **wanted: object) -> Identity:
    identity = replace(Identity(device_id, "default"), **wanted)  # type: ignore[arg-type]
    return registry.write(lambda tx: identities.create(tx, identity)).result()


def sent(registry: Registry) -> list[Message]:
    return [message for _, message in registry.read(lambda tx: outbox.pending(tx, 1000))]


def told(registry: Registry, topic: str = LIFECYCLE_TOPIC) -> list[tuple[str, dict[str, object]]]:
    """Kind and value of what waits in the outbox."""
    return [
        (dict(message.headers)["ce_type"].decode().rsplit(".", 1)[1], json.loads(message.value))
        for message in sent(registry)
        if message.topic == topic
    ]


def cloud_message(device_id: str = "d1", ack: str = "none", expires_at: int = 0) -> CloudMessage:
    return CloudMessage(0, device_id, b"on", {"a": "b"}, {"mid": "m1"}, ack, 0, expires_at, 0, None)


def test_a_new_device_has_keys_a_twin_and_an_event(registry: Registry) -> None:
    """Creating makes what a device needs to connect, and tells the lake in the same transaction."""
    made = add(registry, site_id="north")
    assert made.primary_key
    assert made.primary_key != made.secondary_key
    assert registry.twin("d1").desired_version == 1
    assert told(registry) == [("registered", {"site_id": "north"})]


def test_what_is_refused_leaves_nothing(registry: Registry) -> None:
    """A taken id is 409, and neither row nor event of the attempt is kept; others of its group are."""
    add(registry)
    group = [
        registry.write(lambda tx, name=name: identities.create(tx, Identity(name, "default"))) for name in ("d1", "d2")
    ]
    with pytest.raises(HubError) as refused:
        group[0].result()
    assert refused.value.code is HubCode.DeviceAlreadyExists
    assert group[1].result().device_id == "d2"
    assert len(told(registry)) == 2


def test_etags_guard_changes(registry: Registry) -> None:
    """Another's change makes the etag wrong (412), the star and the right one fit, quoted or not."""
    made = add(registry)
    changed = registry.write(lambda tx: identities.put(tx, replace(made, status="disabled"), f'"{made.etag}"')).result()
    assert changed.etag != made.etag
    with pytest.raises(HubError) as refused:
        registry.write(lambda tx: identities.put(tx, made, made.etag)).result()
    assert refused.value.code is HubCode.PreconditionFailed
    registry.write(lambda tx: identities.remove(tx, "d1", "", '"*"')).result()
    assert [kind for kind, _ in told(registry)] == ["registered", "maintenance_started", "retired"]


def test_twins_merge_and_tell_site_and_interval(registry: Registry) -> None:
    """Null takes away, versions count, and tags.site and the interval reach the lake once when they change."""
    add(registry)
    change: dict[str, dict[str, Any]] = {
        "tags": {"site": "north", "floor": {"n": 1, "m": 2}},
        "desired": {"reporting_interval_s": 60},
    }
    registry.write(lambda tx: twins.change_twin(tx, "d1", "", change, None)).result()
    registry.write(lambda tx: twins.change_twin(tx, "d1", "", {"tags": {"floor": {"n": None}}}, None)).result()
    twin = registry.twin("d1")
    assert twin.tags == {"site": "north", "floor": {"m": 2}}
    assert twin.desired_version == 2
    assert twin.desired_meta["reporting_interval_s"]["$lastUpdatedVersion"] == 2
    assert told(registry)[1:] == [("updated", {"site_id": "north", "reporting_interval_s": 60})]


def test_reported_properties_have_a_version_and_a_limit(registry: Registry) -> None:
    """Each patch counts one version; what would exceed 32 KB is refused and changes nothing."""
    add(registry)
    assert registry.patch_reported("d1", "", {"a": {"b": 1}}).result() == 2
    assert registry.patch_reported("d1", "", {"a": {"c": 2}}).result() == 3
    assert registry.twin("d1").reported == {"a": {"b": 1, "c": 2}}
    with pytest.raises(HubError) as refused:
        registry.patch_reported("d1", "", {"large": "x" * 33_000}).result()
    assert refused.value.code is HubCode.MessageTooLarge
    assert registry.twin("d1").reported_version == 3


def test_the_newest_connection_wins(registry: Registry) -> None:
    """Epochs rise, the end of an older connection changes nothing, and the model that a device names is learnt."""
    add(registry)
    assert registry.next_epoch("d1", "", "hub-a", None).result().epoch == 1
    assert registry.next_epoch("d1", "", "hub-b", "dtmi:x:y;1").result().epoch == 2
    registry.disconnected("d1", "", 1, None).result()
    state = registry.read(lambda tx: connections.connection_of(tx, "d1"))
    assert (state.is_connected, state.instance) == (True, "hub-b")
    assert told(registry)[-1] == ("updated", {"model_id": "dtmi:x:y;1"})
    registry.disconnected("d1", "", 2, None).result()
    assert [kind for kind, _ in told(registry, "device_events")] == ["connected", "connected", "disconnected"]


def test_a_connection_knows_where_its_repeats_may_lie(registry: Registry) -> None:
    """After an orderly end the epoch that landed something; after a kill every open one, since the last beat."""
    add(registry)

    def opened() -> connections.Opened:
        return registry.next_epoch("d1", "", "hub", None).result()

    assert opened().previous == ()
    registry.disconnected("d1", "", 1, 1000).result()
    assert opened() == connections.Opened(2, (1,), 1000)
    registry.disconnected("d1", "", 2, None).result()
    assert opened() == connections.Opened(3, (1,), 1000)
    registry.beat("hub", 90_000).result()
    assert opened() == connections.Opened(4, (3, 1), 1000)
    registry.disconnected("d1", "", 4, 80_000).result()
    assert opened() == connections.Opened(5, (4,), 80_000)
    registry.beat("hub", 100_000).result()
    assert opened() == connections.Opened(6, (5, 4), 68_000)


def test_what_a_process_that_is_gone_held_is_disconnected(registry: Registry, monkeypatch: pytest.MonkeyPatch) -> None:
    """With the event, however many it held; where repeats may lie is known as before, and the process is forgotten."""
    monkeypatch.setattr(connections, "_MOST_ENDED", 2)
    for name, instance in [("d0", "killed"), ("d1", "killed"), ("d2", "killed"), ("d3", "killed"), ("d4", "living")]:
        add(registry, name)
        registry.next_epoch(name, "", instance, None).result()
    registry.beat("killed", 90_000).result()
    expected = connections.Opened(2, (1,), 58_000)
    assert registry.next_epoch("d0", "", "living", None).result() == expected
    before = len(told(registry, "device_events"))
    assert registry.beat("living", 0, ["killed"]).result() == {"living": 1, "killed": 0}
    assert registry.beat("living", 0, ["killed"]).result() == {"living": 2}
    assert registry.read(lambda tx: connections.device_counts(tx, "default")) == (5, 5, 2)
    assert [kind for kind, _ in told(registry, "device_events")[before:]] == ["disconnected"] * 3
    assert registry.next_epoch("d1", "", "living", None).result() == expected


def test_a_process_that_was_taken_for_gone_holds_again_what_nobody_took_over(registry: Registry) -> None:
    """Its connection is open again, with the event; one that ended, or that a newer one replaced, stays as it is."""
    for name in ("d1", "d2", "d3"):
        add(registry, name)
        registry.next_epoch(name, "", "paused", None).result()
    registry.disconnected("d2", "", 1, None).result()
    registry.beat("living", 0, ["paused"]).result()
    registry.next_epoch("d3", "", "living", None).result()
    before = len(told(registry, "device_events"))
    for name in ("d1", "d1", "d3"):
        registry.hold_again(name, "", 1).result()
    assert [registry.read(lambda tx, n=n: connections.holder_of(tx, n)) for n in ("d1", "d2", "d3")] == [
        "paused", None, "living",
    ]  # fmt: skip
    assert [kind for kind, _ in told(registry, "device_events")[before:]] == ["connected"]


def test_a_process_of_which_only_a_part_was_ended_counts_anew(
    registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    """If it beats before the rest is ended, it sees that it was taken for gone; what is left stays connected."""
    monkeypatch.setattr(connections, "_MOST_ENDED", 2)
    for name in ("d0", "d1", "d2"):
        add(registry, name)
        registry.next_epoch(name, "", "paused", None).result()
    for _ in range(3):
        registry.beat("paused", 90_000).result()
    registry.beat("living", 0, ["paused"]).result()
    assert registry.beat("paused", 90_000).result() == {"living": 1, "paused": 1}
    assert registry.read(lambda tx: connections.device_counts(tx, "default")) == (3, 3, 1)


def test_a_process_that_was_killed_before_its_first_beat_is_known(registry: Registry) -> None:
    """As soon as it holds a device; one that a registry of before does not know, from another's first beat on."""
    add(registry)
    registry.next_epoch("d1", "", "killed", None).result()
    registry.write(lambda tx: tx.connection.execute(delete(INSTANCES))).result()
    assert registry.beat("living", 0).result() == {"living": 1}
    assert registry.beat("living", 0).result() == {"living": 2, "killed": 0}


@pytest.mark.parametrize("is_ended", [False, True])
def test_what_a_process_landed_that_nobody_knew_of_is_looked_for(
    registry: Registry, clock: Clock, is_ended: bool
) -> None:
    """From the oldest connection that it holds on, whether a device comes back by itself or it was ended first."""
    add(registry)
    add(registry, "d2")
    since_ms = int(clock.now.timestamp()) * 1000
    for name in ("d1", "d2"):
        registry.next_epoch(name, "", "killed", None).result()
        clock.now += timedelta(hours=1)
    registry.write(lambda tx: tx.connection.execute(delete(INSTANCES))).result()
    for gone in ([], ["killed"] if is_ended else []):
        registry.beat("living", 0, gone).result()
    expected = connections.Opened(2, (1,), since_ms - 32_000)
    assert registry.next_epoch("d1", "", "living", None).result() == expected


def test_a_cloud_message_is_locked_completed_and_acknowledged(registry: Registry) -> None:
    """A message is handed out once a lock, ends with its answer, and the sender hears of it once."""
    add(registry)
    registry.enqueue_cloud_message(cloud_message(ack="full")).result()
    taken = registry.take_cloud_message("d1").result()
    assert taken is not None
    assert registry.take_cloud_message("d1").result() is None
    registry.complete_cloud_message("d1", taken.lock_token or "").result()
    batch = registry.take_feedback("default").result()
    assert batch is not None
    assert [(r["originalMessageId"], r["statusCode"]) for r in batch.records] == [("m1", "Success")]
    assert registry.take_feedback("other").result() is None
    registry.complete_feedback("default", batch.lock_token).result()
    assert registry.take_feedback("default").result() is None


def test_the_queue_is_bounded_and_messages_expire(registry: Registry, clock: Clock) -> None:
    """The 51st message is 403004; after their time they make room, and who asked is told."""
    add(registry)
    for _ in range(50):
        registry.enqueue_cloud_message(cloud_message()).result()
    with pytest.raises(HubError) as refused:
        registry.enqueue_cloud_message(cloud_message()).result()
    assert refused.value.code.number == 403004
    clock.now += timedelta(hours=1)
    registry.enqueue_cloud_message(cloud_message(ack="negative")).result()
    assert registry.read(lambda tx: cloud_queue.waiting_count(tx, "d1")) == 1
    clock.now += timedelta(hours=1)
    assert registry.take_cloud_message("d1").result() is None
    batch = registry.take_feedback("default").result()
    assert batch is not None
    assert batch.records[0]["statusCode"] == "Expired"


def test_a_lost_lock_answers_nothing(registry: Registry, clock: Clock) -> None:
    """After its minute a lock holds no longer: the late answer is 412, the message goes to the next who asks."""
    add(registry)
    registry.enqueue_cloud_message(cloud_message()).result()
    first = registry.take_cloud_message("d1").result()
    clock.now += timedelta(seconds=61)
    second = registry.take_cloud_message("d1").result()
    assert first is not None
    assert second is not None
    assert second.n == first.n
    with pytest.raises(HubError) as refused:
        registry.complete_cloud_message("d1", first.lock_token or "").result()
    assert refused.value.code is HubCode.DeviceMessageLockLost


def test_changes_reach_subscribers_and_caches_of_another_process(registry: Registry, clock: Clock) -> None:
    """A second registry on the same database hears of a disabled device and no longer takes it from memory."""
    made = add(registry)
    other = Registry(registry.database.url, clock)
    seen: list[Change] = []
    heard = threading.Event()
    other.subscribe(lambda change: (seen.append(change), heard.set()))  # type: ignore[arg-type]
    assert other.device("d1") == made
    registry.write(lambda tx: identities.put(tx, replace(made, status="disabled"), "*")).result()
    assert heard.wait(60)
    found = other.device("d1")
    assert [change.kind for change in seen] == ["identity"]
    assert found is not None
    assert not found.is_enabled
    other.close()


def test_a_group_assigns_disables_and_admits_again(registry: Registry) -> None:
    """Provisioning makes the device with its keys and first twin; disabling the enrolment cuts it off."""
    body = {"initialTwin": {"tags": {"site": "north"}}}
    proof = enrolments.Proof(primary_key=identities.new_key(), secondary_key=identities.new_key())

    def enrol(tx: Tx) -> enrolments.Registration:
        group = enrolments.put_enrolment(tx, "default", enrolments.GROUP, "g", body, None)
        return enrolments.assign(tx, group, "d7", proof)

    assert registry.write(enrol).result().device_id == "d7"
    made = registry.device("d7")
    assert made is not None
    assert (made.primary_key, made.site_id) == (proof.primary_key, "north")
    for status, is_enabled in (("disabled", False), ("enabled", True)):
        change = {**body, "provisioningStatus": status}
        work = lambda tx, change=change: enrolments.put_enrolment(tx, "default", enrolments.GROUP, "g", change, "*")  # noqa: E731
        registry.write(work).result()
        assert registry.read(lambda tx: identities.require(tx, "d7")).is_enabled is is_enabled


def test_tenants_do_not_see_each_other(registry: Registry) -> None:
    """What belongs to another tenant does not exist for this one, and the attempt can be counted."""
    registry.write(lambda tx: tenants.add_tenant(tx, "acme")).result()
    add(registry)
    with pytest.raises(tenants.CrossTenantError) as refused:
        registry.read(lambda tx: tenants.require_own(tx, "acme", "d1"))
    assert refused.value.code is HubCode.DeviceNotFound
    registry.write(lambda tx: tenants.log_refusal(tx, refused.value)).result()
    assert registry.read(tenants.refusal_count) == 1
    scopes = [registry.read(lambda tx, name=name: tenants.id_scope(tx, name)) for name in ("acme", "default")]
    assert registry.read(lambda tx: tenants.tenant_of_scope(tx, scopes[0])) == "acme"
    assert scopes[0] != scopes[1]


def test_the_outbox_keeps_identity_and_order(registry: Registry) -> None:
    """The same row is the same message however often it is read, and only what was sent is forgotten."""
    for name in ("d1", "d2"):
        add(registry, name)
    first = registry.read(lambda tx: outbox.pending(tx, 10))
    assert registry.read(lambda tx: outbox.pending(tx, 10)) == first
    assert [message.key for _, message in first] == [b"d1", b"d2"]
    registry.write(lambda tx: outbox.forget(tx, [first[0][0]])).result()
    assert [message.key for message in sent(registry)] == [b"d2"]


def test_commits_are_shared(registry: Registry) -> None:
    """What many threads give at once takes few commits, and everything of it is there."""
    commits = []
    registry.on_commit(lambda: commits.append(1))
    wait([registry.write(lambda tx, n=n: identities.create(tx, Identity(f"d{n}", "default"))) for n in range(300)])
    assert len(registry.read(lambda tx: identities.devices_of(tx, "default", 1000))) == 300
    assert len(commits) < 100


def test_work_that_is_given_up_does_not_end_the_writer(registry: Registry) -> None:
    """Who cancels what he waits for, as a connection that ends, leaves the writer to the others."""
    begun, go_on = threading.Event(), threading.Event()
    held = registry.write(lambda _tx: (begun.set(), go_on.wait(60)))
    assert begun.wait(60)
    given_up = registry.write(lambda tx: identities.create(tx, Identity("never", "default")))
    assert given_up.cancel()
    assert not held.cancel()
    go_on.set()
    assert add(registry).device_id == "d1"
    assert registry.device("never") is None


def test_a_newer_registry_is_refused(registry: Registry) -> None:
    """A program that does not know the schema says so and touches nothing."""
    registry.write(
        lambda tx: tx.connection.execute(FACTS.update().where(FACTS.c.name == "schema_version").values(value="99"))
    ).result()
    with pytest.raises(PlatformError, match="schema 99"):
        Registry(registry.database.url)


def test_half_a_character_in_the_outbox_keeps_nothing_back(registry: Registry) -> None:
    """As an older version let it in: it goes out escaped, and what is behind it as it is."""
    add(registry)
    number = registry.read(lambda tx: outbox.pending(tx, 1))[0][0]
    bad = update(OUTBOX).where(OUTBOX.c.n == number).values(value={"a": "\ud800", "b": "\u00fc"})
    registry.write(lambda tx: tx.connection.execute(bad)).result()
    add(registry, "d2", site_id="\u00fc")
    values = [message.value for message in sent(registry) if message.topic == LIFECYCLE_TOPIC]
    assert values == [b'{"a":"\\ud800","b":"\\u00fc"}', '{"site_id":"\u00fc"}'.encode()]
