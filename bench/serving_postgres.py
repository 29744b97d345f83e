"""PostgreSQL beside the API: the same questions of the same published rows, by a reader's key and one connection.

Belongs here: the copy that `serving.bi` makes, the two questions in SQL, and the CPU of the process that answers them.
What is asked of the API is `serving`'s.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta

import psutil
import psycopg
from psycopg import Connection

from lake.models.catalog import known_models
from runtime.ports import free_port
from runtime.settings import Settings
from serving.access.api_keys import ApiKeys
from serving.access.tenant_sites import load_tenants
from serving.bi import publication_copy
from serving.bi.postgres_server import DATABASE, PostgresServer
from serving.bi.reader_roles import readers_of, sync_readers

# JSON that the server makes, as PostgREST has it made
_LATEST = """SELECT coalesce(json_agg(latest), '[]') FROM (
    SELECT * FROM gold.device_latest WHERE device_id = %s ORDER BY metric_name, unit) AS latest"""
_DAY = """SELECT minute_at, value_mean, unit, reading_count FROM gold.device_minutes
    WHERE device_id = %s AND metric_name = 'temperature' AND minute_at >= %s AND minute_at < %s ORDER BY minute_at"""


class PostgresReader:
    """One connection that stays open, and the server's process behind it."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._process = psutil.Process(connection.info.backend_pid)

    def latest(self, device_id: str) -> int:
        """The newest values of a device; how many there are."""
        row = self._connection.execute(_LATEST, [device_id]).fetchone()
        return len(row[0]) if row else 0

    def day(self, device_id: str, start: datetime) -> list[float]:
        """The minutes of a device's day from `start`, in binary form; their means."""
        cursor = self._connection.cursor(binary=True)
        return [row[1] for row in cursor.execute(_DAY, [device_id, start, start + timedelta(days=1)])]

    def cpu_s(self) -> float:
        """What the process has used so far."""
        times = self._process.cpu_times()
        return float(times.user + times.system)


@contextmanager
def postgres_reader(settings: Settings, key_id: str, key: str) -> Iterator[PostgresReader]:
    """A reader with that key of the newest publication, which is copied for it, until the block ends."""
    server = PostgresServer(settings, free_port())
    server.start()
    try:
        with publication_copy.connect(server.address) as connection:
            publication_copy.copy_newest(settings, connection, known_models(settings).values())
            sync_readers(connection, readers_of(ApiKeys(settings), load_tenants(settings), datetime.now(UTC)))
        with psycopg.connect(
            host="127.0.0.1", port=server.port, dbname=DATABASE, user=f"lh_{key_id}", password=key, autocommit=True
        ) as connection:
            yield PostgresReader(connection)
    finally:
        server.stop()
