"""A Spark session of a server that is there and answers nothing."""

import socket
import subprocess
import sys
import threading

_ASK = """
import sys
from runtime.errors import PlatformError
from runtime.spark.connect_server import connect
try:
    connect(sys.argv[1])
except PlatformError as error:
    print(error)
"""


def test_a_server_that_dies_while_it_is_asked_is_given_up_within_seconds() -> None:
    """It takes the connection and drops it: the program says so and ends, where Spark's client would ask for ten
    minutes, and for as long again when the program ends."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def drop() -> None:
            while True:
                try:
                    server.accept()[0].close()
                except OSError:  # closed
                    return

        threading.Thread(target=drop, daemon=True).start()
        address = f"sc://127.0.0.1:{server.getsockname()[1]}"
        done = subprocess.run([sys.executable, "-c", _ASK, address], capture_output=True, text=True, timeout=90)
        server.shutdown(socket.SHUT_RDWR)
    assert done.stdout.startswith(f"Spark at {address} gives no session: ")
    assert done.returncode == 0
