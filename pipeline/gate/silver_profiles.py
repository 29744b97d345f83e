"""Profiles of silver: what each slice of the reading tables and of `silver.rejected` holds, against bronze.

Belongs here: the SQL of the frames that silver suites judge. `silver_profiles.Silver` keeps the intermediate tables of
one judgement in a DuckDB connection, so that each row of the lake is read once.

What bronze has for each slice is counted in `bronze_counts`.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import duckdb
import pandas as pd

from lake.models.catalog import Model, silver_tables
from lake.slices import HOUR_MICROS
from lake.sql_text import Query, quoted
from lake.storage.duckdb_connection import scan
from lake.storage.locations import table_uri
from lake.tables.bronze import BRONZE_TELEMETRY, OF_TELEMETRY
from lake.tables.contracts import Table
from lake.tables.silver import SILVER_DEVICES, SILVER_REJECTED
from pipeline.gate.bronze_counts import CHECKSUM, bronze_counts
from pipeline.gate.profiles import (
    columns_of,
    create_slices,
    declared_profile,
    fetch,
    hour_number,
    repeats,
    sliced_scan,
    window_scan,
    words,
)
from runtime.settings import Settings

REPEAT_REASONS = ("duplicate", "conflict", "unpacked")
"""Rejected for being sent again, or for standing for messages that are judged one by one: which says nothing about the
quality of what is sent."""

_HELD_ROWS = 500_000
_OUTSIDE = f"count(*) FILTER (WHERE epoch_us(event_at) // {HOUR_MICROS} <> hour_number)"


@dataclass(frozen=True)
class Silver:
    """Silver at pinned versions and the slices to profile; `inputs` map a silver table to its Delta version."""

    connection: duckdb.DuckDBPyConnection
    settings: Settings
    models: Mapping[str, Model]
    inputs: Mapping[str, int]
    slices: tuple[str, ...]

    @property
    def reading_tables(self) -> dict[str, Table]:
        """The reading tables among the inputs."""
        tables = silver_tables(self.models.values())
        return {name: table for name, table in tables.items() if name in self.inputs}

    def prepare(self, bronze_version: int, progress: int) -> None:
        """Count rejected records into `rejected_counts` and bronze into `bronze_counts`; must come first.

        Bronze is counted at `bronze_version`, up to the `ingest_id` that silver has come to (`progress`).
        """
        create_slices(self.connection, self.slices)
        bronze = scan(table_uri(self.settings, BRONZE_TELEMETRY.name), bronze_version)
        devices = scan(table_uri(self.settings, SILVER_DEVICES.name), self.inputs[SILVER_DEVICES.name])
        tables = ", ".join(f"({quoted(m.model_id)}, {quoted(m.table)})" for m in self.models.values())
        columns = ["model_id", "reason", "topic", "partition", "offset", "measured_at", "event_at"]
        rows = self._rows(SILVER_REJECTED.name, columns)
        self.connection.execute(f"""
            CREATE OR REPLACE TEMP TABLE table_names AS FROM (VALUES {tables}) AS models(model_id, table_name);
            CREATE OR REPLACE TEMP TABLE rejected_counts AS
            SELECT slice, table_name, reason, measured_at IS DISTINCT FROM event_at AS is_untimed,
                count(*) AS records, {CHECKSUM} AS checksum, reason IN {REPEAT_REASONS} AS is_repeat
            FROM ({rows}) LEFT JOIN table_names USING (model_id)
            WHERE {OF_TELEMETRY}
            GROUP BY ALL;
            CREATE OR REPLACE TEMP TABLE bronze_counts AS
                {bronze_counts(bronze, devices, self.slices, progress)}""")
        self.connection.execute(
            "CREATE OR REPLACE TEMP TABLE reading_counts (slice VARCHAR, records BIGINT, checksum UBIGINT)"
        )

    def readings(self, table: Table) -> pd.DataFrame:
        """The profile of a reading table; adds its rows to `reading_counts`."""
        existing = columns_of(self.connection, self.settings, table.name, self.inputs[table.name])
        conditions = _range_conditions(m for m in self.models.values() if m.table == table.name)
        ranged = {column: condition for column, condition in conditions.items() if column in existing}
        out_of_range = {f"count(*) FILTER (WHERE {condition})": column for column, condition in ranged.items()}
        required = [column.name for column in table.columns if not column.nullable]
        rows = self._held(self._rows(table.name, [*required, *table.key, *ranged, "received_at"]))
        aggregates = {
            "outside": _OUTSIDE,
            "out_of_range": " + ".join(out_of_range) or "0",
            "out_of_range_detail": words((f"{count} > 0", column) for count, column in out_of_range.items()),
            "checksum": CHECKSUM,
            "newest_received_at": "max(received_at)",
        }
        offsets = ("topic", "partition", "offset")
        self.connection.execute(f"""
            CREATE OR REPLACE TEMP TABLE reading_profile AS
            WITH {declared_profile(self.connection, table, rows, aggregates)},
            offsets AS ({repeats(self.connection, rows, offsets, "repeated_offsets")}),
            {_rejected(f"table_name = {quoted(table.name)}")}
            SELECT slice, counts.* EXCLUDE slice, repeated_keys, repeated_offsets, rejected.* EXCLUDE slice,
                rejected / nullif(rejected + coalesce(rows, 0), 0) AS rejected_ratio
            FROM judged_slices LEFT JOIN counts USING (slice) LEFT JOIN repeats USING (slice)
                LEFT JOIN offsets USING (slice) LEFT JOIN rejected USING (slice)""")
        self.connection.execute(
            "INSERT INTO reading_counts SELECT slice, rows, checksum FROM reading_profile WHERE rows > 0"
        )
        return fetch(
            self.connection, "SELECT * EXCLUDE (checksum, newest_received_at) FROM reading_profile ORDER BY slice"
        )

    def whole_slices(self) -> pd.DataFrame:
        """The profile of `silver.rejected` and of the slice as a whole, after `readings` of every table."""
        table = SILVER_REJECTED
        required = [column.name for column in table.columns if not column.nullable]
        rows = self._held(self._rows(table.name, required))
        return fetch(
            self.connection,
            f"""
            WITH {declared_profile(self.connection, table, rows, {"outside": _OUTSIDE})},
            {_rejected("table_name IS NULL", "true")},
            bronze AS (
                SELECT slice, sum(records)::BIGINT AS records, bit_xor(checksum) AS checksum
                FROM bronze_counts GROUP BY slice
            ),
            silver_counts AS (
                SELECT slice, records, checksum, is_repeat FROM rejected_counts
                UNION ALL SELECT slice, records, checksum, false FROM reading_counts
            ),
            silver AS (
                SELECT slice, sum(records)::BIGINT AS records, bit_xor(checksum) AS checksum,
                    sum(records) FILTER (WHERE NOT is_repeat) AS first_records
                FROM silver_counts GROUP BY slice
            )
            SELECT slice, counts.* EXCLUDE slice, repeated_keys, rejected.* EXCLUDE slice,
                rejected / nullif(first_records, 0) AS rejected_ratio,
                silver.records AS silver_records, bronze.records AS bronze_records,
                coalesce(silver.checksum, 0)::VARCHAR AS silver_checksum,
                coalesce(bronze.checksum, 0)::VARCHAR AS bronze_checksum
            FROM judged_slices LEFT JOIN counts USING (slice) LEFT JOIN repeats USING (slice)
                LEFT JOIN rejected USING (slice) LEFT JOIN silver USING (slice) LEFT JOIN bronze USING (slice)
            ORDER BY slice""",
        )

    def registry(self, table: Table = SILVER_DEVICES) -> pd.DataFrame:
        """The profile of `silver.devices` or `silver.sites`, whose one slice is `all`."""
        source = scan(table_uri(self.settings, table.name), self.inputs[table.name])
        of = "device_id" if table == SILVER_DEVICES else "site_id"
        return fetch(
            self.connection,
            f"""
            WITH {declared_profile(self.connection, table, Query(f"SELECT *, 'all' AS slice FROM {source}"), {})},
            currents_of_each AS (
                SELECT count(*) FILTER (WHERE is_current) AS current_records FROM rows GROUP BY {of}
            ),
            currents AS (
                SELECT count(*) FILTER (WHERE current_records <> 1) AS not_one_current FROM currents_of_each
            )
            SELECT slice, counts.* EXCLUDE slice, repeated_keys, not_one_current
            FROM (VALUES ('all')) AS slices(slice) LEFT JOIN counts USING (slice) LEFT JOIN repeats USING (slice),
                currents""",
        )

    def staleness_s(self, table: Table, newest_slice: str, limit_s: int) -> int:
        """Seconds by which the newest reading of a table is behind the newest of any table in `newest_slice`.

        Looks back no further than the limit asks for; a table without a reading there is as old as that window. A
        table that never had a reading is not stale: nothing of its kind is in the field yet.
        """
        last = hour_number(newest_slice)
        first = last - 1 - -(-limit_s // 3600)
        newest = [self._newest_received(name, last, last) for name in self.reading_tables]
        ours = self._newest_received(table.name, first, last)
        if not any(newest) or (ours is None and not self._has_rows(table)):
            return 0
        return int(max(at for at in newest if at) - (ours or first * 3600))

    def _rows(self, table: str, columns: Sequence[str]) -> Query:
        return sliced_scan(self.settings, table, self.inputs[table], self.slices, columns)

    def _held(self, rows: Query) -> Query:
        """SQL for the same rows: they are read several times, and once they are in memory the files of a history, of
        which each has few, are not opened each time. More than fit in little memory are read from their files."""
        self.connection.execute(f"CREATE OR REPLACE TEMP TABLE held AS SELECT * FROM ({rows}) LIMIT {_HELD_ROWS + 1}")
        ((count,),) = self.connection.sql("SELECT count(*) FROM held").fetchall()
        if count <= _HELD_ROWS:
            return Query("SELECT * FROM held")
        self.connection.execute("DROP TABLE held")
        return rows

    def _newest_received(self, table: str, first: int, last: int) -> float | None:
        """The newest received_at, in seconds since 1970, of the hours from `first` to `last`."""
        rows = window_scan(self.settings, table, self.inputs[table], [(first, last)], ["received_at"])
        found = self.connection.sql(f"SELECT epoch(max(received_at)) FROM ({rows})").fetchone()
        return None if found is None else found[0]

    def _has_rows(self, table: Table) -> bool:
        source = scan(table_uri(self.settings, table.name), self.inputs[table.name])
        return self.connection.sql(f"SELECT 1 FROM {source} LIMIT 1").fetchone() is not None


def _rejected(where: str, received_where: str | None = None) -> str:
    """The CTE `rejected`, with `arrived` which it reads: by slice the records rejected for their own fault, and the
    reasons in words.

    `untimed` are those that lie in the slice for being received in it, whatever time they are about: of a backlog of
    days all come at once. Their share is of what was received (`received_where`), not of the slice's own.
    """
    return f"""arrived AS (
                SELECT slice, sum(received) AS received FROM bronze_counts WHERE {received_where or where}
                GROUP BY slice
            ),
            rejected AS (
                SELECT slice, coalesce(sum(records) FILTER (WHERE NOT is_untimed), 0) AS rejected,
                    {_reasons("NOT is_untimed")} AS rejected_ratio_detail,
                    coalesce(sum(records) FILTER (WHERE is_untimed), 0) AS untimed,
                    {_reasons("is_untimed")} AS untimed_ratio_detail,
                    untimed / greatest(untimed, any_value(received), 1) AS untimed_ratio
                FROM rejected_counts LEFT JOIN arrived USING (slice)
                WHERE NOT is_repeat AND {where} GROUP BY slice
            )"""


def _reasons(condition: str) -> str:
    words = "records || ' ' || reason, ', ' ORDER BY records DESC, reason"
    return f"string_agg({words}) FILTER (WHERE {condition})"


def _range_conditions(models: Iterable[Model]) -> dict[str, str]:
    """For each column with a declared range or enumeration, the condition under which a row breaks it."""
    broken: dict[str, list[str]] = {}
    for model in models:
        for telemetry in model.telemetry:
            name, parts = f'"{telemetry.column}"', []
            if telemetry.minimum is not None:
                parts.append(f"{name} < {telemetry.minimum!r}")
            if telemetry.maximum is not None:
                parts.append(f"{name} > {telemetry.maximum!r}")
            if telemetry.enum_values:
                values = ", ".join(quoted(v) if isinstance(v, str) else str(v) for v in telemetry.enum_values)
                parts.append(f"{name} NOT IN ({values})")
            if parts:
                condition = f"model_id = {quoted(model.model_id)} AND ({' OR '.join(parts)})"
                broken.setdefault(telemetry.column, []).append(condition)
    return {column: " OR ".join(conditions) for column, conditions in broken.items()}
