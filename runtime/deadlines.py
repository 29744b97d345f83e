"""Deadlines: an end for what a connection takes as a whole.

Belongs here: cutting a connection that lasts too long. The time-out of a socket is that of each read alone, so who
sends a byte now and then would hold its reader for ever.
"""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress


@contextmanager
def cut_after(connected: socket.socket, whole_s: float) -> Iterator[threading.Event]:
    """Cut a connection that lasts longer than the block may, and set the event."""
    is_late, other = threading.Event(), connected.dup()  # TLS takes the place of the first one

    def cut() -> None:
        is_late.set()
        with suppress(OSError):
            other.shutdown(socket.SHUT_RDWR)

    timer = threading.Timer(whole_s, cut)
    timer.daemon = True
    timer.start()
    try:
        yield is_late
    finally:
        timer.cancel()
        timer.join()
        other.close()
