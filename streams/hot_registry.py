"""The registry as the hot path knows it: lifecycle events of the lake and of Kafka, by the rules of `silver.devices`.

Belongs here: gathering the events and turning them into what judging needs. What an event means is in
`transforms.device_history`.
"""

from collections.abc import Sequence

import duckdb
import pyarrow as pa
from confluent_kafka import Message

from ingestion.kafka_records import FROM_RECORDS, record_columns
from lake.sql_text import Relation, quoted_names
from lake.storage.delta import version_of
from lake.storage.duckdb_connection import scan
from lake.storage.locations import table_uri
from lake.tables.bronze import BRONZE_LIFECYCLE
from runtime.settings import Settings
from transforms.closer_look import CLOSER, looked_at
from transforms.device_history import device_history, judge_event, judged_lifecycle, judging_facts
from transforms.packed import is_packed, messages_in
from transforms.repeats import COLUMNS, repeated_hashes, repeats

_COLUMNS = quoted_names(c.name for c in BRONZE_LIFECYCLE.columns if c.name != "headers")
_STEPS = (
    """CREATE OR REPLACE TEMP VIEW life_judged AS SELECT r.* REPLACE (coalesce(r.reason, c.reason) AS reason), c.mended
    FROM life_records r LEFT JOIN life_closer c USING (topic, "partition", "offset")""",
    f"CREATE OR REPLACE TEMP VIEW life_pool AS SELECT {COLUMNS} FROM life_judged WHERE reason IS NULL",
    f"CREATE OR REPLACE TEMP VIEW life_hashes AS {repeated_hashes(Relation('life_pool'))}",
    f"CREATE OR REPLACE TEMP TABLE life_again AS {repeats(Relation('life_pool'), Relation('life_hashes'))}",
    """CREATE OR REPLACE TEMP VIEW life_final AS SELECT j.* REPLACE (coalesce(j.reason, a.reason) AS reason)
    FROM life_judged j LEFT JOIN life_again a USING (topic, "partition", "offset")""",
    f"CREATE OR REPLACE TEMP TABLE life_history AS {device_history(Relation('life_final'))}",
)


def events_of_the_lake(connection: duckdb.DuckDBPyConnection, settings: Settings) -> pa.Table:
    """The lifecycle events that bronze has, none when it was not made yet."""
    version = version_of(settings, BRONZE_LIFECYCLE.name)
    connection.register("kafka_records", record_columns([]))
    source = f"({FROM_RECORDS})" if version is None else scan(table_uri(settings, BRONZE_LIFECYCLE.name), version)
    events = connection.execute(f"SELECT {_COLUMNS} FROM {source}").to_arrow_table()
    connection.unregister("kafka_records")
    return events


class HotRegistry:
    """Lifecycle events and what they come to."""

    def __init__(self, connection: duckdb.DuckDBPyConnection, events: pa.Table) -> None:
        """`events` are what is known to begin with (see `events_of_the_lake`)."""
        self._connection = connection
        connection.register("begun_with", events)
        connection.execute("CREATE TABLE life_events AS FROM begun_with")
        connection.unregister("begun_with")
        self._unpack()
        rows = connection.execute("SELECT DISTINCT device_id FROM life_events WHERE device_id IS NOT NULL").fetchall()
        self._known: set[bytes | str | None] = {None, *(row[0].encode() for row in rows)}
        self._asked_for: set[bytes | str | None] = set()

    def next_offset(self, partition: int) -> int:
        """The first offset of the lifecycle topic that is not known yet."""
        row = self._connection.execute(
            'SELECT max("offset") + 1 FROM life_events WHERE "partition" = ?', [partition]
        ).fetchone()
        return int(row[0]) if row is not None and row[0] is not None else 0

    def lacks(self, messages: Sequence[Message]) -> bool:
        """True when a record is the first of a device that no event is known of."""
        strangers: set[bytes | str | None] = {m.key() for m in messages if m.key() not in self._known}
        strangers -= self._asked_for
        self._asked_for |= strangers
        return bool(strangers)

    def add(self, messages: Sequence[Message]) -> None:
        """Take in records of the lifecycle topic."""
        self.add_columns(record_columns(messages))

    def add_columns(self, records: pa.Table) -> None:
        """The same of records as `record_columns` gives them; those that are known already change nothing."""
        self._known.update(records["key"].to_pylist())
        self._connection.register("kafka_records", records)
        # what the lake has comes from earlier commits, so it is first among repeats
        self._connection.execute(
            f"""INSERT INTO life_events BY NAME SELECT r.* REPLACE ({2**62} AS ingest_id) FROM ({FROM_RECORDS}) r
            ANTI JOIN life_events e ON r."partition" = e."partition" AND r."offset" = e."offset" """
        )
        self._connection.unregister("kafka_records")
        self._unpack()

    def _unpack(self) -> None:
        """The events of packs stand beside these, which the lake may have done already."""
        packs = self._connection.execute(
            f"""FROM (FROM life_events WHERE {is_packed()}) p ANTI JOIN (FROM life_events WHERE topic LIKE '%#1') e
            ON p."partition" = e."partition" AND p."offset" = e."offset" """
        ).to_arrow_table()
        if packs.num_rows:
            self._connection.register("parts", messages_in(packs))
            self._connection.execute("INSERT INTO life_events BY NAME FROM parts")
            self._connection.unregister("parts")

    def events(self) -> pa.Table:
        """All events, for a process that begins with them."""
        return self._connection.execute("FROM life_events").to_arrow_table()

    def facts(self) -> tuple[pa.Table, pa.Table]:
        """What judging needs (see `device_history.judging_facts`), and where devices stood when."""
        run = self._connection.execute
        run(f"CREATE OR REPLACE TEMP TABLE life_records AS {judged_lifecycle(Relation('life_events'))}")
        waiting = run('SELECT topic, "partition", "offset", shape, value FROM life_records WHERE reason IS NULL')
        rows = [looked_at(batch, judge_event) for batch in waiting.to_arrow_table().to_batches()]
        self._connection.register("looked_at_rows", pa.Table.from_batches(rows, CLOSER))
        run("CREATE OR REPLACE TEMP TABLE life_closer AS FROM looked_at_rows")
        self._connection.unregister("looked_at_rows")
        for step in _STEPS:
            run(step)
        placed = "SELECT device_id, valid_from, valid_to, site_id FROM life_history WHERE site_id IS NOT NULL"
        return run(judging_facts(Relation("life_history"))).to_arrow_table(), run(placed).to_arrow_table()
