"""A lake of a few readings, for tests of the gate and of publishing: silver, bronze and a gold candidate by hand.

Belongs here: making consistent tables without Kafka, Spark and dbt. A test then breaks one thing and looks at what
catches it. Rows are dicts; `Lake` writes them with delta-rs and DuckDB.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from statistics import fmean, quantiles
from typing import Any

import duckdb
import pyarrow as pa
from deltalake import DeltaTable, write_deltalake

from lake.column_types import column_type
from lake.models.catalog import BUILT_IN_MODELS, Model, load_models, silver_table
from lake.models.kind_columns import kind_columns
from lake.models.kinds import DEFAULT_GAUGE
from lake.slices import day_of, slice_of, slice_start
from lake.storage.locations import table_uri
from lake.tables.bronze import BRONZE_TELEMETRY
from lake.tables.contracts import Table
from lake.tables.gold import GOLD_TABLES
from lake.tables.silver import SILVER_DEVICES, SILVER_REJECTED, SILVER_SITES
from runtime.settings import Settings
from tests.support.kinds_oracle import Reading, gauge_days, gauge_hours

Row = dict[str, Any]
NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)
H5, H6, H7 = "2026-11-20T05", "2026-11-20T06", "2026-11-20T07"
NEXT_DAY = "2026-11-21T00"
THERMOSTAT = "dtmi:lakehouse:thermostat;1"
THERMOSTATS = "silver.thermostats"


def arrow_table(table: Table, rows: Iterable[Row]) -> pa.Table:
    """Rows in the declared columns, absent ones null; nothing is required, so that tests can leave out what is."""
    return pa.Table.from_pylist(
        list(rows), schema=pa.schema([(c.name, column_type(c.type).arrow) for c in table.columns])
    )


@dataclass
class Lake:
    """Bronze, silver and the registry in memory, written by `write`; sites only once one is declared."""

    settings: Settings
    models: Mapping[str, Model] = field(
        default_factory=lambda: {THERMOSTAT: load_models([BUILT_IN_MODELS])[THERMOSTAT]}
    )
    bronze: list[Row] = field(default_factory=list)
    readings: list[Row] = field(default_factory=list)
    rejected: list[Row] = field(default_factory=list)
    devices: list[Row] = field(default_factory=list)
    sites: list[Row] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.devices.append(self.device("d1"))

    @property
    def reading_table(self) -> Table:
        """The one reading table."""
        return silver_table(self.models.values())

    def device(self, device_id: str, in_service_at: datetime = datetime(2026, 1, 1, tzinfo=UTC)) -> Row:
        """A registry record of a device that has been in service since then."""
        return {
            "device_id": device_id, "valid_from": in_service_at, "valid_to": None, "is_current": True,
            "status": "in_service", "in_service_at": in_service_at, "model_id": THERMOSTAT, "site_id": "s1",
            "reporting_interval_s": 60, "topic": "lifecycle", "partition": 0, "offset": 0, "ingest_id": 1,
        }  # fmt: skip

    def site(self, site_id: str, **changes: Any) -> Row:
        """A declaration of a site; returns the row of silver.sites."""
        row: Row = {
            "site_id": site_id, "declared_at": NOW, "is_current": True, "zone": "Europe/Berlin", "topic": "lifecycle",
            "partition": 0, "offset": 100 + len(self.sites), "ingest_id": 1,
        } | changes  # fmt: skip
        self.sites.append(row)
        return row

    def message(self, slice_: str, minute: int, **changes: Any) -> Row:
        """A bronze record measured `minute` minutes into the slice and received a second later."""
        measured = slice_start(slice_) + timedelta(minutes=minute)
        row: Row = {
            "topic": "telemetry", "partition": 0, "offset": len(self.bronze), "ingest_id": 10, "device_id": "d1",
            "measured_at": measured, "received_at": measured + timedelta(seconds=1),
        } | changes  # fmt: skip
        row["received_date"] = row["received_at"].date()
        for name in ("measured", "received"):
            at = row[f"{name}_at"]
            row[f"{name}_hour"] = None if at is None else int(at.timestamp()) // 3600
        self.bronze.append(row)
        return row

    def read(self, slice_: str, minute: int, value: float = 20.0, **changes: Any) -> Row:
        """A message that became a reading; returns the reading."""
        row = self._silver(self.message(slice_, minute), slice_)
        row |= {"temperature_degc": value, "model_id": THERMOSTAT, "source": "/devices/d1", "payload_digest": 1}
        self.readings.append(row | changes)
        return self.readings[-1]

    def refuse(self, slice_: str, minute: int, reason: str, model_id: str | None = THERMOSTAT, **changes: Any) -> Row:
        """A message that was rejected; returns the row of silver.rejected."""
        row = self._silver(self.message(slice_, minute, **changes), slice_) | {"reason": reason, "model_id": model_id}
        self.rejected.append(row)
        return row

    def fill(self, slice_: str, readings: int = 30) -> None:
        """A slice of good readings."""
        for minute in range(readings):
            self.read(slice_, minute, 20.0 + minute % 7)

    def write(self) -> dict[str, int]:
        """Write bronze and silver; returns the silver tables' versions."""
        self._overwrite(BRONZE_TELEMETRY, self.bronze)
        pairs = [(self.reading_table, self.readings), (SILVER_REJECTED, self.rejected), (SILVER_DEVICES, self.devices)]
        pairs += [(SILVER_SITES, self.sites)] if self.sites else []
        return {table.name: self._overwrite(table, rows) for table, rows in pairs}

    def version(self, table: str) -> int:
        """A table's newest version."""
        return int(DeltaTable(table_uri(self.settings, table)).version())

    def _silver(self, message: Row, slice_: str) -> Row:
        columns = {name: value for name, value in message.items() if name in self.reading_table.column_names}
        moment = {"event_at": message["measured_at"], "clock_status": "ok", "message_id": str(message["offset"])}
        return columns | moment | {"event_date": date.fromisoformat(day_of(slice_)), "event_hour": int(slice_[11:])}

    def _overwrite(self, table: Table, rows: Iterable[Row]) -> int:
        uri = table_uri(self.settings, table.name)
        write_deltalake(uri, arrow_table(table, rows), mode="overwrite", partition_by=list(table.partition_by) or None)
        return int(DeltaTable(uri).version())


def _calendar_day(day: str) -> Row:
    starts_at = slice_start(f"{day}T00")
    return {
        "zone": "UTC", "day_date": starts_at.date(), "starts_at": starts_at, "ends_at": starts_at + timedelta(days=1),
        "hours_in_day": 24.0, "is_dst_change": False, "week_date": starts_at.date(), "month_date": starts_at.date(),
    }  # fmt: skip


@dataclass
class Candidate:
    """A gold candidate of a lake: rows by table name, as a right build makes them of the readings."""

    lake: Lake
    hours: list[str]
    days: list[str]
    inputs: Mapping[str, int]
    published: Mapping[str, int] = field(default_factory=dict)
    rows: dict[str, list[Row]] = field(default_factory=dict)
    gone: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        ours = [r for r in self.lake.readings if slice_of(r["event_at"]) in self.hours]
        of_days = [r for r in self.lake.readings if day_of(slice_of(r["event_at"])) in self.days]
        self.rows = {
            "device_minutes": _statistics(ours, "minute_at", lambda r: r["event_at"].replace(second=0)),
            "device_hours": _statistics(ours, "hour_at", lambda r: r["event_at"].replace(minute=0, second=0)),
            "device_days": _statistics(of_days, "day_date", lambda r: r["event_at"].date()),
            "site_days": [row | {"device_count": 1} for row in _statistics(of_days, "day_date", _day)],
            **self._gauges(),
            "device_completeness": [self._completeness(hour, ours) for hour in self.hours],
            "device_silences": [],
            "device_latest": self._latest(),
            "devices": [device | {"last_event_at": None} for device in self.lake.devices],
            "sites": [{"site_id": "s1", "zone": "UTC", "path": "/s1", "is_declared": False}],
            "calendar": [_calendar_day(day) for day in self.days],
        }

    @property
    def path(self) -> Path:
        """Where the pipeline would put it."""
        return self.lake.settings.work_folder / "candidate.duckdb"

    def write(self) -> Path:
        """Write the file, plan and tables."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self.path.unlink(missing_ok=True)
        with duckdb.connect(str(self.path)) as connection:
            connection.execute("SET TimeZone = 'UTC'; CREATE SCHEMA gold; CREATE SCHEMA plan")
            connection.execute("CREATE TABLE plan.slices (slice_at TIMESTAMPTZ)")
            connection.execute("CREATE TABLE plan.gone (slice_at TIMESTAMPTZ)")
            connection.execute("CREATE TABLE plan.zones AS SELECT 'UTC' AS zone")
            connection.execute("CREATE TABLE plan.sites (site_id TEXT, zone TEXT)")
            self._write_local_hours(connection)
            connection.execute("CREATE TABLE plan.days (day_date DATE)")
            connection.execute("CREATE TABLE plan.tables (table_name TEXT, version BIGINT)")
            for hour in self.hours:
                connection.execute("INSERT INTO plan.slices VALUES (?)", [slice_start(hour)])
            for hour in self.gone:
                connection.execute("INSERT INTO plan.gone VALUES (?)", [slice_start(hour)])
            for day in self.days:
                connection.execute("INSERT INTO plan.days VALUES (?::DATE)", [day])
            for name, version in {**self.inputs, **self.published}.items():
                connection.execute("INSERT INTO plan.tables VALUES (?, ?)", [name, version])
            for table in GOLD_TABLES:
                connection.register("made", arrow_table(table, self.rows.get(table.short_name, ())))
                connection.execute(f"CREATE TABLE gold.{table.short_name} AS FROM made")
        return self.path

    def _write_local_hours(self, connection: duckdb.DuckDBPyConnection) -> None:
        hours = sorted({slice_of(r["event_at"]) for r in self.lake.readings})
        rows = [(day, slice_start(hour)) for day in self.days for hour in hours if day_of(hour) == day]
        connection.execute(
            "CREATE TABLE plan.local_hours (zone TEXT, day_date DATE, slice_at TIMESTAMPTZ, event_date DATE, "
            "event_hour INTEGER, starts_at TIMESTAMPTZ, ends_at TIMESTAMPTZ, is_whole BOOLEAN)"
        )
        for day, at in rows:
            connection.execute(
                "INSERT INTO plan.local_hours VALUES ('UTC', ?::DATE, ?, ?::DATE, ?, ?::DATE::TIMESTAMPTZ, "
                "?::DATE::TIMESTAMPTZ + INTERVAL 1 DAY, true)",
                [day, at, day, at.hour, day, day],
            )

    def _completeness(self, hour: str, readings: list[Row]) -> Row:
        received = sum(slice_of(row["event_at"]) == hour for row in readings)
        counts = dict.fromkeys(("late_count", "clock_flagged_count", "duplicate_count", "rejected_count"), 0)
        at = slice_start(hour)
        return counts | {
            "device_id": "d1", "hour_at": at, "event_date": at.date(), "event_hour": at.hour,
            "expected_count": 60, "received_count": received, "missing_count": 60 - received,
        }  # fmt: skip

    def _gauges(self) -> dict[str, list[Row]]:
        """Of the temperature by time, as every number has it that no quality file names."""
        columns = kind_columns(self.lake.models.values())
        gauged = any(c.metric_name == "temperature" and c.kind.name == "gauge" for c in columns)
        named = {slice_of(row["event_at"]): _metric(row) for row in self.lake.readings if gauged}
        readings = [Reading("d1", r["event_at"], r["offset"], _value(r)) for r in self.lake.readings if gauged]
        hours = gauge_hours(readings, False, timedelta(seconds=DEFAULT_GAUGE.carry_limit_s))
        in_days = {key: row for key, row in hours.items() if f"{key[1]:%Y-%m-%d}" in self.days}
        unit = {"integral_unit": "degc_hours"}
        return {
            "gauge_hours": [
                named[slice_of(at)] | unit | row | {"hour_at": at}
                for (_, at), row in hours.items() if slice_of(at) in self.hours
            ],
            "gauge_days": [
                next(m for hour, m in named.items() if day_of(hour) == str(day)) | unit | row | {"day_date": day}
                for (_, day), row in gauge_days(readings, in_days).items()
            ],
        }  # fmt: skip

    def _latest(self) -> list[Row]:
        newest = max(self.lake.readings, key=lambda row: row["event_at"], default=None)
        return (
            [] if newest is None else [_metric(newest) | {"event_at": newest["event_at"], "value_last": _value(newest)}]
        )


def _day(row: Row) -> Any:
    return row["event_at"].date()


def _value(row: Row) -> float:
    return float(row["temperature_degc"])


def _metric(row: Row) -> Row:
    return {
        "device_id": row["device_id"], "metric_name": "temperature", "unit": "degc", "model_id": row["model_id"],
        "site_id": "s1", "event_date": row["event_date"], "event_hour": row["event_hour"],
    }  # fmt: skip


def _statistics(readings: Iterable[Row], name: str, period: Any) -> list[Row]:
    periods: dict[Any, list[Row]] = defaultdict(list)
    for row in sorted(readings, key=lambda r: r["event_at"]):
        periods[period(row)].append(row)
    result = []
    for at, rows in periods.items():
        values = [_value(row) for row in rows]
        cuts = quantiles(values, n=20, method="inclusive") if len(values) > 1 else [values[0]] * 19
        result.append(_metric(rows[0]) | {
            name: at, "reading_count": len(values), "value_min": min(values), "value_max": max(values),
            "value_mean": fmean(values), "value_last": values[-1], "last_event_at": rows[-1]["event_at"],
            "value_p50": cuts[9], "value_p95": cuts[18],
        })  # fmt: skip
    return result
