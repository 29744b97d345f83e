"""A Kafka that wants TLS, and a user and password or a certificate, as a company's own does.

Belongs here: its certificates, its start and stop. What is proved with it stands in the tests.
"""

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient

from runtime import processes
from runtime.java.jars import ensure
from runtime.java.jvm import find_java
from runtime.kafka.clients import address_of, client_config
from runtime.ports import free_port
from runtime.settings import Settings
from wire.certificates import Authority, Issued

USER, PASSWORD = "lake", 'a "quoted" \\ password='
"""As hard to write down as a password may be."""


@dataclass(frozen=True)
class SecuredBroker:
    """Where it listens for users with a password, where for those with a certificate, and the properties of each."""

    by_password: str
    by_certificate: str
    password_file: Path
    certificate_file: Path


@contextmanager
def running_secured_broker(folder: Path) -> Iterator[SecuredBroker]:
    """Start it on free ports; stop it at the end of the block."""
    now = datetime.now(UTC)
    authority = Authority.root("a company", now)
    _write_pem(folder / "server.pem", authority.issue_server(["127.0.0.1", "localhost"], now))
    (folder / "ca.pem").write_bytes(authority.pem)
    ports = free_port(), free_port(), free_port(), free_port()
    configuration = folder / "server.properties"
    configuration.write_text(_server_properties(folder, *ports))
    _format(configuration)
    broker = SecuredBroker(
        f"localhost:{ports[0]}", f"localhost:{ports[1]}", folder / "password.properties", folder / "by-cert.properties"
    )
    ca = f"ssl.ca.location={folder / 'ca.pem'}\n"
    broker.password_file.write_text(
        f"# as librdkafka names them\nsecurity.protocol=SASL_SSL\nsasl.mechanisms=PLAIN\nsasl.username={USER}\n"
        f"sasl.password={PASSWORD}\n{ca}"
    )
    client = authority.issue_device("lakehouse", now)
    (folder / "client.crt").write_bytes(client.chain)
    (folder / "client.key").write_bytes(client.key)
    broker.certificate_file.write_text(
        f"security.protocol=SSL\n{ca}ssl.certificate.location={folder / 'client.crt'}\n"
        f"ssl.key.location={folder / 'client.key'}\n"
    )
    owner = Settings(home=folder, lake_uri=str(folder))
    record = processes.spawn(owner, "kafka", _java("kafka.Kafka", str(configuration)), broker.by_password)
    try:
        address = address_of(broker.by_password, broker.password_file)
        processes.wait_until_ready(owner, record, lambda: _answers(address), 180)
        yield broker
    finally:
        processes.stop(owner, "kafka")


def _answers(address: str) -> bool:
    try:
        AdminClient({**client_config(address), "log_level": 0}).list_topics(timeout=2)
    except KafkaException:
        return False
    return True


def _java(main: str, *arguments: str) -> list[str]:
    return [str(find_java()), "-Xmx300m", "-XX:+UseSerialGC", "-cp", f"{ensure('kafka')}/*", main, *arguments]


def _format(configuration: Path) -> None:
    command = _java("kafka.tools.StorageTool", "format", "--standalone", "--cluster-id", "MkU3OEVBNTcwNTJENDM2Qk")
    subprocess.run([*command, "--config", str(configuration)], check=True, capture_output=True)


def _write_pem(path: Path, issued: Issued) -> None:
    path.write_bytes(issued.key + issued.chain)


def _server_properties(folder: Path, by_password: int, by_certificate: int, inside: int, controller: int) -> str:
    escaped = PASSWORD.replace("\\", "\\\\").replace('"', '\\"')
    jaas = f'org.apache.kafka.common.security.plain.PlainLoginModule required user_{USER}="{escaped}";'
    values = {
        "process.roles": "broker,controller",
        "node.id": "1",
        "listeners": f"PASSWORD://127.0.0.1:{by_password},CERTIFICATE://127.0.0.1:{by_certificate},"
        f"INSIDE://127.0.0.1:{inside},CONTROLLER://127.0.0.1:{controller}",
        "advertised.listeners": f"PASSWORD://localhost:{by_password},CERTIFICATE://localhost:{by_certificate},"
        f"INSIDE://127.0.0.1:{inside}",
        "listener.security.protocol.map": "PASSWORD:SASL_SSL,CERTIFICATE:SSL,INSIDE:PLAINTEXT,CONTROLLER:PLAINTEXT",
        "inter.broker.listener.name": "INSIDE",
        "controller.listener.names": "CONTROLLER",
        "controller.quorum.bootstrap.servers": f"127.0.0.1:{controller}",
        "log.dirs": str(folder / "data"),
        "offsets.topic.replication.factor": "1",
        "transaction.state.log.replication.factor": "1",
        "transaction.state.log.min.isr": "1",
        "ssl.keystore.type": "PEM",
        "ssl.keystore.location": str(folder / "server.pem"),
        "ssl.truststore.type": "PEM",
        "ssl.truststore.location": str(folder / "ca.pem"),
        "listener.name.certificate.ssl.client.auth": "required",
        "listener.name.password.sasl.enabled.mechanisms": "PLAIN",
        # a properties file takes a backslash for the beginning of an escape
        "listener.name.password.plain.sasl.jaas.config": jaas.replace("\\", "\\\\"),
    }
    return "".join(f"{name}={value}\n" for name, value in values.items())
