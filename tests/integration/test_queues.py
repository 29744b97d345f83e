"""Queues by the unmodified `azure-servicebus` (PyPI), which takes them for its emulator."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from azure.servicebus import (
    NEXT_AVAILABLE_SESSION,
    ServiceBusClient,
    ServiceBusMessage,
    ServiceBusReceivedMessage,
    ServiceBusReceiveMode,
    ServiceBusReceiver,
    ServiceBusSubQueue,
)
from azure.servicebus.exceptions import (
    MessageLockLostError,
    MessagingEntityNotFoundError,
    OperationTimeoutError,
    ServiceBusError,
    SessionCannotBeLockedError,
)

from lakehouse.cli.main import run
from runtime.ports import free_port
from runtime.programs import addresses
from runtime.settings import load_settings
from runtime.supervisor import start_all, stop_all
from serving.programs import PROGRAMS
from serving.queues.queue_administration import QUEUES
from tests.support.queue_server import QueueServer

DEAD = ServiceBusSubQueue.DEAD_LETTER
_WAIT_S = 60


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[QueueServer]:
    server = QueueServer(tmp_path_factory.mktemp("queues"))
    server.start()
    yield server
    server.stop()


@pytest.fixture(scope="module")
def client(server: QueueServer) -> Iterator[ServiceBusClient]:
    with server.client(retry_total=0) as client:
        yield client


def send(client: ServiceBusClient, queue: str, *bodies: str, **said: object) -> None:
    with client.get_queue_sender(queue) as sender:
        sender.send_messages([ServiceBusMessage(body, **said) for body in bodies])  # type: ignore[arg-type]


def received(receiver: ServiceBusReceiver, count: int) -> list[ServiceBusReceivedMessage]:
    """So many messages; the client by itself gives what came within 0.2 s of the first."""
    found: list[ServiceBusReceivedMessage] = []
    while len(found) < count and (more := receiver.receive_messages(count - len(found), max_wait_time=_WAIT_S)):
        found += more
    return found


def bodies(messages: object) -> list[str]:
    return [str(message) for message in messages]  # type: ignore[attr-defined]


def test_what_is_sent_is_peeked_received_and_completed(client: ServiceBusClient, server: QueueServer) -> None:
    """Steps 1 to 4: a message, a batch, a look that changes nothing, and what is completed is gone; all that a
    message says of itself comes with it."""
    queue = server.create("orders")
    with client.get_queue_sender("ORDERS") as sender:
        sender.send_messages(
            ServiceBusMessage(b"one", message_id="m1", correlation_id="c", subject="s", content_type="text/plain",
                              application_properties={"site": "north", "n": 3, "x": 1.5})
        )  # fmt: skip
        batch = sender.create_message_batch()
        for number in range(3):
            batch.add_message(ServiceBusMessage(f"b{number}", message_id=f"b{number}"))
        sender.send_messages(batch)
        sender.send_messages(ServiceBusMessage("large " * 30_000))
    with client.get_queue_receiver(queue) as receiver:
        assert [m.message_id for m in receiver.peek_messages(2)] == ["m1", "b0"]
        found = received(receiver, 4)
        assert bodies(found) == ["one", "b0", "b1", "b2"]
        first = found[0]
        assert (first.message_id, first.correlation_id, first.subject, first.content_type) == (
            "m1", "c", "s", "text/plain",
        )  # fmt: skip
        assert first.application_properties == {b"site": b"north", b"n": 3, b"x": 1.5}
        assert first.delivery_count == 0
        assert first.enqueued_time_utc is not None
        assert abs(first.enqueued_time_utc - datetime.now(UTC)) < timedelta(minutes=1)
        for message in found:
            receiver.complete_message(message)
        (large,) = receiver.receive_messages(1, max_wait_time=_WAIT_S)
        assert len(str(large)) == 180_000
        receiver.complete_message(large)
        assert receiver.peek_messages(5, sequence_number=1) == []


def test_a_lock_is_renewed_and_what_is_abandoned_comes_again(client: ServiceBusClient, server: QueueServer) -> None:
    """Steps 5 and 6: a renewed lock holds on, and an abandoned message is counted."""
    queue = server.create("locks", lock_s=5)
    send(client, queue, "again")
    with client.get_queue_receiver(queue) as receiver:
        (message,) = receiver.receive_messages(1, max_wait_time=_WAIT_S)
        before = message.locked_until_utc
        assert before is not None
        assert receiver.renew_message_lock(message) > before
        receiver.abandon_message(message)
        (message,) = receiver.receive_messages(1, max_wait_time=_WAIT_S)
        assert message.delivery_count == 1
        receiver.complete_message(message)


def test_what_runs_out_comes_to_another_and_its_first_holder_is_told(
    client: ServiceBusClient, server: QueueServer
) -> None:
    """A lock that ran out is lost: the message is received again, and settling it under the old lock is refused."""
    queue = server.create("short", lock_s=5)
    send(client, queue, "m")
    with client.get_queue_receiver(queue) as one, client.get_queue_receiver(queue) as two:
        (held,) = one.receive_messages(1, max_wait_time=_WAIT_S)
        (again,) = two.receive_messages(1, max_wait_time=_WAIT_S)
        assert (again.sequence_number, again.delivery_count) == (held.sequence_number, 1)
        two.renew_message_lock(again)
        # past the client's own look at its clock
        with pytest.raises(MessageLockLostError):
            one._do_retryable_operation(one._settle_message, timeout=None, message=held, settle_operation="complete")
        two.renew_message_lock(again)
        two.complete_message(again)


def test_dead_letters_have_a_reason_and_poison_becomes_one(client: ServiceBusClient, server: QueueServer) -> None:
    """Steps 7 and 8: what is given up is read from the dead letters, with why; so is what failed too often."""
    queue = server.create("poison", most_deliveries=3)
    send(client, queue, "bad", message_id="p")
    with client.get_queue_receiver(queue) as receiver, client.get_queue_receiver(queue, sub_queue=DEAD) as dead:
        (message,) = receiver.receive_messages(1, max_wait_time=_WAIT_S)
        receiver.dead_letter_message(message, reason="cannot", error_description="be read")
        (letter,) = dead.receive_messages(1, max_wait_time=_WAIT_S)
        assert (letter.dead_letter_reason, letter.dead_letter_error_description) == ("cannot", "be read")
        assert letter.dead_letter_source == "poison"
        dead.complete_message(letter)
        send(client, queue, "worse", message_id="w")
        for times in range(3):
            (message,) = receiver.receive_messages(1, max_wait_time=_WAIT_S)
            assert message.delivery_count == times
            receiver.abandon_message(message)
        (letter,) = dead.receive_messages(1, max_wait_time=_WAIT_S)
        assert (str(letter), letter.dead_letter_reason) == ("worse", "MaxDeliveryCountExceeded")
        dead.complete_message(letter)
        assert receiver.peek_messages(5) == []


def test_what_its_receiver_never_settles_is_poison(client: ServiceBusClient, server: QueueServer) -> None:
    """A receiver that hangs on a message each time leaves it under its lock; it becomes a dead letter by time alone."""
    queue = server.create("hanging", lock_s=0.5, most_deliveries=1)
    send(client, queue, "worst")
    with client.get_queue_receiver(queue) as receiver, client.get_queue_receiver(queue, sub_queue=DEAD) as dead:
        receiver.receive_messages(1, max_wait_time=_WAIT_S)
        (letter,) = dead.receive_messages(1, max_wait_time=_WAIT_S)
        assert (str(letter), letter.dead_letter_reason) == ("worst", "MaxDeliveryCountExceeded")
        dead.complete_message(letter)


def test_what_is_deferred_is_received_by_its_number(client: ServiceBusClient, server: QueueServer) -> None:
    """Step 9: it is passed over, and given to who names it."""
    queue = server.create("deferred")
    send(client, queue, "later", "now")
    with client.get_queue_receiver(queue) as receiver:
        later, now = received(receiver, 2)
        receiver.defer_message(later)
        receiver.complete_message(now)
        assert receiver.receive_messages(1, max_wait_time=1) == []
        number = later.sequence_number
        assert number is not None
        (found,) = receiver.receive_deferred_messages([number])
        assert str(found) == "later"
        receiver.complete_message(found)
        with pytest.raises(ServiceBusError):
            receiver.receive_deferred_messages([number])


def test_scheduled_messages_come_in_time_or_are_cancelled(client: ServiceBusClient, server: QueueServer) -> None:
    """Step 10: not before, behind what was sent meanwhile, and not at all once cancelled."""
    queue = server.create("scheduled")
    with client.get_queue_sender(queue) as sender, client.get_queue_receiver(queue) as receiver:
        at = datetime.now(UTC) + timedelta(seconds=6)
        (gone,) = sender.schedule_messages(ServiceBusMessage("never"), at)
        sender.schedule_messages([ServiceBusMessage("then")], at)
        sender.cancel_scheduled_messages(gone)
        sender.send_messages(ServiceBusMessage("now"))
        (first,) = receiver.receive_messages(1, max_wait_time=_WAIT_S)
        (second,) = receiver.receive_messages(1, max_wait_time=_WAIT_S)
        assert bodies([first, second]) == ["now", "then"]
        assert datetime.now(UTC) >= at
        receiver.complete_message(first)
        receiver.complete_message(second)
        assert receiver.receive_messages(1, max_wait_time=1) == []


def test_receive_and_delete(client: ServiceBusClient, server: QueueServer) -> None:
    """Step 11: what was received is gone."""
    queue = server.create("at_most_once")
    send(client, queue, "a", "b")
    mode = ServiceBusReceiveMode.RECEIVE_AND_DELETE
    with client.get_queue_receiver(queue, receive_mode=mode) as receiver:
        assert bodies(received(receiver, 2)) == ["a", "b"]
        assert receiver.peek_messages(5) == []


def test_sessions_come_in_order_to_one_receiver_each(client: ServiceBusClient, server: QueueServer) -> None:
    """Steps 12 to 14: a session's messages in order, its state, its lock; another has none of it; the next one."""
    queue = server.create("sessions", has_sessions=True)
    with client.get_queue_sender(queue) as sender:
        for number in range(30):
            sender.send_messages(ServiceBusMessage(f"{number}", session_id="ab"[number % 2]))
        with pytest.raises(ServiceBusError, match="session id"):
            sender.send_messages(ServiceBusMessage("none"))
    with client.get_queue_receiver(queue, session_id="a") as receiver:
        assert bodies(received(receiver, 5)) == ["0", "2", "4", "6", "8"]
        receiver.session.set_state(b"half")
        assert receiver.session.get_state() == b"half"
        before = receiver.session.locked_until_utc
        assert before is not None
        assert receiver.session.renew_lock() > before
        with pytest.raises(SessionCannotBeLockedError), client.get_queue_receiver(queue, session_id="a"):
            pass
        with client.get_queue_receiver(queue, session_id=NEXT_AVAILABLE_SESSION, max_wait_time=_WAIT_S) as next_one:
            assert next_one.session.session_id == "b"
            found = received(next_one, 15)
            assert bodies(found) == [str(number) for number in range(1, 30, 2)]
            for message in found:
                next_one.complete_message(message)
        with (
            pytest.raises(OperationTimeoutError),
            client.get_queue_receiver(queue, session_id=NEXT_AVAILABLE_SESSION, max_wait_time=1),
        ):
            pass
    # what its holder did not settle comes to the next one, in order from the start
    with client.get_queue_receiver(queue, session_id="a") as receiver:
        assert receiver.session.get_state() == b"half"
        found = received(receiver, 15)
        assert bodies(found) == [str(number) for number in range(0, 30, 2)]
        for message in found:
            receiver.complete_message(message)


def test_competing_receivers_share_a_queue(client: ServiceBusClient, server: QueueServer) -> None:
    """Two receivers get every message once between them, and both get some."""
    queue = server.create("shared")
    send(client, queue, *map(str, range(100)))
    with client.get_queue_receiver(queue) as one, client.get_queue_receiver(queue) as two:
        got: list[list[str]] = [[], []]
        while len(got[0]) + len(got[1]) < 100:
            # both hold what they received before either settles
            held = [receiver.receive_messages(10, max_wait_time=1) for receiver in (one, two)]
            for receiver, mine, messages in zip((one, two), got, held, strict=True):
                for message in messages:
                    mine.append(str(message))
                    receiver.complete_message(message)
    assert sorted(got[0] + got[1], key=int) == [str(number) for number in range(100)]
    assert min(map(len, got)) >= 10


def test_what_expires_is_gone_or_a_dead_letter(client: ServiceBusClient, server: QueueServer) -> None:
    """A time to live is the shorter of the message's and the queue's."""
    kept = server.create("kept", keeps_expired=True)
    gone = server.create("gone", ttl_s=0.2)
    send(client, gone, "g")
    send(client, kept, "k", time_to_live=timedelta(seconds=0.2))
    with client.get_queue_receiver(kept, sub_queue=DEAD) as dead:
        (letter,) = dead.receive_messages(1, max_wait_time=_WAIT_S)
        assert letter.dead_letter_reason == "TTLExpiredException"
        dead.complete_message(letter)
    for sub_queue in (None, DEAD):
        with client.get_queue_receiver(gone, sub_queue=sub_queue) as receiver:
            assert receiver.peek_messages(5) == []


def test_a_repeat_is_taken_and_dropped(client: ServiceBusClient, server: QueueServer) -> None:
    """A message with an id that the queue remembers is acknowledged, and comes once."""
    queue = server.create("once", duplicates_s=60)
    send(client, queue, "first", message_id="same")
    send(client, queue, "second", message_id="same")
    send(client, queue, "third", message_id="other")
    with client.get_queue_receiver(queue) as receiver:
        assert bodies(receiver.peek_messages(5)) == ["first", "third"]


def test_subscriptions_take_what_their_rules_say(client: ServiceBusClient, server: QueueServer) -> None:
    """A topic's message comes to each subscription whose filter takes it, and to no other."""
    from serving.queues.queue_entities import DEFAULT_RULE, add_rule, remove_rule, subscription_name
    from serving.queues.queue_store import opened_store

    topic = server.create("readings", "topic")
    filters: dict[str, dict[str, Any]] = {
        "north": {"sql": "site = 'north' AND (n > 2 OR sys.Label LIKE 'hot%')"},
        "hot": {"correlation": {"sys.Label": "hot!", "site": "south"}},
    }
    for name in ("all", *filters):
        server.create(f"{topic}/{name}", "subscription")
    with opened_store(server.settings) as store:
        for name, given in filters.items():
            remove_rule(store, subscription_name(topic, name), DEFAULT_RULE)
            add_rule(store, subscription_name(topic, name), "mine", given)
    with client.get_topic_sender(topic) as sender:
        for site, n, label in (("north", 3, ""), ("north", 1, "hot!"), ("north", 1, "cold"), ("south", 9, "hot!")):
            sender.send_messages(
                ServiceBusMessage(f"{site}{n}{label}", subject=label, application_properties={"site": site, "n": n})
            )
    expected = {"all": 4, "north": 2, "hot": 1}
    for name, count in expected.items():
        with client.get_subscription_receiver(topic, name) as receiver:
            found = received(receiver, count)
            assert len(found) == count, (name, bodies(found))
            for message in found:
                receiver.complete_message(message)
            assert receiver.peek_messages(5) == []


def test_who_has_no_key_and_what_is_not_there(client: ServiceBusClient, server: QueueServer, tmp_path: Path) -> None:
    """A wrong key reaches nothing; a queue that is not there is said not to be."""
    other = server.connection_string.replace("SharedAccessKey=", "SharedAccessKey=x")
    with (
        ServiceBusClient.from_connection_string(other, retry_total=0) as stranger,
        pytest.raises(ServiceBusError),
        stranger.get_queue_sender("orders"),
    ):
        pass
    with pytest.raises(MessagingEntityNotFoundError), client.get_queue_sender("nowhere"):
        pass


def test_an_operator_sees_to_queues_beside_the_process(
    client: ServiceBusClient, server: QueueServer, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A queue that the command makes is there at once; dead letters are shown with their reason and sent again; a
    receiver that waits gets them."""
    monkeypatch.setenv("LAKEHOUSE_HOME", str(server.home))
    assert run(["queues", "create", "by_hand", "--deliveries", "1"]) == 0
    assert run(["queues", "create", "by_hand"]) == 1
    send(client, "by_hand", "work", message_id="w")
    with client.get_queue_receiver("by_hand") as receiver:
        (message,) = receiver.receive_messages(1, max_wait_time=_WAIT_S)
        receiver.abandon_message(message)
        capsys.readouterr()
        assert run(["queues", "dead-letters", "by_hand", "--json"]) == 0
        letter = json.loads(capsys.readouterr().out)
        assert (letter["body"], letter["message_id"], letter["reason"]) == ("work", "w", "MaxDeliveryCountExceeded")
        assert run(["queues", "resend", "by_hand", str(letter["number"])]) == 0
        (message,) = receiver.receive_messages(1, max_wait_time=_WAIT_S)
        assert (str(message), message.delivery_count) == ("work", 0)
        capsys.readouterr()
        assert run(["queues", "list", "--json"]) == 0
        (row,) = (row for row in json.loads(capsys.readouterr().out) if row["name"] == "by_hand")
        assert (row["held"], row["waiting"], row["dead"]) == (1, 0, 0)
        receiver.complete_message(message)
    assert run(["queues", "delete", "by_hand"]) == 0
    with pytest.raises(MessagingEntityNotFoundError), client.get_queue_sender("by_hand"):
        pass


def test_up_serves_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """The program of the room is started by `--serve` and found by its address; the command's connection string is one
    that the client takes."""
    monkeypatch.setenv("LAKEHOUSE_HOME", str(tmp_path))
    settings = load_settings({"LAKEHOUSE_HOME": str(tmp_path), "LAKEHOUSE_QUEUES_PORT": str(free_port())})
    ours = [program for program in PROGRAMS if program.name == QUEUES]
    assert run(["queues", "connection"]) == 1
    assert run(["queues", "create", "orders"]) == 0
    try:
        start_all(settings, ours, {"serve": True}, lambda _: None)
        assert addresses(settings, ours) == {"queues": f"sb://127.0.0.1:{settings.queues_port}"}
        capsys.readouterr()
        assert run(["queues", "connection"]) == 0
        with ServiceBusClient.from_connection_string(capsys.readouterr().out.strip()) as ours_too:
            send(ours_too, "orders", "one")
    finally:
        stop_all(settings, ours)
