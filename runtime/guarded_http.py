"""Guarded HTTP: a request to an address that somebody declared, which may not reach what is private.

Belongs here: resolving once, refusing addresses, connecting to the very address that was looked at, and signing. A
name is resolved once, so that it cannot be public when it is judged and private when it is used; redirects are not
followed, and no proxy of the environment is asked.
"""

import hashlib
import hmac
import http.client
import ipaddress
import socket
import ssl
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from urllib.parse import SplitResult, urlsplit

from runtime.deadlines import cut_after

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network
Resolve = Callable[[str, int], Sequence[str]]
_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")
_MOST = 1_000_000


class RefusedError(Exception):
    """What was asked for may not be done, now or later."""


@dataclass(frozen=True)
class Answer:
    """A response: its status, and the beginning of its text."""

    status: int
    text: str


def resolved(host: str, port: int) -> Sequence[str]:
    """The addresses of a host, as the machine resolves it. Raises OSError, RefusedError for what is no name of one."""
    try:
        return [str(found[4][0]) for found in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)]
    except UnicodeError as error:
        raise RefusedError(f"{host!r} is no name of a host") from error


def is_private(address: str) -> bool:
    """True for an address that is not of the public internet: loopback, private, link-local, reserved, multicast; and
    for one of IPv6 that stands for such a one of IPv4."""
    found: Address = ipaddress.ip_address(address.split("%")[0])
    if isinstance(found, ipaddress.IPv6Address):
        inner = found.ipv4_mapped or found.sixtofour
        if inner is None and found in _NAT64:
            inner = ipaddress.IPv4Address(int(found) & 0xFFFFFFFF)
        found = inner or found
    return not found.is_global or found.is_multicast


def signature(secret: str, moment: int, body: bytes) -> str:
    """`t=<seconds since 1970>,v1=<HMAC-SHA256 of "t.body" in hexadecimal>`: the receiver checks both."""
    digest = hmac.new(secret.encode(), f"{moment}.".encode() + body, hashlib.sha256).hexdigest()
    return f"t={moment},v1={digest}"


def post(url: str, body: bytes, headers: Mapping[str, str], allowed: Sequence[Network] = (), *,
         resolve: Resolve = resolved, timeout_s: float = 10.0) -> Answer:  # fmt: skip
    """POST to `url`, when all its addresses are public or in one of the `allowed` networks.

    The receiver may be silent for `timeout_s`, and has three times as long for its answer as a whole.
    Raises RefusedError for an address that is neither, OSError or http.client.HTTPException when it does not work.
    """
    parts = urlsplit(url)
    host, port = parts.hostname or "", parts.port or (443 if parts.scheme == "https" else 80)
    addresses = resolve(host, port)
    for each in addresses:
        if is_private(each) and not any(_within(each, network) for network in allowed):
            raise RefusedError(
                f"{host} is at {each}, a private address: LAKEHOUSE_ACTIONS_ALLOW may name networks that are meant."
            )
    plain = socket.create_connection((addresses[0], port), timeout_s)
    with cut_after(plain, 3 * timeout_s) as is_late:
        connection = _connection(parts, host, port, plain, timeout_s)
        late = f"{host} had not answered after {3 * timeout_s:g} s"
        try:
            path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
            connection.request("POST", path, body, dict(headers))
            answer = connection.getresponse()
            if is_late.is_set():
                raise TimeoutError(late)
            return Answer(answer.status, answer.read(_MOST).decode("utf-8", "replace"))
        except (OSError, http.client.HTTPException) as error:
            # what was cut ends, or is reset, as the bytes are under way
            if is_late.is_set():
                raise TimeoutError(late) from error
            raise
        finally:
            connection.close()


def _within(address: str, network: Network) -> bool:
    return ipaddress.ip_address(address.split("%")[0]) in network


def _connection(
    parts: SplitResult, host: str, port: int, plain: socket.socket, timeout_s: float
) -> http.client.HTTPConnection:
    """Over a connection to an address, and in all else to `host`: TLS checks its name, and so does the receiver."""
    made = http.client.HTTPConnection(host, port, timeout=timeout_s)
    try:
        made.sock = (
            ssl.create_default_context().wrap_socket(plain, server_hostname=host) if parts.scheme == "https" else plain
        )
    except (OSError, ssl.SSLError):
        plain.close()
        raise
    return made
