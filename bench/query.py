"""Query: what analysts ask of gold, beside ClickHouse in process (chdb) and DuckDB on plain Parquet of the same rows.

Belongs here: the questions, the plain files, and p50 and p99 of many askings. Ours is a reader as the prompt of
`lakehouse sql` opens it, with its publication, after it has copied the tables into memory; what that takes stands with
the goal. Beside it stands a reader without copies, as a single `lakehouse sql` and the first question have it.
"""

import json
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

from chdb.session import Session

import lakehouse
from bench.harness import Result, Side, take_turns
from bench.made import SteadyFleet
from bench.made_gold import publish_made
from lake.models.catalog import known_models
from lake.reading.reader import Reader, open_reader
from lake.records.publications import Publication
from lake.storage.duckdb_connection import connect as connect_duckdb
from lake.storage.duckdb_connection import scan
from lake.storage.locations import table_uri
from lakehouse.published import PublishedGold
from runtime.settings import Settings

_TABLES = ("device_latest", "device_minutes", "device_hours", "site_days", "device_completeness")
_QUESTIONS = {
    "last state": "SELECT metric_name, value_last FROM {device_latest} WHERE device_id = 'd-00042' ORDER BY 1",
    "a device's day": "SELECT minute_at, value_mean FROM {device_minutes} WHERE device_id = 'd-00042'"
    " AND metric_name = 'temperature' AND event_date = '{day}' ORDER BY minute_at",
    "fleet p95 by hour": "SELECT hour_at, max(value_p95) AS p95, sum(reading_count) AS n FROM {device_hours}"
    " WHERE metric_name = 'temperature' GROUP BY hour_at ORDER BY hour_at",
    "top 10 sites": "SELECT site_id, sum(value_mean * reading_count) / sum(reading_count) AS mean FROM {site_days}"
    " WHERE metric_name = 'temperature' GROUP BY site_id ORDER BY mean DESC, site_id LIMIT 10",
    "missing hours": "SELECT device_id, count(*) AS n FROM {device_completeness} WHERE missing_count > 0"
    " GROUP BY device_id ORDER BY n DESC, device_id LIMIT 20",
}


def run(folder: Path, is_quick: bool) -> list[Result]:
    """30 days of 72 devices at 60 s, asked 200 times; quick 2 days, asked 30 times."""
    settings = Settings(home=folder / "home", lake_uri=str(folder / "home" / "lake"))
    days, devices = 2 if is_quick else 30, 72
    start = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0) - timedelta(days=days + 1)
    publication = publish_made(settings, SteadyFleet(start, devices, 60), days)
    plain = folder / "plain"
    _plain_copy(settings, publication, plain)
    day = f"{start + timedelta(days=days // 2):%Y-%m-%d}"
    rounds = 30 if is_quick else 200
    return [*_ask(settings, plain, day, rounds), _series(settings, start, days, rounds)]


def _ask(settings: Settings, plain: Path, day: str, rounds: int) -> list[Result]:
    models = known_models(settings)
    with (
        open_reader(settings, models, stays_open=True) as open_one,
        open_reader(settings, models) as fresh,
        connect_duckdb(settings) as bare,
        Session() as clickhouse,
    ):
        goal = f"p99 ahead of chdb and DuckDB; {_copy(open_one)}"

        def asking(reader: Reader) -> Callable[[str], list[tuple[object, ...]]]:
            def ours(sql: str) -> list[tuple[object, ...]]:
                (statement,) = reader.statements(sql.format(day=day, **{name: f"gold.{name}" for name in _TABLES}))
                return reader.run(statement).fetchall()

            return ours

        def in_duckdb(sql: str) -> list[tuple[object, ...]]:
            files = {name: f"read_parquet('{plain}/{name}/*.parquet')" for name in _TABLES}
            return bare.sql(sql.format(day=day, **files)).fetchall()

        def in_chdb(sql: str) -> list[list[object]]:
            files = {name: f"file('{plain}/{name}/*.parquet', Parquet)" for name in _TABLES}
            answer = str(clickhouse.query(sql.format(day=day, **files), "JSONCompactEachRow"))
            return [json.loads(line) for line in answer.splitlines()]

        results = []
        for name, sql in _QUESTIONS.items():
            sides = [
                _side("lakehouse", asking(open_one), sql),
                _side("chdb", in_chdb, sql),
                _side("DuckDB, Parquet", in_duckdb, sql),
                _side("lakehouse, no copies", asking(fresh), sql),
            ]
            times = take_turns(sides, rounds)
            bench = f"query-{name.replace(' ', '-').replace(chr(39), '')}"
            results.append(Result(bench, name, 1, "answers", times, goal))
    return results


def _series(settings: Settings, start: datetime, days: int, rounds: int) -> Result:
    """A device's hours of all days from Python: of a publication that is at hand, of the newest, of a lake."""
    span = ("d-00042", "temperature", start, start + timedelta(days=days))
    lake = lakehouse.open(settings.home)
    gold = lake.publication()

    def side(name: str, publication: Callable[[], PublishedGold]) -> Side:
        return Side(name, lambda: publication().series(*span, fill="linear").to_arrow())

    sides = [
        side("a publication", lambda: gold),
        side("the newest", lake.publication),
        side("lakehouse.open", lambda: lakehouse.open(settings.home).publication()),
    ]
    goal = "a series of 30 days under 50 ms"
    return Result("query-series", "a series from Python", 1, "series", take_turns(sides, rounds), goal, is_alone=True)


def _copy(reader: Reader) -> str:
    """Have all tables copied; what that took."""
    assert reader.keeper is not None
    began = time.perf_counter()
    for name in _TABLES:
        reader.run(f"FROM gold.{name} LIMIT 0")
    reader.keeper.wait()
    seconds, megabytes = time.perf_counter() - began, reader.keeper.used() / 10**6
    assert all(reader.keeper.source(f"gold.{name}") for name in _TABLES)
    return f"copying took {seconds:.1f} s and {megabytes:.0f} MB"


def _side(name: str, ask: Callable[[str], Sequence[Sequence[object]]], sql: str) -> Side:
    rows: list[Sequence[object]] = []

    def work() -> None:
        rows[:] = ask(sql)

    return Side(name, work, answer=lambda: [[_plain(value) for value in row] for row in rows])


def _plain(value: object) -> object:
    """A value as all three can give it: sums of fractions differ in their last digits, times in their spelling."""
    if isinstance(value, datetime):
        return f"{value:%Y-%m-%d %H:%M:%S}"
    if isinstance(value, int | float):
        return round(float(value), 6)
    return str(value).removesuffix(".000000")


def _plain_copy(settings: Settings, publication: Publication, plain: Path) -> None:
    """The published rows as Parquet files, one a day and in the order of our files where a table has days."""
    with connect_duckdb(settings) as connection:
        for name in _TABLES:
            (plain / name).mkdir(parents=True)
            source = scan(table_uri(settings, f"gold.{name}"), publication.tables[f"gold.{name}"])
            columns = [row[0] for row in connection.sql(f"DESCRIBE FROM {source}").fetchall()]
            days = [None]
            if "event_date" in columns and name != "device_latest":
                days = [row[0] for row in connection.sql(f"SELECT DISTINCT event_date FROM {source}").fetchall()]
            for day in days:
                where = f"WHERE event_date = DATE '{day}'" if day else ""
                connection.execute(
                    f"COPY (FROM {source} {where} ORDER BY ALL) TO '{plain}/{name}/{day}.parquet' (COMPRESSION zstd)"
                )
