"""Gold: a day of readings to every gold table, gated and published, beside the same aggregates bare.

Belongs here: the sides. The bare ones read the same silver files and write one Parquet file a table: no judging, no
partitions, no commits, no publication, and each table's percentiles, means and last values as ours.
"""

import shutil
import sys
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path

import duckdb
from pyspark.sql import SparkSession

from bench.harness import Result, Side, take_turns
from bench.made import SteadyFleet, fill
from lake.models.catalog import known_models
from lake.records.publications import newest
from lake.storage.duckdb_connection import connect as connect_duckdb
from lake.storage.duckdb_connection import scan
from lake.storage.locations import table_uri
from lake.tables.gold import GOLD_TABLES
from pipeline.gold.gold_refresh import refresh_gold
from pipeline.run import Run
from runtime.settings import Settings
from runtime.spark.connect_server import connect, interpret_small, running_spark

_VALUES = """count(*) AS reading_count, min(value) AS value_min, max(value) AS value_max, avg(value) AS value_mean,
    max_by(value, event_at) AS value_last"""
_PERCENTILES = "{p}(value, 0.5) AS value_p50, {p}(value, 0.95) AS value_p95"
_LONG = """SELECT r.device_id, d.site_id, 'temperature' AS metric_name, r.temperature_degc AS value, r.event_at
    FROM readings r JOIN devices d ON d.device_id = r.device_id
    UNION ALL SELECT r.device_id, d.site_id, 'humidity', r.humidity_pct, r.event_at
    FROM readings r JOIN devices d ON d.device_id = r.device_id"""
_BARE = {
    "device_minutes": f"SELECT device_id, site_id, metric_name, date_trunc('minute', event_at) AS minute_at, {_VALUES} "
    "FROM long GROUP BY 1, 2, 3, 4",
    "device_hours": f"SELECT device_id, site_id, metric_name, date_trunc('hour', event_at) AS hour_at, {_VALUES}, "
    f"max(event_at) AS last_event_at, {_PERCENTILES} FROM long GROUP BY 1, 2, 3, 4",
    "device_days": "SELECT device_id, site_id, metric_name, date_trunc('day', event_at) AS day_date, "
    f"{_VALUES}, {_PERCENTILES} FROM long GROUP BY 1, 2, 3, 4",
    "site_days": "SELECT site_id, metric_name, date_trunc('day', event_at) AS day_date, "
    f"count(DISTINCT device_id) AS device_count, {_VALUES}, {_PERCENTILES} FROM long GROUP BY 1, 2, 3",
    "device_completeness": "SELECT device_id, date_trunc('hour', event_at) AS hour_at, count(*) AS received_count, "
    "greatest({expected} - count(DISTINCT measured_at), 0) AS missing_count FROM readings GROUP BY 1, 2",
    "device_latest": "SELECT device_id, metric_name, max_by(value, event_at) AS value_last, max(event_at) AS event_at "
    "FROM long GROUP BY 1, 2",
    "devices": "SELECT * FROM devices",
}
_CHECKED = ("device_minutes", "device_hours", "device_days", "site_days")
_CHECK = "SELECT count(*), sum(reading_count)::BIGINT, sum(value_max::DECIMAL(18, 2)) FROM {}"


def run(folder: Path, is_quick: bool) -> list[Result]:
    """A day of 2,304 devices at 10 s, 20 million readings; 5 rounds, of which Spark takes 1. Quick 200,000 and 1."""
    settings = Settings(home=folder / "home", lake_uri=str(folder / "home" / "lake"))
    start = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0) - timedelta(days=2)
    fleet = SteadyFleet(start, 24 if is_quick else 2304, 10)
    with running_spark(settings) as address:
        spark = connect(address)
        count = sum(fill(spark, settings, fleet, hour, 6) for hour in range(0, 24, 6))
        sides = _sides(spark, settings, fleet, folder / "bare")
        times = take_turns(sides, 1 if is_quick else 5)
    goal = "within 1.5 times bare DuckDB; ahead of Spark"
    return [Result("gold", "a day to all gold tables (Spark in one round)", count, "readings", times, goal)]


def _sides(spark: SparkSession, settings: Settings, fleet: SteadyFleet, out: Path) -> list[Side]:
    models = known_models(settings)

    def cleared() -> None:
        for path in (out, settings.home / "lake" / "gold", settings.home / "lake" / "ops"):
            shutil.rmtree(path, ignore_errors=True)
        out.mkdir()

    def ours() -> None:
        refresh_gold(Run(settings, models, "bench", datetime.now(UTC)))

    def bare_duckdb() -> None:
        with connect_duckdb(settings) as connection:
            for name, table in (("readings", "silver.thermostats"), ("devices", "silver.devices")):
                connection.execute(
                    f"CREATE VIEW {name} AS FROM read_parquet('{table_uri(settings, table)}/**/*.parquet')"
                )
            connection.execute(f"CREATE VIEW long AS {_LONG}")
            for name, sql in _BARE.items():
                query = sql.format(p="quantile_cont", expected=3600 // fleet.interval_s)
                connection.execute(f"COPY ({query}) TO '{out}/{name}.parquet'")

    def bare_spark() -> None:
        interpret_small(spark, sys.maxsize)  # filling the lake may have told the session not to compile
        for name, table in (("readings", "silver.thermostats"), ("devices", "silver.devices")):
            spark.read.format("delta").load(table_uri(settings, table)).createOrReplaceTempView(name)
        spark.sql(f"CREATE OR REPLACE TEMPORARY VIEW long AS {_LONG}")
        for name, sql in _BARE.items():
            query = sql.format(p="percentile", expected=3600 // fleet.interval_s)
            spark.sql(query).write.parquet(f"{out}/{name}.parquet")

    def written() -> object:
        files = "{}/{}.parquet{}"
        found = [
            files.format(out, name, "" if (out / f"{name}.parquet").is_file() else "/*.parquet") for name in _CHECKED
        ]
        return [duckdb.sql(_CHECK.format(f"read_parquet('{path}')")).fetchall() for path in found]

    return [
        Side("lakehouse", ours, cleared, partial(published, settings)),
        Side("DuckDB, bare", bare_duckdb, cleared, written),
        Side("Spark, bare", bare_spark, cleared, written, rounds=1),
    ]


def published(settings: Settings) -> object:
    """What the tables of the newest publication that `_CHECKED` names add up to."""
    publication = newest(settings)
    assert publication is not None
    with connect_duckdb(settings) as connection:
        versions = {t.short_name: scan(table_uri(settings, t.name), publication.tables[t.name]) for t in GOLD_TABLES}
        return [connection.sql(_CHECK.format(versions[name])).fetchall() for name in _CHECKED]
