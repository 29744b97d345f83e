"""The embedded broker: a one-node Kafka in KRaft mode for a home that names no other.

Belongs here: its configuration, start and stop. Topics belong in `landing_topics`, messages in `envelope`.
"""

import re
import shutil
import subprocess
import uuid
from base64 import urlsafe_b64encode
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient

from runtime import processes
from runtime.errors import PlatformError
from runtime.java import class_archives, compilers
from runtime.java.jars import ensure, jar_folder
from runtime.java.jvm import find_java
from runtime.kafka.clients import client_config
from runtime.ports import free_port, is_port_open
from runtime.processes import ProcessRecord
from runtime.settings import Settings
from runtime.whole_files import write_whole

NAME = "broker"
_HEAP = "512m"
_READY_S = 60.0
_START_ATTEMPTS = 3


@contextmanager
def running_broker(settings: Settings) -> Iterator[str]:
    """A bootstrap address: the configured broker's, the running embedded one's, or that of one started for the block.

    Raises PlatformError when a broker that must be started does not start.
    """
    if settings.kafka_address is not None:
        yield settings.kafka_address
        return
    with processes.running(settings, NAME, lambda: start(settings)) as record:
        yield record.address


def stored_bytes(settings: Settings, topic: str) -> int | None:
    """What the embedded broker has of a topic on disk, running or not; None when the broker is elsewhere."""
    if settings.kafka_address is not None:
        return None
    return sum(log.stat().st_size for log in (settings.home / "kafka" / "data").glob(f"{topic}-*/*.log"))


def answers(bootstrap: str, timeout_s: float = 2.0) -> bool:
    """True when a Kafka broker answers at `bootstrap`."""
    try:
        # librdkafka reports each refused connection to stderr unless told not to
        AdminClient({**client_config(bootstrap), "log_level": 0}).list_topics(timeout=timeout_s)
    except KafkaException:
        return False
    return True


def start(settings: Settings) -> ProcessRecord:
    """Start it, when none runs, on ports that are free.

    Another program may take one before the broker does, hence the attempts.
    """
    ensure("kafka")
    for attempt in range(1, _START_ATTEMPTS + 1):
        try:
            return _start_once(settings, _former_port(settings) if attempt == 1 else free_port())
        except PlatformError as error:
            if attempt == _START_ATTEMPTS or "Address already in use" not in str(error):
                raise
    raise AssertionError("unreachable")


def _start_once(settings: Settings, port: int) -> ProcessRecord:
    folder = settings.home / "kafka"
    folder.mkdir(parents=True, exist_ok=True)
    controller_port = free_port()
    configuration = folder / "server.properties"
    configuration.write_text(_server_properties(folder / "data", port, controller_port))
    _format(settings, folder, configuration)
    address = f"127.0.0.1:{port}"
    command = [*_java(settings, is_broker=True), "kafka.Kafka", str(configuration)]
    record = processes.spawn(settings, NAME, command, address)
    with processes.stopped_on_failure(settings, NAME):
        processes.wait_until_ready(settings, record, lambda: answers(address), _READY_S)
    return record


def _former_port(settings: Settings) -> int:
    """The port of the broker before, where those who are sending look for it; another one if it is taken or unknown.

    In a copy of a home it is the original's, and who sends there means that one.
    """
    configuration = settings.home / "kafka" / "server.properties"
    text = configuration.read_text() if configuration.exists() else ""
    found = re.search(r"^listeners=PLAINTEXT://127\.0\.0\.1:(\d+)", text, re.MULTILINE)
    is_copied = f"log.dirs={configuration.parent / 'data'}\n" not in text
    if found is None or is_copied or is_port_open("127.0.0.1", int(found.group(1))):
        return free_port()
    return int(found.group(1))


def _java(settings: Settings, *, is_broker: bool = False) -> list[str]:
    java = find_java(settings.java_home)
    jars = sorted(jar_folder("kafka").glob("*.jar"))
    return [
        str(java),
        *(class_archives.options(settings, NAME, java, jars) if is_broker else []),
        *compilers.options(settings),
        "-Xms128m",  # a small home needs no more
        f"-Xmx{_HEAP}",
        "-XX:+UseSerialGC",
        "-Djava.awt.headless=true",
        "-Dlog4j2.level=WARN",
        "-cp",
        f"{jar_folder('kafka')}/*",
    ]


def _format(settings: Settings, folder: Path, configuration: Path) -> None:
    """Prepare the data folder with a cluster id of its own, unless that is done."""
    data = folder / "data"
    if (folder / "cluster_id").exists() and (data / "meta.properties").exists():
        return
    # what a crash left half formatted holds no messages yet
    shutil.rmtree(data, ignore_errors=True)
    cluster_id = _new_cluster_id()
    command = [*_java(settings), "kafka.tools.StorageTool", "format", "--standalone"]
    command += ["--cluster-id", cluster_id, "--config", str(configuration)]
    result = subprocess.run(command, capture_output=True, text=True)
    if result.returncode != 0:
        text = (result.stderr or result.stdout).strip().splitlines()
        raise PlatformError(
            f"The broker's folder {data} cannot be prepared: {text[-1] if text else 'no reason given'}."
        )
    write_whole(folder / "cluster_id", cluster_id)


def _new_cluster_id() -> str:
    """22 random characters, as Kafka makes them itself: one that began with a dash would read as an option."""
    cluster_id = "-"
    while cluster_id.startswith("-"):
        cluster_id = urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")
    return cluster_id


def _server_properties(data: Path, port: int, controller_port: int) -> str:
    """Kafka's own settings but for these. A broker that says goodbye as it ends (`controlled.shutdown.enable`) may come
    again at once; after one that does not, its double is refused for the nine seconds of a session."""
    values = {
        "process.roles": "broker,controller",
        "node.id": "1",
        "listeners": f"PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller_port}",
        "advertised.listeners": f"PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller_port}",
        "controller.listener.names": "CONTROLLER",
        "controller.quorum.bootstrap.servers": f"127.0.0.1:{controller_port}",
        "log.dirs": str(data),
        "auto.create.topics.enable": "false",
        "offsets.topic.replication.factor": "1",
        "offsets.topic.num.partitions": "1",
        "transaction.state.log.replication.factor": "1",
        "transaction.state.log.min.isr": "1",
        "transaction.state.log.num.partitions": "1",
        "share.coordinator.state.topic.replication.factor": "1",
        "share.coordinator.state.topic.min.isr": "1",
        "group.initial.rebalance.delay.ms": "0",
        "num.network.threads": "2",
        "num.io.threads": "4",
        # none of the empty records by which other controllers see that this one lives: there are no others, and writing
        # them is half of what an idle broker costs
        "metadata.max.idle.interval.ms": "0",
        # the largest message of a topic may be smaller, never larger, than what the broker takes in at once
        "message.max.bytes": str(4 * 1024 * 1024),
    }
    return "".join(f"{name}={value}\n" for name, value in values.items())
