"""The report's figures: what is asked of published gold, of silver and of the verdicts.

Belongs here: queries, each of which a user could type into `lakehouse sql`, and their results in plain types. Charts
are in `charts`, the page in `report`.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any

from lake.models.catalog import Model, silver_tables
from lake.reading.reader import Reader
from lake.records.publications import Publication
from lake.records.verdicts import Verdict, input_version, verdicts_at
from lake.slices import HOUR
from lake.sql_text import quoted
from lake.tables.bronze import BRONZE_LIFECYCLE, BRONZE_TELEMETRY
from lake.tables.gold import GOLD_TABLES
from lake.tables.silver import SILVER_DEVICES, SILVER_REJECTED
from pipeline.gate.suites import Check, gold_suite, reading_suite, registry_suite, slice_suite
from runtime.settings import Settings

MINUTES_A_BUCKET = 10

GLANCES = (
    (
        "How complete is the fleet, by model, in the hours that are over?",
        """
        SELECT model_id, count(DISTINCT device_id) AS devices, sum(expected_count)::BIGINT AS expected,
            sum(missing_count)::BIGINT AS missing, sum(late_count)::BIGINT AS late,
            sum(duplicate_count + rejected_count)::BIGINT AS rejected,
            round(100 - 100 * sum(missing_count) / sum(expected_count), 1) AS complete_pct
        FROM gold.device_completeness WHERE hour_at < date_trunc('hour', now())
        GROUP BY model_id ORDER BY model_id""",
    ),
    (
        "Which devices were silent longest?",
        """
        SELECT device_id, site_id, count(*) AS silent_hours, min(hour_at) AS first_hour, max(hour_at) AS last_hour
        FROM gold.device_completeness
        WHERE missing_count = expected_count AND expected_count > 0 AND hour_at < date_trunc('hour', now())
        GROUP BY device_id, site_id ORDER BY silent_hours DESC, device_id LIMIT 5""",
    ),
    (
        "How warm was it at each site, by day?",
        """
        SELECT day_date, site_id, device_count AS devices, reading_count AS readings, round(value_min, 1) AS min_degc,
            round(value_p50, 1) AS p50_degc, round(value_p95, 1) AS p95_degc, round(value_max, 1) AS max_degc
        FROM gold.site_days WHERE metric_name = 'temperature' AND unit = 'degc'
        ORDER BY day_date, site_id LIMIT 8""",
    ),
    (
        "What did the meters' power come to, by day?",
        """
        SELECT day_date, device_id, round(time_weighted_mean, 1) AS mean_w, round(integral / 1000, 1) AS energy_kwh,
            round(covered_s / 3600, 1) AS covered_h
        FROM gold.gauge_days WHERE metric_name = 'power' AND integral_unit = 'wh'
        ORDER BY day_date, device_id LIMIT 5""",
    ),
)
"""Questions with their SQL: the demo prints the answers, the report shows how they are asked."""


@dataclass(frozen=True)
class Cell:
    """One device hour of completeness; counts as in `gold.device_completeness`."""

    device_id: str
    model_id: str | None
    hour_at: datetime
    expected: int
    missing: int
    flagged: int


@dataclass(frozen=True)
class FleetHour:
    """A metric over all devices in one hour: of their medians the least, median and most; of their p95 the 95th
    percentile."""

    hour_at: datetime
    low: float
    p50: float
    high: float
    p95: float


@dataclass(frozen=True)
class Bucket:
    """Some minutes of one device and metric."""

    at: datetime
    low: float
    mean: float
    high: float


@dataclass(frozen=True)
class DeviceDay:
    """One device on one day; hours with readings missing are the point of showing it."""

    device_id: str
    site_id: str | None
    day: date
    missing: int
    expected: int
    buckets: tuple[Bucket, ...]


@dataclass(frozen=True)
class Judged:
    """A table's verdicts at the published input version: by slice, and the checks with how many slices failed each."""

    table: str
    verdicts: Mapping[str, Verdict]
    checks: tuple[tuple[Check, int], ...]


def row_counts(reader: Reader) -> dict[str, int]:
    """Rows of each table that can be read now, gold as published."""
    return {name: int(_all(reader, f"SELECT count(*) FROM {name}")[0][0]) for name in reader.existing()}


def rejected_by_reason(reader: Reader) -> list[tuple[str, int]]:
    """Rejected records by reason, most first."""
    sql = "SELECT reason, count(*) FROM silver.rejected GROUP BY reason ORDER BY count(*) DESC, reason"
    return [(str(reason), int(n)) for reason, n in _all(reader, sql)]


def completeness(reader: Reader, first: datetime, end: datetime) -> list[Cell]:
    """Every device hour from `first` to before `end`, by model, device and hour."""
    sql = f"""
        SELECT device_id, model_id, hour_at, expected_count, missing_count, clock_flagged_count
        FROM gold.device_completeness WHERE {_between("hour_at", first, end)} ORDER BY model_id, device_id, hour_at"""
    return [Cell(*row) for row in _all(reader, sql)]


def fleet_hours(reader: Reader, metric: str, unit: str, first: datetime, end: datetime) -> list[FleetHour]:
    """A metric of the whole fleet, hour by hour."""
    sql = f"""
        SELECT hour_at, min(value_p50), median(value_p50), max(value_p50), quantile_cont(value_p95, 0.95)
        FROM gold.device_hours
        WHERE metric_name = {quoted(metric)} AND unit = {quoted(unit)} AND {_between("hour_at", first, end)}
        GROUP BY hour_at ORDER BY hour_at"""
    return [FleetHour(*row) for row in _all(reader, sql)]


def main_metric(reader: Reader) -> tuple[str, str] | None:
    """(metric, unit) to show: the temperature in degrees Celsius if it is measured, else what most devices measure."""
    rows = _all(reader, """
        SELECT metric_name, unit FROM gold.device_hours GROUP BY metric_name, unit
        ORDER BY metric_name = 'temperature' AND unit = 'degc' DESC, count(DISTINCT device_id) DESC, metric_name LIMIT 1
    """)  # fmt: skip
    return (str(rows[0][0]), str(rows[0][1])) if rows else None


def telling_day(reader: Reader, metric: str, unit: str, first: datetime, end: datetime) -> DeviceDay | None:
    """The day of a device that says most: on the day with most readings, the device that missed most and yet sent more
    than half."""
    rows = _all(reader, f"""
        WITH measured AS (
            SELECT device_id, hour_at::DATE AS day, any_value(site_id) AS site_id, sum(reading_count) AS readings
            FROM gold.device_hours
            WHERE metric_name = {quoted(metric)} AND unit = {quoted(unit)} AND {_between("hour_at", first, end)}
            GROUP BY ALL
        ), gaps AS (
            SELECT device_id, hour_at::DATE AS day, sum(missing_count) AS missing, sum(expected_count) AS expected,
                sum(clock_flagged_count) AS flagged
            FROM gold.device_completeness WHERE {_between("hour_at", first, end)} GROUP BY ALL
        )
        SELECT device_id, site_id, day, missing::BIGINT, expected::BIGINT FROM measured JOIN gaps USING (device_id, day)
        WHERE day = (SELECT day FROM measured GROUP BY day ORDER BY sum(readings) DESC LIMIT 1)
        ORDER BY missing * 2 < expected DESC, flagged, missing DESC, device_id LIMIT 1
    """)  # fmt: skip
    if not rows:
        return None
    device_id, site_id, day, missing, expected = rows[0]
    buckets = _all(reader, f"""
        SELECT time_bucket(INTERVAL {MINUTES_A_BUCKET} MINUTE, minute_at) AS bucket_at, min(value_min),
            sum(value_mean * reading_count) / sum(reading_count), max(value_max)
        FROM gold.device_minutes
        WHERE device_id = {quoted(device_id)} AND metric_name = {quoted(metric)} AND unit = {quoted(unit)}
            AND event_date = DATE '{day}'
        GROUP BY ALL ORDER BY bucket_at
    """)  # fmt: skip
    return DeviceDay(device_id, site_id, day, missing, expected, tuple(Bucket(*row) for row in buckets))


def judged_tables(settings: Settings, models: Mapping[str, Model], publication: Publication) -> list[Judged]:
    """Every table judged at the input version of the publication, silver before gold."""
    stored = verdicts_at(settings, input_version(publication.inputs))
    tables = silver_tables(models.values())
    suites = [reading_suite(tables[name], models.values()) for name in sorted(tables)]
    suites += [slice_suite(), registry_suite(), *(gold_suite(table) for table in GOLD_TABLES)]
    judged = []
    for suite in suites:
        verdicts = {slice_: verdict for (table, slice_), verdict in sorted(stored.items()) if table == suite.table}
        failed = [failure.expectation for verdict in verdicts.values() for failure in verdict.failures]
        if verdicts:
            judged.append(Judged(suite.table, verdicts, tuple((c, failed.count(c.name)) for c in suite.checks)))
    return judged


def hours_between(first: datetime, end: datetime) -> list[datetime]:
    """Full hours from `first` to before `end`."""
    start = first.replace(minute=0, second=0, microsecond=0)
    return [start + i * HOUR for i in range(max(0, -int((start - end) // HOUR)))]


def buckets_of_day(day: date) -> list[datetime]:
    """The starts of the buckets of a UTC day."""
    midnight = datetime(day.year, day.month, day.day, tzinfo=UTC)
    return [midnight + timedelta(minutes=MINUTES_A_BUCKET * i) for i in range(24 * 60 // MINUTES_A_BUCKET)]


def layer_counts(
    counts: Mapping[str, int], models: Mapping[str, Model]
) -> Iterator[tuple[str, Sequence[tuple[str, int]]]]:
    """(layer, its tables with rows) for the picture of the flow."""
    readings = [name for name in silver_tables(models.values()) if name in counts]
    yield "bronze", [(name, counts.get(name, 0)) for name in (BRONZE_TELEMETRY.name, BRONZE_LIFECYCLE.name)]
    yield "silver", [(name, counts.get(name, 0)) for name in (*readings, SILVER_REJECTED.name, SILVER_DEVICES.name)]
    yield "gold", [(table.name, counts[table.name]) for table in GOLD_TABLES if table.name in counts]


def _between(column: str, first: datetime, end: datetime) -> str:
    return f"{column} >= TIMESTAMPTZ '{first.isoformat()}' AND {column} < TIMESTAMPTZ '{end.isoformat()}'"


def _all(reader: Reader, sql: str) -> list[tuple[Any, ...]]:
    return reader.run(sql).fetchall()
