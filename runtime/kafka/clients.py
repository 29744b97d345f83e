"""Kafka's clients: what each is given to reach a broker, also one that wants TLS and a password.

Belongs here: an address taken apart, the user's file of client properties read, and said again for clients in Java.
What a client does belongs to who makes it.

An address is `host:port,host:port`, or the same with `?config=FILE`: a file of `name=value` lines as Kafka's own
commands take it, with librdkafka's names. So a secret is in that file alone, and never in a setting, a record or a log.
"""

import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from runtime.errors import UsageError

_MARK = "?config="
_MECHANISMS = {
    "PLAIN": "org.apache.kafka.common.security.plain.PlainLoginModule",
    "SCRAM-SHA-256": "org.apache.kafka.common.security.scram.ScramLoginModule",
    "SCRAM-SHA-512": "org.apache.kafka.common.security.scram.ScramLoginModule",
}
_PROTOCOLS = ("PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL")
_NAMES = {
    "security.protocol", "sasl.mechanism", "sasl.username", "sasl.password", "ssl.ca.location",
    "ssl.certificate.location", "ssl.key.location", "ssl.key.password", "ssl.endpoint.identification.algorithm",
    "client.id", "client.rack",
}  # fmt: skip
_OTHER_NAMES = {"sasl.mechanisms": "sasl.mechanism"}


def address_of(bootstrap: str, config: Path | None) -> str:
    """The address of brokers that are reached with a file of client properties, or without."""
    return f"{bootstrap}{_MARK}{config.absolute()}" if config else bootstrap


def client_config(address: str) -> dict[str, Any]:
    """What every librdkafka client at `address` is given. Raises UsageError for a file that cannot be used."""
    bootstrap, _, config = address.partition(_MARK)
    return {"bootstrap.servers": bootstrap, **(_read(Path(config)) if config else {})}


def java_client_config(address: str) -> dict[str, str]:
    """The same for a client in Java (Kafka's client reference), which may run where the files are not: certificates and
    keys are given as text. Raises UsageError."""
    given = client_config(address)
    said: dict[str, str] = {"bootstrap.servers": given["bootstrap.servers"]}
    kept = ("security.protocol", "sasl.mechanism", "ssl.endpoint.identification.algorithm", "client.id", "client.rack")
    said |= {name: given[name] for name in kept if name in given}
    if said.get("ssl.endpoint.identification.algorithm") == "none":
        said["ssl.endpoint.identification.algorithm"] = ""
    if "sasl.username" in given:
        module = _MECHANISMS[given.get("sasl.mechanism", "PLAIN")]
        said.setdefault("sasl.mechanism", "PLAIN")
        username, password = _quoted(given["sasl.username"]), _quoted(given.get("sasl.password", ""))
        said["sasl.jaas.config"] = f"{module} required username={username} password={password};"
    if "ssl.ca.location" in given:
        said |= {"ssl.truststore.type": "PEM", "ssl.truststore.certificates": _text(given["ssl.ca.location"])}
    if "ssl.certificate.location" in given:
        said |= {
            "ssl.keystore.type": "PEM",
            "ssl.keystore.certificate.chain": _text(given["ssl.certificate.location"]),
            "ssl.keystore.key": _text(given["ssl.key.location"]),
        }
    if "ssl.key.password" in given:
        said["ssl.key.password"] = given["ssl.key.password"]
    return said


def _read(path: Path) -> dict[str, str]:
    found: dict[str, str] = {}
    for number, line in enumerate(_text(str(path)).splitlines(), 1):
        if not line.strip() or line.lstrip().startswith(("#", "!")):
            continue
        name, separator, value = (part.strip() for part in line.partition("="))
        name = _OTHER_NAMES.get(name, name)
        if not separator or name not in _NAMES:
            raise UsageError(
                f"{path}, line {number}: {name!r} is no property that is known here. Known are "
                f"{', '.join(sorted(_NAMES))}."
            )
        found[name] = value
    _check(path, found)
    return found


def _check(path: Path, found: Mapping[str, str]) -> None:
    rules: dict[str, Callable[[str], bool]] = {
        f"security.protocol is one of {', '.join(_PROTOCOLS)}": lambda name: (
            found.get(name, _PROTOCOLS[0]) in _PROTOCOLS
        ),
        f"sasl.mechanism is one of {', '.join(_MECHANISMS)}": lambda name: found.get(name, "PLAIN") in _MECHANISMS,
    }
    for rule, holds in rules.items():
        if not holds(rule.split()[0]):
            raise UsageError(f"{path}: {rule}.")
    if ("ssl.certificate.location" in found) != ("ssl.key.location" in found):
        raise UsageError(f"{path}: ssl.certificate.location and ssl.key.location go together.")


def _text(path: str) -> str:
    try:
        return Path(path).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"{path}, of Kafka's client properties, cannot be read: {error}.") from error


def _quoted(text: str) -> str:
    """As JAAS writes a text (javax.security.auth.login.Configuration)."""
    return '"' + re.sub(r'(["\\])', r"\\\1", text) + '"'
