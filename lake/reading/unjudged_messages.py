"""Unjudged messages: what bronze has and silver does not have yet, as after a tick that was killed between.

Belongs here: reading those of some devices and times. What they will be in silver is told by `known_readings`.
"""

from collections.abc import Iterator

import pyarrow as pa

from lake.reading.known_readings import Outgoing, sendable
from lake.sql_text import quoted_names
from lake.storage.applications import App
from lake.storage.delta import open_table
from lake.storage.duckdb_connection import connect
from lake.storage.locations import table_uri
from lake.storage.skipping import files_within, rows_of_files
from lake.tables.bronze import BRONZE_TELEMETRY
from lake.tables.silver import SILVER_REJECTED
from runtime.settings import Settings
from wire.envelope import DATASCHEMA, ID, SUBJECT, TELEMETRY_TOPIC, TIME, Message

_BATCH = 10_000
_MOST = 2**63 - 1
_HEADERS = (ID, TIME, SUBJECT, DATASCHEMA)


def unjudged_messages(settings: Settings, outgoing: Outgoing) -> Iterator[Message]:
    """The messages in bronze, of the devices and times of what is to be sent, that no tick has brought to silver."""
    # of all tables of silver a tick writes this one last
    rejected = open_table(settings, SILVER_REJECTED.name)
    reached = None if rejected is None else rejected.transaction_version(App.TELEMETRY)
    done, bronze = -1 if reached is None else reached, open_table(settings, BRONZE_TELEMETRY.name)
    uri = table_uri(settings, BRONZE_TELEMETRY.name)
    files = [] if bronze is None else files_within(bronze, uri, "ingest_id", done + 1, _MOST)
    if not files:
        return
    with connect(settings) as connection:
        connection.register("devices", pa.table({"device_id": list(map(sendable, outgoing.devices))}))
        found = connection.execute(
            f"""SELECT key, value, {quoted_names(_HEADERS)} FROM {rows_of_files(files)}
            WHERE ingest_id > ? AND measured_at BETWEEN ? AND ? AND device_id IN (FROM devices)""",
            [done, outgoing.first, outgoing.last],
        )
        while rows := found.fetchmany(_BATCH):
            for key, value, *texts in rows:
                headers = [(name, text.encode()) for name, text in zip(_HEADERS, texts, strict=True) if text]
                yield Message(TELEMETRY_TOPIC, key, headers, value or b"")
