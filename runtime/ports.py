"""Ports: free ones on loopback, and whether something listens.

Belongs here: TCP alone. Which program listens where stands in `processes` and with the program.
"""

import secrets
import socket

from runtime.errors import PlatformError


def free_port() -> int:
    """A TCP port that is free on loopback now.

    Below the range from which systems take the ports of outgoing connections, so none of those takes it meanwhile.
    """
    for _ in range(100):
        port = 20000 + secrets.randbelow(10000)
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    raise PlatformError(
        "No free TCP port was found on 127.0.0.1 from 20000 to 29999: stop some programs and try again."
    )


def is_port_open(host: str, port: int, timeout_s: float = 5.0) -> bool:
    """True when something accepts TCP connections there."""
    try:
        with socket.create_connection((host, port), timeout=timeout_s):
            return True
    except OSError:
        return False


def accepts(address: str) -> bool:
    """True when `host:port`, or a socket at a path, takes connections."""
    if address.startswith("/"):
        with socket.socket(socket.AF_UNIX) as probe:
            probe.settimeout(5.0)
            return probe.connect_ex(address) == 0
    host, port = address.rsplit(":", 1)
    return is_port_open(host, int(port))


def can_bind(port: int) -> bool:
    """True when a server could listen on that port of loopback now."""
    with socket.socket() as probe:
        # as servers do: a port that was closed a moment ago is free
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True
