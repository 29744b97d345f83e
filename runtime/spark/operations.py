"""Operations: what Spark still does for a client, be it one that has died.

Belongs here: naming this process's sessions so that another process can reach them, and awaiting what runs in them. The
server and its sessions are in `spark`; when this is needed is for `lease` to say.

Spark goes on with a command whose client was killed, and commits it seconds later: by then the next writer may have
read how far the tables have come.
"""

import time
from pathlib import Path
from urllib.parse import urlsplit

from pyspark.errors import PySparkException
from pyspark.sql.connect.client import SparkConnectClient
from pyspark.sql.connect.client.retries import DefaultPolicy
from pyspark.sql.connect.proto import GetStatusResponse

from runtime.errors import PlatformError
from runtime.ports import is_port_open
from runtime.private_files import known_key
from runtime.settings import Settings
from runtime.spark.connect_server import open_sessions, reason_of
from runtime.spark.spark_configuration import NAME

_END_S = 600.0
_STATE = GetStatusResponse.OperationStatus.OperationState


def session_addresses() -> tuple[str, ...]:
    """Where another process reaches the Spark sessions that this one has open; without the secrets of an address."""
    return tuple(sorted(_address(server, session.client) for session, server in open_sessions()))


def await_operations(settings: Settings, address: str, home: str) -> None:
    """Wait until what runs in the session at `address` has ended.

    It is not interrupted: Spark does not tell when an interrupted operation has ended, and a finished one is work done.
    A server that does not answer has died, and its operations with it. `home` is that of the process whose session it
    is, for the key of its server. Raises PlatformError when they do not end.
    """
    parts = urlsplit(address)
    if not is_port_open(parts.hostname or "", parts.port or 0):
        return
    client = SparkConnectClient(address + _secrets(settings, address, home))
    client.set_retry_policies([DefaultPolicy(max_retries=5, max_backoff=2000)])
    deadline = time.monotonic() + _END_S
    try:
        while _are_under_way(client):
            if time.monotonic() > deadline:
                raise PlatformError(
                    f"Spark at {parts.netloc} still works for a process that is gone, after {_END_S:.0f} s: restart it "
                    "(`lakehouse down` stops the embedded one) and run this again."
                )
            time.sleep(0.1)
    except PySparkException as error:
        raise PlatformError(f"Spark at {parts.netloc} does not say what runs there: {reason_of(error)}.") from error
    finally:
        client.close()


def _are_under_way(client: SparkConnectClient) -> bool:
    # there is no public way to ask
    statuses = client._get_operation_statuses().operation_statuses
    return any(status.state == _STATE.OPERATION_STATE_RUNNING for status in statuses)


def _address(server: str, client: SparkConnectClient) -> str:
    user = f";user_id={client._user_id}" if client._user_id else ""
    return f"{server}/;session_id={client._session_id}{user}"


def _secrets(settings: Settings, address: str, home: str) -> str:
    """The parameters of the configured server's address, a token for one; or the key of a home's own server."""
    if settings.spark.startswith("sc://") and urlsplit(settings.spark).netloc == urlsplit(address).netloc:
        _, _, parameters = settings.spark.partition("/;")
        return f";{parameters}" if parameters else ""
    key = known_key(Path(home), NAME)
    return f";token={key}" if key else ""
