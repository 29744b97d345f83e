"""Messages side by side: each one that a manifest names with its record in bronze and its place in silver.

Belongs here: the temporary tables of one reconciliation and the counts over them. Which counts must agree is said in
`reconcile`.

A message is found again by (topic, source, id) and by its rank among those of the same identity: records of one device
keep their order in Kafka, so the n-th sent is the n-th stored.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import duckdb
import pyarrow as pa

from device_sim.manifest import ManifestSummary
from lake.column_types import duckdb_type
from lake.models.catalog import Model, silver_tables
from lake.sql_text import quoted, quoted_names
from lake.storage.delta import version_of
from lake.storage.duckdb_connection import scan
from lake.storage.locations import table_uri
from lake.tables.bronze import BRONZE_LIFECYCLE, BRONZE_TELEMETRY
from lake.tables.contracts import Table
from lake.tables.silver import SILVER_DEVICES, SILVER_REJECTED
from runtime.settings import Settings
from wire.envelope import TELEMETRY_TOPIC

_OFFSET = ("topic", "partition", "offset")
_PLACE = quoted_names(_OFFSET)
_OF_BRONZE = (*_OFFSET, "ce_source", "ce_id", "received_at")
# how a rejected device, one whose model is not the registered one, or a stray one is told apart
_REGISTERED = ("device_id", "model_id", "site_id", "in_service_at", "reporting_interval_s")


@dataclass(frozen=True)
class Difference:
    """One message, or one device hour, that is not as expected; `where` says which."""

    layer: str
    where: str
    expected: str
    found: str


@dataclass(frozen=True)
class Messages:
    """The messages of one manifest in a DuckDB connection; `prepare` comes first."""

    connection: duckdb.DuckDBPyConnection
    settings: Settings
    models: Mapping[str, Model]
    manifest: ManifestSummary

    def prepare(self) -> None:
        """Make the tables `landed` (bronze), `judged` (silver, by offset) and `messages` (what was sent, with both)."""
        bronze = " UNION ALL ".join(self._rows(table, _OF_BRONZE) for table in (BRONZE_TELEMETRY, BRONZE_LIFECYCLE))
        self.connection.execute(f"""
            CREATE OR REPLACE TEMP TABLE landed AS
            SELECT {_PLACE}, ce_source AS source, ce_id AS message_id, received_at,
                row_number() OVER (PARTITION BY topic, ce_source, ce_id ORDER BY "partition", "offset") AS nth
            FROM ({bronze})""")
        self.connection.execute(f"""
            CREATE OR REPLACE TEMP TABLE judged AS
            SELECT {_PLACE}, count(*) AS places, min(fate) AS fate, min(clock_status) AS clock_status,
                min(table_name) AS table_name
            FROM ({self._judged_sql()}) GROUP BY ALL""")
        self.connection.execute(f"""
            CREATE OR REPLACE TEMP TABLE messages AS
            WITH sent AS (
                SELECT *, file_row_number AS number,
                    row_number() OVER (PARTITION BY topic, source, message_id ORDER BY file_row_number) AS nth
                FROM read_parquet({quoted(str(self.manifest.parquet_path))}, file_row_number = true)
            )
            SELECT sent.*, landed."partition", landed."offset", landed.received_at,
                CASE WHEN landed.nth IS NULL THEN 'not in bronze'
                    ELSE coalesce(judged.fate, if(sent.topic = 'lifecycle', 'lifecycle', 'not in silver')) END AS fate,
                judged.clock_status, judged.table_name
            FROM sent
                LEFT JOIN landed ON sent.topic = landed.topic AND sent.source = landed.source
                    AND sent.message_id IS NOT DISTINCT FROM landed.message_id AND sent.nth = landed.nth
                LEFT JOIN judged ON landed.topic = judged.topic AND landed."partition" = judged."partition"
                    AND landed."offset" = judged."offset" """)

    def by_topic(self) -> list[tuple[str, int, int]]:
        """(topic, messages sent, of those in bronze)."""
        return self._all('SELECT topic, count(*), count("offset") FROM messages GROUP BY topic ORDER BY topic DESC')

    def without_identity(self) -> tuple[int, int]:
        """Messages sent without an id, and of those in bronze."""
        return self._pair('SELECT count(*), count("offset") FROM messages WHERE message_id IS NULL')

    def repeated_offsets(self) -> int:
        """Bronze records whose Kafka offset another record has too."""
        return self._one(f"SELECT count(*) - count(DISTINCT ({_PLACE})) FROM landed")

    def surplus(self, is_alone: bool) -> int:
        """Bronze records beyond what was sent; when not alone, only those with the identity of a message sent.

        Registrations of the same device at the same time are the same message whoever sends them.
        """
        return self._one(f"SELECT count(*) FROM ({self._surplus_sql(is_alone)})")

    def by_table(self) -> list[tuple[str, int, int]]:
        """(silver table, readings expected, of the messages sent found there)."""
        tables = ", ".join(f"({quoted(m.model_id)}, {quoted(m.table)})" for m in self.models.values())
        return self._all(f"""
            WITH expected AS (
                SELECT models.table_name, count(*) AS n FROM messages
                    JOIN (VALUES {tables}) AS models(model_id, table_name) USING (model_id)
                WHERE expected_fate = 'reading' GROUP BY 1
            ), found AS (SELECT table_name, count(*) AS n FROM messages WHERE fate = 'reading' GROUP BY 1)
            SELECT table_name, coalesce(expected.n, 0), coalesce(found.n, 0)
            FROM expected FULL JOIN found USING (table_name) ORDER BY 1""")

    def by_reason(self) -> list[tuple[str, int, int]]:
        """(reason, messages expected to be rejected for it, messages that were)."""
        kept = "('reading', 'lifecycle', 'not in bronze', 'not in silver')"
        return self._all(f"""
            WITH expected AS (SELECT expected_fate AS reason, count(*) AS n FROM messages GROUP BY 1),
            found AS (SELECT fate AS reason, count(*) AS n FROM messages GROUP BY 1)
            SELECT reason, coalesce(expected.n, 0), coalesce(found.n, 0)
            FROM expected FULL JOIN found USING (reason)
            WHERE reason NOT IN {kept} ORDER BY reason""")

    def by_clock(self) -> list[tuple[str, int, int]]:
        """(clock status other than ok, readings expected with it, readings that have it)."""
        return self._all("""
            WITH expected AS (
                SELECT expected_clock_status AS status, count(*) AS n FROM messages WHERE expected_fate = 'reading'
                GROUP BY 1
            ), found AS (
                SELECT clock_status AS status, count(*) AS n FROM messages WHERE fate = 'reading' GROUP BY 1
            )
            SELECT status, coalesce(expected.n, 0), coalesce(found.n, 0)
            FROM expected FULL JOIN found USING (status)
            WHERE status <> 'ok' ORDER BY status""")

    def misjudged(self) -> int:
        """Messages whose fate, table or clock status is not the expected one."""
        return self._one(f"SELECT count(*) FROM messages WHERE {self._is_misjudged()}")

    def not_once(self) -> int:
        """Bronze telemetry records that are in no silver table or in more than one."""
        return self._one(f"""
            SELECT count(*) FROM landed LEFT JOIN judged USING ({_PLACE})
            WHERE topic = {quoted(TELEMETRY_TOPIC)} AND places IS DISTINCT FROM 1""")

    def without_origin(self) -> int:
        """Silver records whose Kafka offset bronze does not have."""
        return self._one(f"SELECT count(*) FROM judged ANTI JOIN landed USING ({_PLACE})")

    def devices(self, is_alone: bool) -> tuple[int, int]:
        """Devices simulated, and of those the ones whose current registry record says the same.

        When alone, devices that nobody simulated count too. When not alone another run may have registered the same
        device before: then its model alone is compared.
        """
        devices = pa.Table.from_pylist([{name: d[name] for name in _REGISTERED} for d in self.manifest.devices])
        self.connection.register("simulated_devices", devices)
        compared = _REGISTERED if is_alone else _REGISTERED[:2]
        same = " AND ".join(f"known.{name} = {_as_stored(name)}" for name in compared)
        extra = f"count(*) FILTER (WHERE simulated.device_id IS NULL) * {int(is_alone)}"
        found = self._one(f"""
            WITH registered AS ({self._rows(SILVER_DEVICES, (*_REGISTERED, "is_current"))}),
            known AS (SELECT * FROM registered WHERE is_current)
            SELECT count(*) FILTER (WHERE {same}) + {extra}
            FROM known LEFT JOIN simulated_devices AS simulated ON known.device_id = simulated.device_id""")
        return len(self.manifest.devices), found

    def differences(self, is_alone: bool, limit: int) -> list[Difference]:
        """The first messages, in the order of sending, that are not as expected, and records that nobody sent."""
        rows = self._all(f"""
            SELECT fate = 'not in bronze',
                concat_ws(' ', topic, source, coalesce(message_id, 'without id'), 'measured', measured_at,
                    if("offset" IS NULL, NULL, 'at ' || "partition" || ':' || "offset")),
                concat_ws(', ', expected_fate, 'clock ' || nullif(expected_clock_status, 'ok'), 'fault ' || fault),
                concat_ws(', ', fate, 'clock ' || nullif(clock_status, 'ok'), table_name)
            FROM messages WHERE {self._is_misjudged()} ORDER BY number LIMIT {limit}""")
        differing = [Difference("bronze" if lost else "silver", *words) for lost, *words in rows]
        unsent = self._all(f"""
            SELECT concat_ws(' ', topic, source, coalesce(message_id, 'without id'), 'at',
                "partition" || ':' || "offset")
            FROM ({self._surplus_sql(is_alone)}) ORDER BY {_PLACE} LIMIT {limit}""")
        differing += [Difference("bronze", where, "not sent", "in bronze") for (where,) in unsent]
        misplaced = self._all(f"""
            SELECT concat_ws(' ', topic, 'at', "partition" || ':' || "offset"), coalesce(places, 0)
            FROM landed LEFT JOIN judged USING ({_PLACE})
            WHERE topic = {quoted(TELEMETRY_TOPIC)} AND places > 1 ORDER BY {_PLACE} LIMIT {limit}""")
        return differing + [Difference("silver", where, "in 1 place", f"in {n} places") for where, n in misplaced]

    def _surplus_sql(self, is_alone: bool) -> str:
        same = "landed.topic = messages.topic AND landed.source = messages.source"
        same += " AND landed.message_id IS NOT DISTINCT FROM messages.message_id"
        unsent = f"SELECT * FROM landed ANTI JOIN messages ON {same} AND landed.nth = messages.nth"
        if is_alone:
            return unsent
        is_telemetry = f"landed.topic = {quoted(TELEMETRY_TOPIC)}"
        return f"WITH unsent AS ({unsent}) FROM unsent AS landed SEMI JOIN messages ON {same} WHERE {is_telemetry}"

    def _is_misjudged(self) -> str:
        tables = "".join(f" WHEN {quoted(m.model_id)} THEN {quoted(m.table)}" for m in self.models.values())
        return (
            "fate <> expected_fate OR (fate = 'reading' AND (clock_status <> expected_clock_status OR "
            f"table_name <> CASE model_id{tables} END))"
        )

    def _rows(self, table: Table, names: Sequence[str]) -> str:
        """SQL for columns of a table at its newest version; no rows when it does not exist."""
        version = version_of(self.settings, table.name)
        if version is None:
            types = {column.name: duckdb_type(column.type) for column in table.columns if column.name in names}
            nulls = ", ".join(f'NULL::{types[name]} AS "{name}"' for name in names)
            return f"SELECT {nulls} WHERE false"
        columns = quoted_names(names)
        return f"SELECT {columns} FROM {scan(table_uri(self.settings, table.name), version)}"

    def _judged_sql(self) -> str:
        selects = [
            f"SELECT {_PLACE}, 'reading' AS fate, clock_status, {quoted(table.name)} AS table_name "
            f"FROM ({self._rows(table, (*_OFFSET, 'clock_status'))})"
            for table in silver_tables(self.models.values()).values()
        ]
        rejected = self._rows(SILVER_REJECTED, (*_OFFSET, "reason", "clock_status"))
        selects.append(f"SELECT {_PLACE}, reason AS fate, clock_status, NULL AS table_name FROM ({rejected})")
        return " UNION ALL ".join(selects)

    def _all(self, sql: str) -> list[tuple]:  # type: ignore[type-arg]  # each caller declares its row
        return self.connection.sql(sql).fetchall()

    def _pair(self, sql: str) -> tuple[int, int]:
        first, second = self._all(sql)[0]
        return int(first), int(second)

    def _one(self, sql: str) -> int:
        return int(self._all(sql)[0][0])


def _as_stored(name: str) -> str:
    return f"simulated.{name}::TIMESTAMPTZ" if name.endswith("_at") else f"simulated.{name}"
