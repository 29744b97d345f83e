"""The queues' process is killed, and its disk is full: what was acknowledged stays, what was settled stays settled."""

import random
import subprocess
import sys
from pathlib import Path
from threading import Event, Thread

from azure.servicebus import ServiceBusMessage
from azure.servicebus.exceptions import ServiceBusError

from runtime.settings import inherited_environment
from serving.queues.queue_administration import shown_messages
from serving.queues.queue_store import opened_store
from tests.support.awaiting import awaited
from tests.support.queue_server import QueueServer

KILLS = 6
SIZE = 20_000


class Sender(Thread):
    """Sends numbers, each again until it is acknowledged."""

    def __init__(self, server: QueueServer, stop: Event) -> None:
        super().__init__(daemon=True)
        self.server, self.stop, self.acknowledged = server, stop, 0

    def run(self) -> None:
        """Until told to stop."""
        while not self.stop.is_set():
            try:
                with self.server.client(retry_total=0) as client, client.get_queue_sender("q") as sender:
                    while not self.stop.is_set():
                        sender.send_messages(ServiceBusMessage("x", message_id=str(self.acknowledged)))
                        self.acknowledged += 1
            except ServiceBusError:
                self.stop.wait(0.05)


class Receiver(Thread):
    """Receives and completes; keeps what it received, as (number, message id), and the numbers that are settled."""

    def __init__(self, server: QueueServer, stop: Event) -> None:
        super().__init__(daemon=True)
        self.server, self.stop = server, stop
        self.received: list[tuple[int, str]] = []
        self.settled: set[int] = set()
        self.came_again: list[int] = []

    def run(self) -> None:
        """Until told to stop."""
        while not self.stop.is_set():
            try:
                with self.server.client(retry_total=0) as client, client.get_queue_receiver("q") as receiver:
                    while not self.stop.is_set():
                        for message in receiver.receive_messages(10, max_wait_time=0.5):
                            number = message.sequence_number or 0
                            self.received.append((number, str(message.message_id)))
                            if number in self.settled:
                                self.came_again.append(number)
                            receiver.complete_message(message)
                            self.settled.add(number)
            except ServiceBusError:
                self.stop.wait(0.05)


def test_killed_amid_sends_and_receives(tmp_path: Path) -> None:
    """Each message whose sending was acknowledged is received; none comes again whose completion was; one that was
    received and not settled comes again."""
    server = QueueServer(tmp_path)
    server.create("q", lock_s=2.0, most_deliveries=1000)
    server.start()
    stop_sending, stop_receiving = Event(), Event()
    sender, receiver = Sender(server, stop_sending), Receiver(server, stop_receiving)
    sender.start()
    receiver.start()
    rng = random.Random(5)
    try:
        for _ in range(KILLS):
            before = (sender.acknowledged, len(receiver.settled))
            awaited(
                lambda before=before: sender.acknowledged >= before[0] + 20 and len(receiver.settled) >= before[1] + 10,
                lambda: (sender.acknowledged, len(receiver.settled)),
                every_s=rng.uniform(0.01, 0.05),
            )
            server.kill()
            server.start()
        stop_sending.set()
        sender.join(60)
        awaited(
            lambda: {str(number) for number in range(sender.acknowledged)} <= {each for _, each in receiver.received},
            "what was acknowledged",
        )
    finally:
        stop_sending.set()
        stop_receiving.set()
        receiver.join(60)
        server.stop()
    assert receiver.came_again == []
    with opened_store(server.settings) as store:
        left = {int(row["number"]) for row in shown_messages(store, "q", 0, 10_000)}
    assert not left & receiver.settled


def test_a_full_disk_acknowledges_nothing_that_is_not_there(tmp_path: Path) -> None:
    """A process whose files may not grow refuses; after its restart all that it acknowledged is there, in order."""
    server = QueueServer(tmp_path)
    server.create("q")
    limit = 400_000
    server.process = subprocess.Popen(
        [sys.executable, "-c", _LIMITED.format(limit=limit, port=server.port)],
        env=inherited_environment(server.settings.child_environment()),
    )
    server.await_connections()
    acknowledged = send_until_refused(server)
    server.kill()
    assert 0 < acknowledged < limit / SIZE
    server.start()
    try:
        with server.client() as client, client.get_queue_receiver("q") as receiver:
            found = [message.message_id for message in receiver.peek_messages(500)]
    finally:
        server.stop()
    assert found[:acknowledged] == [str(number) for number in range(acknowledged)]
    assert len(found) <= acknowledged + 1


def send_until_refused(server: QueueServer) -> int:
    """How many messages were acknowledged."""
    for count in range(40):
        try:
            with server.client(retry_total=0) as client, client.get_queue_sender("q") as sender:
                sender.send_messages(ServiceBusMessage("x" * SIZE, message_id=str(count)))
        except ServiceBusError:
            return count
    raise AssertionError("the disk is not full")


_LIMITED = """
import resource, signal, sys
resource.setrlimit(resource.RLIMIT_FSIZE, ({limit}, {limit}))
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
sys.argv[1:] = ["{port}"]
from serving.queues.__main__ import main
main()
"""
