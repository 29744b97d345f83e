"""Kafka's client properties: one file, said to librdkafka and to Java."""

from pathlib import Path

import pytest

from runtime.errors import UsageError
from runtime.kafka.clients import address_of, client_config, java_client_config


def _file(folder: Path, text: str) -> str:
    path = folder / "kafka.properties"
    path.write_text(text)
    return address_of("a:9092,b:9092", path)


def test_an_address_alone_needs_no_file() -> None:
    """A broker in clear is reached by its address."""
    assert client_config("a:9092") == java_client_config("a:9092") == {"bootstrap.servers": "a:9092"}


def test_a_password_is_said_to_both(tmp_path: Path) -> None:
    """Java's login module, with what JAAS wants escaped."""
    address = _file(
        tmp_path,
        "security.protocol = SASL_SSL\n# a comment\n\nsasl.mechanisms=SCRAM-SHA-512\n"
        'sasl.username=u\nsasl.password=a="\\b\n',
    )
    assert client_config(address) == {
        "bootstrap.servers": "a:9092,b:9092", "security.protocol": "SASL_SSL", "sasl.mechanism": "SCRAM-SHA-512",
        "sasl.username": "u", "sasl.password": 'a="\\b',
    }  # fmt: skip
    assert java_client_config(address) == {
        "bootstrap.servers": "a:9092,b:9092", "security.protocol": "SASL_SSL", "sasl.mechanism": "SCRAM-SHA-512",
        "sasl.jaas.config": "org.apache.kafka.common.security.scram.ScramLoginModule required "
        'username="u" password="a=\\"\\\\b";',
    }  # fmt: skip


def test_certificates_go_to_java_as_text(tmp_path: Path) -> None:
    """An executor elsewhere has none of the files."""
    for name in ("ca", "crt", "key"):
        (tmp_path / name).write_text(f"the {name}")
    address = _file(
        tmp_path,
        f"security.protocol=SSL\nssl.ca.location={tmp_path / 'ca'}\nssl.certificate.location={tmp_path / 'crt'}\n"
        f"ssl.key.location={tmp_path / 'key'}\nssl.key.password=p\nssl.endpoint.identification.algorithm=none\n",
    )
    assert java_client_config(address) == {
        "bootstrap.servers": "a:9092,b:9092", "security.protocol": "SSL", "ssl.endpoint.identification.algorithm": "",
        "ssl.truststore.type": "PEM", "ssl.truststore.certificates": "the ca", "ssl.keystore.type": "PEM",
        "ssl.keystore.certificate.chain": "the crt", "ssl.keystore.key": "the key", "ssl.key.password": "p",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("sasl.pasword=x", "line 1: 'sasl.pasword' is no property"),
        ("security.protocol=TLS", "security.protocol is one of PLAINTEXT"),
        ("sasl.mechanism=GSSAPI", "sasl.mechanism is one of PLAIN"),
        ("ssl.key.location=/k", "go together"),
    ],
)
def test_a_file_that_cannot_be_used_is_refused(tmp_path: Path, text: str, said: str) -> None:
    """With its name, the line and what is known."""
    with pytest.raises(UsageError, match=f"kafka.properties.*{said}"):
        client_config(_file(tmp_path, text))


def test_a_file_that_is_not_there_is_named() -> None:
    """Rather than a broker that does not answer."""
    with pytest.raises(UsageError, match=r"/nowhere/kafka.properties.*cannot be read"):
        client_config("a:9092?config=/nowhere/kafka.properties")
