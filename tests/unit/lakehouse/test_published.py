"""The Python face: published gold as frames and series, pinned, and nothing but reading."""

import re
import shutil
import subprocess
import sys
from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pytest

import lakehouse
from lake.records import publications
from lake.records.publications import Publication
from lake.storage.delta import append
from lake.storage.duckdb_connection import connect
from lake.tables.contracts import Table
from lake.tables.gold import (
    CALENDAR,
    DEVICE_COMPLETENESS,
    DEVICE_DAYS,
    DEVICE_HOURS,
    DEVICE_LATEST,
    DEVICE_MINUTES,
    SITE_DAYS,
)
from lake.tables.gold_kinds import STATE_DAYS
from lakehouse import published
from lakehouse.published import OpenLake, PublishedGold
from runtime.errors import PlatformError, QueryError, UsageError
from runtime.settings import Settings
from tests.support.published_lake import gold_row, publish_rows
from tests.support.small_lake import NOW, arrow_table

START = datetime(2026, 11, 18, tzinfo=UTC)
HOURS = [hour for hour in range(72) if hour not in (5, 6)]
DAYS = ("2026-11-18", "2026-11-21")


def row(table: Table, at: datetime, value: float, **changes: Any) -> dict[str, Any]:
    """A row of a gold table with one value in all places."""
    common = {
        "device_id": "d1", "metric_name": "temperature", "unit": "degc", "site_id": "s1", "minute_at": at,
        "hour_at": at, "day_date": at.date(), "event_at": at, "last_event_at": at,
        "event_date": at.date(), "event_hour": at.hour,
        "reading_count": 60, "value_mean": value, "value_min": value - 1, "value_max": value + 1, "value_last": value,
        "value_p50": value, "value_p95": value,
    }  # fmt: skip
    return {name: each for name, each in (common | changes).items() if name in table.column_names}


def publish(settings: Settings, number: int, tables: dict[str, int]) -> None:
    """Record a publication of these versions."""
    publications.record(
        settings,
        Publication(number, NOW, tables, {}, (), ({"slice": "2026-11-20T05"},), (), "", "", {}, "1", "run"),
    )


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home with three days of a device's hours, hour n with the value n, and two publications."""
    home = tmp_path_factory.mktemp("home")
    settings = Settings(home=home, lake_uri=str(home / "lake"))
    hours = [row(DEVICE_HOURS, START + timedelta(hours=hour), float(hour)) for hour in HOURS]
    minutes = [row(DEVICE_MINUTES, START + timedelta(minutes=minute), float(minute)) for minute in (0, 1, 4, 7)]
    days = [row(DEVICE_DAYS, START + timedelta(days=day), float(day)) for day in range(3)]
    tables = {
        table.name: append(settings, table, arrow_table(table, rows), {})
        for table, rows in ((DEVICE_HOURS, hours), (DEVICE_MINUTES, minutes), (DEVICE_DAYS, days))
    }
    tables[DEVICE_LATEST.name] = append(
        settings, DEVICE_LATEST, arrow_table(DEVICE_LATEST, [row(DEVICE_LATEST, START, 1.0)]), {}
    )
    publish(settings, 1, tables)
    later = [row(DEVICE_HOURS, START, 9.0, device_id="d2"), row(DEVICE_HOURS, START, 9.0, device_id="d2", unit="degf")]
    publish(
        settings, 2, {**tables, DEVICE_HOURS.name: append(settings, DEVICE_HOURS, arrow_table(DEVICE_HOURS, later), {})}
    )
    return home


@pytest.fixture
def gold(home: Path) -> PublishedGold:
    """The first publication."""
    return lakehouse.open(home).publication(1)


def test_importing_takes_no_time_and_brings_no_engine() -> None:
    """`import lakehouse` is over in well under 0.3 s, since it imports nothing that is large."""
    engines = "{'duckdb', 'pyarrow', 'pyspark', 'dagster', 'click'}"
    code = f"import sys, lakehouse; print(any(name in sys.modules for name in {engines}))"
    done = subprocess.run([sys.executable, "-X", "importtime", "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
    line = next(line for line in done.stderr.splitlines() if line.endswith(" lakehouse"))
    assert int(line.split("|")[1]) < 300_000


def test_reading_imports_neither_spark_nor_dagster(home: Path) -> None:
    """A table and a series come without Spark, Dagster or dbt being imported."""
    code = (
        "import sys, lakehouse; gold = lakehouse.open(sys.argv[1]).publication()\n"
        "gold.table('device_hours').to_arrow()\n"
        "gold.series('d1', 'temperature', '2026-11-18', '2026-11-19').to_arrow()\n"
        "print(sorted({m.split('.')[0] for m in sys.modules} & {'pyspark', 'dagster', 'dbt', 'great_expectations'}))"
    )
    done = subprocess.run([sys.executable, "-c", code, str(home)], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_a_publication_is_what_is_read(home: Path) -> None:
    """Each publication shows the rows that it pins; the newest is the default; what it says of itself is at hand."""
    lake = lakehouse.open(home)
    assert lake.publication(1).table("gold.device_hours").to_arrow().num_rows == len(HOURS)
    newest = lake.publication()
    assert (newest.number, newest.held, newest.published_at) == (2, ["2026-11-20T05"], NOW)
    assert newest.table("device_hours").to_arrow().num_rows == len(HOURS) + 2
    assert [number for number, _ in lake.publications()] == [1, 2]


def test_nothing_is_written(home: Path) -> None:
    """Files of the home are the same after reading as before: their names, sizes and times of change."""

    def files() -> dict[Path, tuple[int, int]]:
        return {path: (path.stat().st_size, path.stat().st_mtime_ns) for path in home.rglob("*")}

    before = files()
    gold = lakehouse.open(home).publication()
    gold.table("device_hours").to_arrow()
    gold.series("d1", "temperature", *DAYS)
    assert files() == before


def test_rows_come_in_every_form(gold: PublishedGold) -> None:
    """Arrow, pandas, Polars and a DuckDB relation hold the same rows, times in UTC."""
    rows = gold.table("device_hours").where(device_id="d1").during("2026-11-18T01:00Z", "2026-11-18T03:00Z")
    chosen = rows.select("hour_at", "value_mean")
    expected = [(START + timedelta(hours=hour), float(hour)) for hour in (1, 2)]
    assert [tuple(each.values()) for each in chosen.to_arrow().to_pylist()] == expected
    assert chosen.to_polars().rows() == expected
    assert list(chosen.to_pandas().itertuples(index=False, name=None)) == expected
    relation = chosen.to_duckdb()
    assert relation.aggregate("sum(value_mean)").fetchone() == (3.0,)


def test_conditions_skip_files(home: Path, tmp_path: Path) -> None:
    """A day, by its date or by the time of its rows, is read though the files of all other days are gone."""
    shutil.copytree(home / "lake", tmp_path / "lake")
    for folder in (tmp_path / "lake/gold/device_hours").glob("event_date=*"):
        if folder.name != "event_date=2026-11-19":
            shutil.rmtree(folder)
    table = lakehouse.open(tmp_path).publication(1).table("device_hours")
    for rows in (
        table.where(event_date=date(2026, 11, 19)),
        table.where("event_date = DATE '2026-11-19'"),
        table.during("2026-11-19T00:00Z", "2026-11-19T23:30Z"),
        table.where(device_id=["d1", "d7"], event_date=date(2026, 11, 19)),
    ):
        assert rows.to_arrow().num_rows == 24
    with pytest.raises(duckdb.IOException):
        table.to_arrow()


def test_columns_that_are_not_chosen_are_not_read(gold: PublishedGold) -> None:
    """What reads the files is asked for the selected columns, and for one that a condition needs, alone."""
    chosen = gold.table("device_hours").where(unit="degc").select("hour_at", "value_mean")
    plan = str(chosen.to_duckdb().explain())
    read = plan[plan.rindex("Projections:") :]
    assert {name for name in DEVICE_HOURS.column_names if name in read} == {"hour_at", "value_mean", "unit"}, plan


def test_a_series_reads_its_days_and_its_value_alone(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Files of other days may be gone, and no column of another value is read."""
    shutil.copytree(home / "lake", tmp_path / "lake")
    shutil.rmtree(tmp_path / "lake/gold/device_hours/event_date=2026-11-20")
    gold = lakehouse.open(tmp_path).publication(1)
    ask: dict[str, Any] = {"value": "max", "every": "2h"}
    points = gold.series("d1", "temperature", "2026-11-18T00:00Z", "2026-11-19T20:00Z", **ask).to_arrow()
    assert points["value"].to_pylist()[:2] == [2.0, 4.0]
    with pytest.raises(duckdb.IOException):
        gold.series("d1", "temperature", "2026-11-18T00:00Z", "2026-11-20T02:00Z", **ask)
    questions: list[str] = []

    def asked(sql: str, given: Sequence[Any]) -> pa.Table:
        questions.append(gold.connection.execute(f"EXPLAIN {sql}", list(given)).fetchall()[0][1])
        return gold.connection.execute(sql, list(given)).to_arrow_table()

    monkeypatch.setattr(gold, "_ask", asked)
    gold.series("d1", "temperature", "2026-11-18T00:00Z", "2026-11-19T00:00Z", **ask)
    (plan,) = questions
    assert set(re.findall(r"value_[a-z0-9]+", plan)) == {"value_max"}


def test_publications_of_a_lake_share_what_was_read(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The next publication, asked for a series, starts no DuckDB and attaches no version that is known; each has its
    own rows and times in UTC all the same."""
    started: list[Settings] = []

    def counting(settings: Settings) -> duckdb.DuckDBPyConnection:
        started.append(settings)
        return connect(settings)

    monkeypatch.setattr(published, "connect", counting)
    lake = lakehouse.open(home)
    first, second = lake.publication(1), lake.publication(2)
    assert first.table("device_hours").to_arrow().num_rows + 2 == second.table("device_hours").to_arrow().num_rows
    again = lake.publication(1)
    version = again.versions["gold.device_hours"]
    assert again.connection.sql(f'FROM "gold.device_hours@{version}"').to_arrow_table().num_rows == len(HOURS)
    values = again.series("d1", "temperature", *DAYS).to_arrow()["value"].to_pylist()
    assert values == first.series("d1", "temperature", *DAYS, value="mean").to_arrow()["value"].to_pylist()
    assert values[4:8] == [4.0, None, None, 7.0]
    assert again.connection.sql("SELECT '2026-11-18 00:00'::TIMESTAMPTZ").fetchone() == (START,)
    assert len(started) == 1


@pytest.mark.parametrize(
    ("fill", "expected"),
    [
        ("gap", [(4.0, False), (None, False), (None, False), (7.0, False)]),
        ("previous", [(4.0, False), (4.0, True), (4.0, True), (7.0, False)]),
        ("linear", [(4.0, False), (5.0, True), (6.0, True), (7.0, False)]),
    ],
)
def test_gaps_are_shown_or_filled_and_marked(gold: PublishedGold, fill: Any, expected: list[Any]) -> None:
    """Two hours without readings are there in each way of filling, and say that they are filled."""
    points = gold.series("d1", "temperature", "2026-11-18T04:00Z", "2026-11-18T08:00Z", fill=fill).to_arrow()
    assert list(zip(points["value"].to_pylist(), points["is_filled"].to_pylist(), strict=True)) == expected
    assert set(points["unit"].to_pylist()) == {"degc"}
    assert points["reading_count"].to_pylist() == [60, 0, 0, 60]


@pytest.mark.parametrize(
    ("every", "start", "end", "value", "expected"),
    [
        ("2h", "2026-11-18T00:00Z", "2026-11-18T04:00Z", "mean", [0.5, 2.5]),
        ("2h", "2026-11-18T01:00Z", "2026-11-18T03:00Z", "max", [2.0, 4.0]),
        ("5m", "2026-11-18T00:00Z", "2026-11-18T00:10Z", "last", [4.0, 7.0]),
        ("1d", "2026-11-18", "2026-11-21", "min", [-1.0, 0.0, 1.0]),
    ],
)
def test_intervals_are_computed_of_whole_rows(
    gold: PublishedGold, every: str, start: str, end: str, value: Any, expected: list[float]
) -> None:
    """Minutes, hours and days make up longer intervals; a span that cuts one is widened to it."""
    points = gold.series("d1", "temperature", start, end, every=every, value=value).to_arrow()
    assert points["value"].to_pylist() == expected


def test_a_mean_over_rows_weighs_each_by_its_readings(tmp_path: Path) -> None:
    """An hour of 10 readings counts a tenth of one of 100."""
    settings = Settings(home=tmp_path, lake_uri=str(tmp_path / "lake"))
    rows = [
        row(DEVICE_HOURS, START, 0.0, reading_count=10),
        row(DEVICE_HOURS, START + timedelta(hours=1), 11.0, reading_count=100),
    ]
    publish(settings, 1, {DEVICE_HOURS.name: append(settings, DEVICE_HOURS, arrow_table(DEVICE_HOURS, rows), {})})
    gold = lakehouse.open(tmp_path).publication()
    points = gold.series("d1", "temperature", START, START + timedelta(hours=2), every="2h").to_arrow()
    assert points["value"].to_pylist() == [10.0]


def test_two_units_are_told_apart(home: Path) -> None:
    """A metric in two units gives no mixture: one has to be named."""
    gold = lakehouse.open(home).publication()
    with pytest.raises(QueryError, match="more units than one here"):
        gold.series("d2", "temperature", *DAYS)
    assert gold.series("d2", "temperature", *DAYS, unit="degf").to_arrow()["value"].to_pylist()[0] == 9.0


def test_what_is_not_there_is_said(gold: PublishedGold, home: Path, tmp_path: Path) -> None:
    """A device, metric, table, publication, lake or time that cannot be is a sentence with what there is."""
    for words, ask in (
        ("of that device there is nothing", lambda: gold.series("d9", "temperature", *DAYS)),
        ("there is only temperature", lambda: gold.series("d1", "humidity", *DAYS)),
        ("Did you mean gold.device_hours", lambda: gold.table("gold.device_hour")),
        ("every is '90s'", lambda: gold.series("d1", "temperature", *DAYS, every="90s")),
        ("has no time zone", lambda: gold.series("d1", "temperature", datetime(2026, 11, 18), "2026-11-19")),
        ("is no time", lambda: gold.series("d1", "temperature", "yesterday", "2026-11-19")),
        ("There is no publication 7", lambda: lakehouse.open(home).publication(7)),
        ("holds no lake", lambda: lakehouse.open(tmp_path)),
        ("is no lake", lambda: lakehouse.open("ftp://lake")),
    ):
        with pytest.raises(UsageError, match=words):
            ask()


def test_a_series_of_a_state_says_where_states_are(tmp_path: Path) -> None:
    """A metric that was measured, but is a state, is not said to be unknown; another is, with all that there is."""
    settings = Settings(home=tmp_path, lake_uri=str(tmp_path / "lake"))
    mode = {"device_id": "p1", "metric_name": "mode", "unit": "1", "state": "idle", "duration_s": 60.0,
            "entered_count": 0, "is_last": True, "is_carried": False}  # fmt: skip
    days = [gold_row(STATE_DAYS, START, 0.0, **mode)]
    latest, hours = ([gold_row(table, START, 1.0, device_id="p1")] for table in (DEVICE_LATEST, DEVICE_HOURS))
    publish_rows(settings, {STATE_DAYS: days, DEVICE_LATEST: latest, DEVICE_HOURS: hours})
    gold = lakehouse.open(tmp_path).publication()
    with pytest.raises(UsageError, match=r"mode of p1 is a state.*'gold.state_hours'.*'gold.state_days'"):
        gold.series("p1", "mode", *DAYS)
    with pytest.raises(UsageError, match="there is only mode, temperature"):
        gold.series("p1", "speed", *DAYS)


def test_weeks_and_months_of_sites_are_read_as_tables_are(tmp_path: Path) -> None:
    """They add up the days that their publication pins; without what they are made of the missing table is named."""
    settings = Settings(home=tmp_path, lake_uri=str(tmp_path / "lake"))
    days = [START + timedelta(days=number) for number in range(3)]
    dates = [date(2026, 11, 16) + timedelta(days=number) for number in range(7)]
    calendar = [
        {"zone": "UTC", "day_date": each, "starts_at": datetime(each.year, each.month, each.day, tzinfo=UTC),
         "ends_at": datetime(each.year, each.month, each.day + 1, tzinfo=UTC), "hours_in_day": 24.0,
         "is_dst_change": False, "week_date": dates[0], "month_date": date(2026, 11, 1)}
        for each in dates
    ]  # fmt: skip
    site_days = [gold_row(SITE_DAYS, at, float(number), zone="UTC") for number, at in enumerate(days)]
    expected = [gold_row(DEVICE_COMPLETENESS, START, 0.0)]
    publish_rows(settings, {SITE_DAYS: site_days[:2], CALENDAR: calendar, DEVICE_COMPLETENESS: expected})
    publish_rows(settings, {SITE_DAYS: site_days[2:], CALENDAR: [], DEVICE_COMPLETENESS: []}, 2)
    publish_rows(settings, {SITE_DAYS: []}, 3)
    lake = lakehouse.open(tmp_path)
    weeks = lake.publication(1).table("gold.site_weeks").during("2026-11-16", "2026-11-17").to_arrow().to_pylist()
    assert [(each["week_date"], each["day_count"], each["reading_count"]) for each in weeks] == [(dates[0], 2, 120)]
    months = lake.publication(2).table("site_months").select("day_count", "days_in_period", "is_complete").to_arrow()
    assert months.to_pylist() == [{"day_count": 3, "days_in_period": 7, "is_complete": False}]
    with pytest.raises(UsageError, match=r"has no table gold\.device_completeness"):
        lake.publication(3).table("site_weeks")
    with pytest.raises(UsageError, match=r"Did you mean gold\.site_weeks"):
        lake.publication(1).table("gold.site_week")


def test_a_text_is_no_sql(gold: PublishedGold) -> None:
    """A device's id goes into questions as the text that it is."""
    assert gold.table("device_hours").where(device_id="' OR ''='").to_arrow().num_rows == 0
    with pytest.raises(UsageError, match="never measured"):
        gold.series("' OR ''='", "temperature", *DAYS)


def test_no_value_fits_an_empty_list(gold: PublishedGold) -> None:
    """A list that came out empty gives no rows rather than all of them."""
    assert gold.table("device_hours").where(device_id=[]).to_arrow().num_rows == 0


def test_a_table_that_cannot_be_opened_is_a_sentence(home: Path, tmp_path: Path) -> None:
    """A log that is gone ends in an error of ours that names the table's folder."""
    shutil.copytree(home / "lake", tmp_path / "lake")
    shutil.rmtree(tmp_path / "lake/gold/device_hours/_delta_log")
    with pytest.raises(PlatformError, match="gold/device_hours cannot be read"):
        lakehouse.open(tmp_path).publication(1).table("device_hours").to_arrow()


def test_the_lakes_own_folder_is_a_place_too(home: Path) -> None:
    """A home and the lake in it are the same lake."""
    assert isinstance(lakehouse.open(home / "lake"), OpenLake)
    assert lakehouse.open(home / "lake").publication(1).number == 1


def test_a_relation_goes_on_in_sql(gold: PublishedGold) -> None:
    """Relations of a publication belong to one connection, so that they can be joined."""
    hours, latest = gold.table("device_hours").to_duckdb(), gold.table("device_latest").to_duckdb()
    joined: duckdb.DuckDBPyRelation = hours.set_alias("h").join(latest.set_alias("l"), "h.device_id = l.device_id")
    assert joined.aggregate("count(*)").fetchone() == (len(HOURS),)


def test_the_version_is_at_hand() -> None:
    """`lakehouse.__version__` is that of the package; other names are none."""
    assert lakehouse.__version__
    with pytest.raises(AttributeError):
        _ = lakehouse.nothing
