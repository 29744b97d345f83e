"""Evidence: what the lake knows of the readings of minutes in which the hot path and gold differ.

Belongs here: relations of silver, the registry and the records of the lake, for `transforms.hot_differences`. Nothing
here asks the hot path.
"""

from collections.abc import Iterator, Mapping, Sequence

import duckdb

from ingestion.bronze_ingest import committed_offsets
from lake.models.catalog import Model, silver_tables
from lake.records.publications import Publication
from lake.records.verdicts import latest_failures
from lake.slices import HOUR_MICROS, predicate, slice_start
from lake.sql_text import quoted, quoted_name
from lake.storage.applications import App
from lake.storage.delta import version_of
from lake.storage.duckdb_connection import scan
from lake.storage.locations import table_uri
from lake.storage.spark_commits import progress_of
from lake.tables.bronze import BRONZE_LIFECYCLE, BRONZE_TELEMETRY
from lake.tables.silver import SILVER_REJECTED
from pipeline.gold.stale import stale_slices
from runtime.settings import Settings
from transforms.hot_differences import CANDIDATES
from transforms.packed import part_number
from transforms.reasons import Reason
from transforms.windows import ARRIVAL
from wire.envelope import TELEMETRY_TOPIC


class Evidence:
    """Makes the tables `candidates` and `registry_events` of a connection."""

    def __init__(self, connection: duckdb.DuckDBPyConnection, settings: Settings, models: Mapping[str, Model],
                 published: Publication | None) -> None:  # fmt: skip
        self._connection, self._settings, self._models, self._published = connection, settings, models, published

    def gather(self, sides: str, hours: Sequence[str]) -> None:
        """Readings and repeats of the minutes of `sides` that differ, and those at the offsets that the hot path
        holds."""
        run = self._connection.execute
        run(f"CREATE TABLE candidates ({CANDIDATES})")
        run("CREATE TABLE registry_events (device_id VARCHAR, first_us BIGINT, last_us BIGINT)")
        run(f"CREATE TABLE devices_at_odds AS SELECT DISTINCT device_id FROM {sides} WHERE NOT agrees")
        if self._published is None or not run("SELECT count(*) FROM devices_at_odds").fetchall()[0][0]:
            return
        where = f"({predicate(hours)}{self._held_offsets(sides)}) AND device_id IN (FROM devices_at_odds)"
        for select in (*self._readings(where), *self._repeats(where)):
            run(f"INSERT INTO candidates BY NAME {select}")
        self._mark_odd()
        version = version_of(self._settings, BRONZE_LIFECYCLE.name)
        if version is not None:
            run(f"""INSERT INTO registry_events SELECT device_id, epoch_us(min(received_at)), epoch_us(max(received_at))
                FROM {scan(table_uri(self._settings, BRONZE_LIFECYCLE.name), version)}
                WHERE device_id IN (FROM devices_at_odds) GROUP BY ALL""")

    def _mark_odd(self) -> None:
        """Readings whose record has a header with a name that is not UTF-8: bronze has U+FFFD for what is none."""
        version = version_of(self._settings, BRONZE_TELEMETRY.name)
        row = self._connection.execute('SELECT min("offset"), max("offset") FROM candidates').fetchone()
        if version is None or row is None or row[0] is None:
            return
        self._connection.execute(f"""
            WITH odd AS (
                SELECT "partition", "offset" FROM {scan(table_uri(self._settings, BRONZE_TELEMETRY.name), version)}
                WHERE headers IS NOT NULL AND "offset" BETWEEN {row[0]} AND {row[1]}
                    AND len(list_filter(headers, lambda h: contains(h.key, chr(65533)))) > 0)
            UPDATE candidates SET is_odd = true FROM odd
            WHERE candidates."partition" = odd."partition" AND candidates."offset" = odd."offset" """)

    def wait_of(self) -> str:
        """SQL over rows of `sides` for 'held' or 'waits' where gold has not come so far, null where it has."""
        settings = self._settings
        held = sorted({verdict.slice for verdict in latest_failures(settings) if "T" in verdict.slice})
        is_behind = progress_of(settings, SILVER_REJECTED.name, App.TELEMETRY) < progress_of(
            settings, BRONZE_TELEMETRY.name, App.INGEST
        )
        if self._published is None or is_behind:
            return "'waits'"
        stale = sorted(stale_slices(settings, self._models).hours)
        landed = ", ".join(
            f"{quoted(str(p))}: {end}" for p, end in committed_offsets(settings, TELEMETRY_TOPIC).items()
        )
        ahead = f"""len(list_filter(map_entries(inputs::JSON::MAP(VARCHAR, BIGINT[])), lambda e:
            e.value[2] >= coalesce(MAP {{{landed}}}[e.key], 0))) > 0"""
        return f"""CASE WHEN minute_us // {HOUR_MICROS} IN ({_numbers(held)}) THEN 'held'
            WHEN NOT is_closed OR minute_us // {HOUR_MICROS} IN ({_numbers(stale)}) OR coalesce({ahead}, false)
                THEN 'waits' END"""

    def _held_offsets(self, sides: str) -> str:
        """SQL for one span of offsets, in which all that the hot figures at odds hold lies."""
        spans = f"""SELECT unnest(map_entries(inputs::JSON::MAP(VARCHAR, BIGINT[]))) AS e
            FROM {sides} WHERE NOT agrees"""
        asked = f"WITH spans AS ({spans}) SELECT min(e.value[1]), max(e.value[2]) FROM spans"
        row = self._connection.execute(asked).fetchone()
        return "" if row is None or row[0] is None else f' OR "offset" BETWEEN {row[0]} AND {row[1]}'

    def _readings(self, where: str) -> Iterator[str]:
        assert self._published is not None
        for name in silver_tables(self._models.values()):
            version = self._published.inputs.get(name)
            if version is None:
                continue
            source = scan(table_uri(self._settings, name), version)
            there = {row[0] for row in self._connection.execute(f"DESCRIBE FROM {source}").fetchall()}
            each = ", ".join(
                f"struct_pack(metric_name := {quoted(metric)}, unit := {quoted(unit)}, "
                f"v := {quoted_name(column)}::DOUBLE)"
                for column, metric, unit in self._metrics(name)
                if column in there
            )
            if each:
                yield f"""WITH values_apart AS (
                        SELECT *, {part_number()} AS part_number, unnest([{each}]) AS m FROM {source} WHERE {where})
                    SELECT device_id, m.metric_name, m.unit, "partition", "offset",
                    epoch_us(event_at) AS event_us, epoch_us(measured_at) AS measured_us,
                    epoch_us(received_at) AS received_us, {ARRIVAL} AS arrival, m.v AS value, false AS is_repeat,
                    NULL::BIGINT AS first_offset
                    FROM values_apart WHERE m.v IS NOT NULL"""

    def _metrics(self, table: str) -> list[tuple[str, str, str]]:
        ours = (model for model in self._models.values() if model.table == table)
        return sorted({(t.column, m.metric_name(t), t.unit) for m in ours for t in m.telemetry if t.is_metric})

    def _repeats(self, where: str) -> Iterator[str]:
        """Repeats with their values as they were sent; one in a pack has none of its own."""
        assert self._published is not None
        version = self._published.inputs.get(SILVER_REJECTED.name)
        if version is None:
            return
        source = scan(table_uri(self._settings, SILVER_REJECTED.name), version)
        for model in self._models.values():
            for telemetry in (t for t in model.telemetry if t.is_metric):
                path = "$" + "".join(f'."{name}"' for name in telemetry.json_path)
                yield f"""WITH refused AS (
                        SELECT *, {part_number()} AS part_number FROM {source}
                        WHERE {where} AND model_id = {quoted(model.model_id)}
                            AND reason IN ('{Reason.DUPLICATE}', '{Reason.CONFLICT}'))
                    SELECT device_id, {quoted(model.metric_name(telemetry))} AS metric_name,
                    {quoted(telemetry.unit)} AS unit, "partition", "offset", epoch_us(event_at) AS event_us,
                    epoch_us(measured_at) AS measured_us, epoch_us(received_at) AS received_us, {ARRIVAL} AS arrival,
                    TRY_CAST(json_extract_string(decode(value), {quoted(path)}) AS DOUBLE) AS value,
                    true AS is_repeat, split_part(repeats, ':', 3)::BIGINT AS first_offset
                    FROM refused
                    WHERE TRY_CAST(json_extract_string(decode(value), {quoted(path)}) AS DOUBLE) IS NOT NULL"""


def _numbers(hours: Sequence[str]) -> str:
    return ", ".join(str(int(slice_start(hour).timestamp()) // 3600) for hour in hours) or "NULL"
