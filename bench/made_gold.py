"""Made gold: the published tables that `query` asks of, without the bronze, silver and build behind them.

Belongs here: rows of a steady fleet as SQL, and their commits: in the order, by the writer and with the days a commit
that `pipeline.gold.publish` has, so that files are as it leaves them. What building gold takes is measured in `gold`.
"""

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta

import duckdb
import pyarrow as pa

from bench.made import HALTING, SITES, THERMOSTAT, SteadyFleet
from lake.records import publications
from lake.records.publications import Publication
from lake.storage.delta import arrow_schema, replace
from lake.storage.duckdb_connection import connect
from lake.tables.contracts import Table
from lake.tables.gold import DEVICE_COMPLETENESS, DEVICE_HOURS, DEVICE_LATEST, DEVICE_MINUTES, SITE_DAYS
from runtime.settings import Settings

_BATCH_ROWS = 100_000
_DAYS_A_COMMIT = 20
_DEVICE = "device_id, metric_name, unit, model_id, site_id"
_GROUPS = {
    DEVICE_MINUTES: f"{_DEVICE}, date_trunc('minute', read_at) AS minute_at",
    DEVICE_HOURS: f"{_DEVICE}, date_trunc('hour', read_at) AS hour_at",
    SITE_DAYS: "site_id, metric_name, unit, read_at::DATE AS day_date",
    DEVICE_LATEST: _DEVICE,
}


def publish_made(settings: Settings, fleet: SteadyFleet, days: int) -> Publication:
    """Commit the tables of so many days of two metrics a reading, and publish them."""
    with connect(settings) as connection:
        _make(connection, fleet, days)
        tables = {table.name: _commit(connection, settings, table) for table in (*_GROUPS, DEVICE_COMPLETENESS)}
    publication = Publication(
        publication_id=1, published_at=datetime.now(UTC), tables=tables, inputs={}, slices=(), held=(), releases=(),
        first_slice="", last_slice="", models={}, code_version="bench", run_id="bench",
    )  # fmt: skip
    publications.record(settings, publication)
    return publication


def _make(connection: duckdb.DuckDBPyConnection, fleet: SteadyFleet, days: int) -> None:
    connection.execute(f"""
        CREATE TABLE readings AS SELECT
            format('d-{{:05d}}', id % {fleet.devices}) AS device_id, '{THERMOSTAT}' AS model_id,
            format('site-{{:02d}}', id % {fleet.devices} % {SITES}) AS site_id, metric.name AS metric_name, metric.unit,
            TIMESTAMPTZ '{fleet.start}' + to_seconds(id // {fleet.devices} * {fleet.interval_s}) AS read_at,
            round(metric.low + hash(id, metric.name) % metric.span / 100, 2) AS value
        FROM range({fleet.readings(days * 24)}) r(id),
            (VALUES ('temperature', 'degc', 20, 1000), ('humidity', 'pct', 30, 3000)) metric(name, unit, low, span)
    """)
    for table, group in _GROUPS.items():
        connection.execute(f"""
            CREATE TABLE {table.short_name} AS SELECT {group},
                count(*) AS reading_count, count(DISTINCT device_id) AS device_count, max(read_at) AS event_at,
                event_at AS last_event_at, event_at::DATE AS event_date, hour(event_at)::INT AS event_hour,
                'UTC' AS zone, event_date::TIMESTAMPTZ AS starts_at, 24.0::DOUBLE AS hours_in_day,
                min(value) AS value_min, max(value) AS value_max, avg(value) AS value_mean,
                arg_max(value, read_at) AS value_last,
                quantile_cont(value, 0.5) AS value_p50, quantile_cont(value, 0.95) AS value_p95
            FROM readings GROUP BY ALL
        """)
    connection.execute(f"""
        CREATE TABLE {DEVICE_COMPLETENESS.short_name} AS SELECT
            device_id, model_id, site_id, hour_at, event_date, event_hour, reading_count AS received_count,
            if(right(device_id, 5)::INT % {HALTING} = 0, 2, 1) * received_count AS expected_count,
            expected_count - received_count AS missing_count, 0 AS late_count, 0 AS clock_flagged_count,
            0 AS duplicate_count, 0 AS rejected_count
        FROM {DEVICE_HOURS.short_name} WHERE metric_name = 'temperature'
    """)


def _commit(connection: duckdb.DuckDBPyConnection, settings: Settings, table: Table) -> int:
    columns, order = ", ".join(table.column_names), ", ".join(dict.fromkeys([*table.partition_by, *table.key]))
    version = 0
    for selection in _selections(connection, table):
        query = f"SELECT {columns} FROM {table.short_name} WHERE {selection or 'true'} ORDER BY {order}"

        def rows(query: str = query) -> pa.RecordBatchReader:
            return connection.sql(query).to_arrow_reader(_BATCH_ROWS).cast(arrow_schema(table))

        version = replace(settings, table, rows, selection, {})
    return version


def _selections(connection: duckdb.DuckDBPyConnection, table: Table) -> Iterator[str | None]:
    if "event_date" not in table.partition_by:
        yield None
        return
    first, last = connection.sql(f"SELECT min(event_date), max(event_date) FROM {table.short_name}").fetchall()[0]
    day: date = first
    while day <= last:
        end = day + timedelta(days=_DAYS_A_COMMIT)
        yield f"event_date >= DATE '{day}' AND event_date < DATE '{end}'"
        day = end
