"""`python -m serving.bi PORT`: the home's PostgreSQL, and the copy in it that follows the publications.

Belongs here: the process. With an address of yours (LAKEHOUSE_POSTGRES) it runs no server.
"""

import sys
from datetime import UTC, datetime
from threading import Event

import psycopg

from lake.models.catalog import known_models
from runtime.errors import LakehouseError
from runtime.settings import Settings, load_settings
from runtime.signals import asked_to_stop
from runtime.wording import counted
from serving.access.api_keys import ApiKeys
from serving.access.tenant_sites import load_tenants
from serving.bi.postgres_server import PostgresServer
from serving.bi.publication_copy import connect, copy_newest
from serving.bi.reader_roles import readers_of, sync_readers

_LOOK_S = 1.0
_LONGEST_PAUSE_S = 60.0


def main() -> None:
    """Run until a signal."""
    settings = load_settings()
    server = None if settings.postgres else PostgresServer(settings, int(sys.argv[1]))
    with asked_to_stop() as stop:
        try:
            if server is not None:
                server.start()
            _follow(settings, server, stop)
        finally:
            if server is not None:
                server.stop()


def _follow(settings: Settings, server: PostgresServer | None, stop: Event) -> None:
    connection: psycopg.Connection | None = None
    pause_s = _LOOK_S
    while not stop.is_set():
        try:
            if server is not None and not server.is_alive():
                print("PostgreSQL has ended and is started again.", flush=True)
                server.start()
            if connection is None or connection.closed:
                connection = connect(settings.postgres or (server.address if server else ""))
            _step(settings, connection)
            pause_s = _LOOK_S
        except (LakehouseError, psycopg.Error) as error:
            print(f"Error: {' '.join(str(error).split())}", file=sys.stderr, flush=True)
            pause_s = min(pause_s * 2, _LONGEST_PAUSE_S)
        stop.wait(pause_s)
    if connection is not None:
        connection.close()


def _step(settings: Settings, connection: psycopg.Connection) -> None:
    sync_readers(connection, readers_of(ApiKeys(settings), load_tenants(settings), datetime.now(UTC)))
    copied = copy_newest(settings, connection, known_models(settings).values())
    if copied is not None:
        slices, rows = counted(copied.slices, "slice"), counted(copied.rows, "row")
        print(f"Publication {copied.publication_id}: {slices}, {rows} copied.", flush=True)


if __name__ == "__main__":
    main()
