"""The hub killed at any moment, and Kafka away: what was acknowledged is in Kafka, and nothing is there twice."""

import os
import random
import signal
from dataclasses import replace
from pathlib import Path

import pytest

from hub.registry.identities import Identity
from ingestion.landing_topics import ensure_topics
from runtime.kafka.broker import running_broker
from runtime.processes import find
from tests.conftest import empty_topics
from tests.support.hub_faults import trial
from tests.support.hub_program import HubProgram, hub_program, settings_of
from tests.support.hub_server import records
from tests.support.mqtt_device import MqttDevice, event
from wire import mqtt

KILLS, AT_ONCE = 6, 100


def test_a_hub_that_is_killed_loses_nothing_and_repeats_nothing(tmp_path: Path, broker: str) -> None:
    """SIGKILL while messages are in flight; the device sends again, with DUP, what was not acknowledged to it.

    Nothing names these messages but packet ids and bytes: they are known as repeats by what Kafka has.
    """
    empty_topics(broker)
    chance = random.Random(7)
    sent: list[bytes] = []
    waiting: dict[int, bytes] = {}
    with hub_program(tmp_path, broker) as program:
        (device,) = program.add_devices(["killed-1"])
        for _ in range(KILLS + 1):
            program.start()
            opened = _connected(program, device)
            for packet_id, payload in waiting.items():
                opened.send(event("killed-1", payload, packet_id, is_dup=True))
            for _ in range(AT_ONCE):
                payload, packet_id = b"%d" % len(sent), len(sent) % 65_535 + 1
                sent.append(payload)
                waiting[packet_id] = payload
                opened.send(event("killed-1", payload, packet_id))
            # killed after some of the acknowledgements, before them, or between Kafka's and ours
            for _ in range(chance.randint(0, len(waiting) - 1)):
                waiting.pop(opened.acknowledgement())
            program.kill()
            opened.close()
        program.start()
        opened = _connected(program, device)
        for packet_id, payload in waiting.items():
            opened.send(event("killed-1", payload, packet_id, is_dup=True))
        for _ in range(len(waiting)):
            waiting.pop(opened.acknowledgement())
        opened.close()
    assert [record.value for record in records(broker, "killed-1")] == sent


def _connected(program: HubProgram, device: Identity) -> MqttDevice:
    opened = MqttDevice(program.address, str(program.root))
    assert opened.connect(device.device_id, program.token(device), program.address) == mqtt.ACCEPTED
    return opened


def test_sdk_devices_live_through_kills(tmp_path: Path, broker: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Devices of the SDK that set message ids: each message is there; more than once only what the app sent again."""
    monkeypatch.setenv("SSL_CERT_FILE", "")
    found = trial(tmp_path, broker, kills=3, messages=900, devices=3)
    assert (found.kills, found.messages, found.missing) == (3, 900, 0)
    assert found.repeated <= found.sent_again


def test_kafka_that_stops_loses_nothing(tmp_path: Path) -> None:
    """While the broker answers nothing no message is acknowledged; when it is back all are, each once."""
    settings = settings_of(tmp_path / "broker", "")
    with (
        running_broker(replace(settings, kafka_bootstrap=None)) as bootstrap,
        hub_program(tmp_path, bootstrap) as program,
    ):
        ensure_topics(bootstrap)
        process = find(settings, "broker")
        assert process is not None
        (device,) = program.add_devices(["paused-1"])
        program.start()
        opened = _connected(program, device)
        opened.send(event("paused-1", b"0", 1))
        assert opened.acknowledgement() == 1
        os.kill(process.pid, signal.SIGSTOP)
        try:
            opened.send(b"".join(event("paused-1", b"%d" % n, n + 1) for n in range(1, 101)))
            opened.socket.settimeout(3)
            with pytest.raises(TimeoutError):
                opened.acknowledgement()
            # cut off and back while Kafka is away: what is on its way is not sent a second time
            opened.close()
            opened = _connected(program, device)
            opened.send(b"".join(event("paused-1", b"%d" % n, n + 1, is_dup=True) for n in range(1, 101)))
        finally:
            os.kill(process.pid, signal.SIGCONT)
        opened.socket.settimeout(60)
        assert [opened.acknowledgement() for _ in range(100)] == list(range(2, 102))
        opened.close()
        assert [record.value for record in records(bootstrap, "paused-1")] == [b"%d" % n for n in range(101)]
