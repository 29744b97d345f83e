"""The SQL of figures by kind as dbt compiles it, run in memory on readings at hand.

Belongs here: a device model with every kind, one build with dbt that compiles the SQL, and running that SQL again with
tables of its own in the place of the lake's. So a figure of hundreds of made-up histories costs no dbt run.
"""

import json
import re
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb
from deltalake import DeltaTable, write_deltalake

from lake.local_days import UTC_ZONE, days_touched
from lake.models.catalog import Model, load_models, silver_tables
from lake.models.units import integral_of
from lake.slices import HOUR, day_of, slice_of, slice_start
from lake.storage.duckdb_connection import connect
from lake.storage.locations import candidate_path, table_uri
from lake.tables.gold import DAILY, HOURLY
from lake.tables.gold_kinds import CARRYING, KIND_TABLES
from lake.tables.silver import SILVER_DEVICES, SILVER_SITES
from pipeline.gate.profiles import hour_number
from pipeline.gold.carried_hours import carried_into_silence, reached_hours
from pipeline.gold.declared_sites import DeclaredSites, local_hour_rows
from pipeline.gold.plan import PLAN_TABLES, GoldPlan, build_candidates
from runtime.settings import Settings
from tests.support.kinds_oracle import Reading
from tests.support.small_lake import arrow_table
from transforms.places import Site

# clocks are set back at a site that day: it begins at 02:30 UTC, so that its midnight cuts an hour, and has 25 hours
DAY = datetime(2026, 11, 1, tzinfo=UTC)
# at 02:30 UTC of this day ends one of 23 hours there
DAY_AFTER_SPRING = datetime(2026, 3, 9, tzinfo=UTC)
ZONES = {"johns": "America/St_Johns", "oslo": "Europe/Oslo"}
MODEL = "dtmi:example:plant;1"
MAXIMUM, LIMIT = 1000.0, timedelta(hours=2)
_KIND = {"carry_limit_s": 7200}
_INTERFACE = {
    "@context": ["dtmi:dtdl:context;3", "dtmi:dtdl:extension:quantitativeTypes;1"],
    "@id": MODEL, "@type": "Interface", "displayName": "plant",
    "contents": [
        {"@type": "Telemetry", "name": name, "schema": schema}
        for name, schema in (("count", "double"), ("mode", "string"), ("level", "double"))
    ] + [
        {"@type": ["Telemetry", "VolumeFlowRate"], "name": "flow", "schema": "double", "unit": "litrePerMinute"}
    ],
}  # fmt: skip
_QUALITY = {
    "kinds": {
        "count": _KIND | {"kind": "counter", "max": MAXIMUM},
        "mode": _KIND | {"kind": "state"},
        "level": _KIND | {"kind": "gauge", "interpolation": "previous"},
        "flow": _KIND | {"kind": "gauge", "interpolation": "linear"},
    }
}
_HOURS = "select event_date, event_hour from plan"
_OF_DAYS = f"{_HOURS}.slices union {_HOURS}.day_hours union {_HOURS}.local_hours"
_PLANNED = {
    "stg_counter_hours": _OF_DAYS,
    "stg_gauge_hours": _OF_DAYS,
    "stg_state_hours": f"{_HOURS}.slices",
    "stg_counter_minutes": f"{_HOURS}.slices union {_HOURS}.local_hours where not is_whole",
}  # as the models' `hours` say


def plant_models(folder: Path, quality: Mapping[str, Any] = _QUALITY) -> dict[str, Model]:
    """The model with what a quality file says of it, written into a folder of models."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "plant.json").write_text(json.dumps(_INTERFACE))
    (folder / "plant.quality.json").write_text(json.dumps(quality))
    return load_models([folder])


def compiled(settings: Settings) -> tuple[dict[str, str], dict[str, Model]]:
    """The models' SQL by name, compiled by a build of a lake that has published some, and its device model.

    The tables of the lake are named `lake_…` in it.
    """
    models = plant_models(settings.models_folder)
    table = next(iter(silver_tables(models.values()).values()))
    row = {"device_id": "d", "model_id": MODEL, "event_at": DAY, "event_date": DAY.date(), "event_hour": 2}
    sites = [{"site_id": site, "zone": zone, "is_current": True} for site, zone in ZONES.items()]
    versions = {}
    for each, rows in ((table, [row]), (SILVER_DEVICES, []), (SILVER_SITES, sites)):
        uri = table_uri(settings, each.name)
        write_deltalake(uri, arrow_table(each, rows), partition_by=list(each.partition_by) or None)
        versions[each.name] = DeltaTable(uri).version()
    for carrying in CARRYING:
        write_deltalake(table_uri(settings, carrying.name), arrow_table(carrying, []))
        versions[carrying.name] = 0
    # histories lie on both days, and what is published of a day is read for planned ones
    slice_, day_before = slice_of(DAY + 2 * HOUR), slice_of(DAY - timedelta(days=1))[:10]
    build_candidates(settings, GoldPlan({slice_: True}, {day_before: [], slice_[:10]: [slice_]}, versions, models))
    folder = settings.work_folder / "dbt" / "compiled"
    found = {path.stem: path.read_text() for path in folder.rglob("*.sql")}
    return {name: _in_memory(name, sql) for name, sql in found.items()}, models


def _in_memory(name: str, sql: str) -> str:
    planned = f"((event_date, event_hour) in ({_PLANNED[name]}))" if name in _PLANNED else "true"
    sql = re.sub(r"delta_scan\('[^']*/(\w+)/(\w+)', version=\d+\)", r"lake_\1_\2", sql)
    # the dates of the build, by which files of published gold are skipped, are those of no history
    sql = re.sub(r"event_date between date '[0-9-]+' and date '[0-9-]+'", "true", sql)
    return sql.replace("(true /* planned hours */)", planned)


@dataclass
class Plant:
    """A lake in memory with the readings of one telemetry, and the gold of its kind.

    `staging` are the models that are built before that, and `site_of` says where a device stands in an hour.
    """

    sql: Mapping[str, str]
    models: Mapping[str, Model]
    column: str
    kind: str
    staging: Sequence[str]
    site_of: Callable[[str, datetime], str | None] = lambda device, hour: None

    def __post_init__(self) -> None:
        self.hours = f"{self.kind}_hours"
        of_kind = [table for table in KIND_TABLES if table.kind == self.kind]
        self.hourly = [table.short_name for table in of_kind if table in HOURLY]
        self.daily = [table.short_name for table in of_kind if table in DAILY]
        self.declared = DeclaredSites(
            tuple(Site(site, None, zone, None, f"/{site}") for site, zone in ZONES.items()), (UTC_ZONE, *ZONES.values())
        )
        self.readings: list[Reading] = []
        self.held: set[datetime] = set()
        self.last_slice = ""
        self.connection = duckdb.connect()
        run = self.connection.execute
        run("SET TimeZone = 'UTC'; SET threads = 1; ATTACH ':memory:' AS candidate; USE candidate")
        for schema in ("plan", "staging", "gold"):
            run(f"CREATE SCHEMA {schema}")
        run(
            "CREATE TABLE lake_silver_plants (device_id VARCHAR, model_id VARCHAR, event_at TIMESTAMPTZ, "
            'event_date DATE, event_hour INTEGER, "offset" BIGINT, "partition" INTEGER, '
            "topic VARCHAR DEFAULT 'telemetry', count DOUBLE, mode VARCHAR, level DOUBLE, flow_l_min DOUBLE)"
        )
        carrying = next(each for each in CARRYING if each.kind == self.kind)
        self.connection.register("empty", arrow_table(carrying, []))
        run(f"CREATE TABLE lake_gold_{self.hours} AS FROM empty")
        for name in ("days", "day_hours", "gone", "local_hours", "sites"):
            run(f"CREATE TABLE plan.{name} ({PLAN_TABLES[name]})")
        for site in self.declared.sites:
            run("INSERT INTO plan.sites VALUES (?, NULL, ?, NULL, ?)", [site.site_id, site.zone, site.path])
        run("CREATE TABLE staging.stg_placements (device_id VARCHAR, slice_at TIMESTAMPTZ, event_date DATE, "
            "event_hour INTEGER, model_id VARCHAR, site_id VARCHAR)")  # fmt: skip

    def arrive(self, readings: Iterable[Reading], held: Collection[datetime] = ()) -> None:
        """Readings come, and what is stale is built and published, but for the hours that are held now.

        Hours that are held and not stale are judged again, as a refresh does.
        """
        came = list(readings)
        self.readings += came
        for each in came:
            self.connection.execute(
                f'INSERT INTO lake_silver_plants (device_id, model_id, event_at, event_date, event_hour, "offset", '
                f'"partition", "{self.column}") VALUES (?, ?, ?, ?, ?, ?, 0, ?)',
                [each.device, MODEL, each.at, each.at.date(), each.at.hour, each.offset, each.value],
            )
        changed = {slice_of(each.at) for each in came} | {slice_of(hour) for hour in self.held}
        silver = (
            f"SELECT DISTINCT device_id, 'm' AS metric_name, '1' AS unit, '{self.kind}' AS kind, {_NUMBER} AS number"
        )
        reached = reached_hours(
            self.connection,
            [f'{silver} FROM lake_silver_plants WHERE "{self.column}" IS NOT NULL'],
            [f"{silver} FROM lake_gold_{self.hours} WHERE reading_count > 0"],
            changed,
            int(LIMIT / timedelta(hours=1)) + 1,
        )
        known = self.known()
        stale = changed | {slice_ for slice_ in known if hour_number(slice_) in reached or slice_ > self.last_slice}
        self.last_slice = known[-1]
        self.held = {hour for hour in held if slice_of(hour) in changed}
        self._build(sorted(stale - {slice_of(hour) for hour in self.held}), known)

    def known(self) -> list[str]:
        """The hours that a refresh may build: those with records, and those into which a state may be carried."""
        hours = {slice_of(each.at) for each in self.readings}
        return sorted(hours | carried_into_silence(self.models, {"silver.plants": hours}, hours))

    @property
    def waiting(self) -> set[date]:
        """The days, of any zone, that wait for a held hour."""
        held = {slice_of(hour) for hour in self.held}
        return {date.fromisoformat(day) for day in days_touched(self.declared.zones, held)}

    def rows(self, table: str) -> list[dict[str, Any]]:
        """The rows of a table, as dicts."""
        result = self.connection.sql(f"FROM {table}")
        return [dict(zip(result.columns, row, strict=True)) for row in result.fetchall()]

    def _build(self, slices: Sequence[str], known: Sequence[str]) -> None:
        run = self.connection.execute
        with_data = {slice_of(each.at) for each in self.readings}
        held = {slice_of(hour) for hour in self.held}
        days = days_touched(self.declared.zones, slices) - days_touched(self.declared.zones, held)
        of_days = [slice_ for slice_ in known if day_of(slice_) in days and slice_ in with_data]
        records = {slice_: 1 for slice_ in with_data if slice_ in of_days or day_of(slice_) not in days}
        local: list[tuple[Any, ...]] = list(local_hour_rows(self.declared, days, records))
        run("DELETE FROM plan.days")
        run(f"INSERT INTO plan.days SELECT unnest({sorted(days)}::DATE[])")
        of = next(each for model in self.models.values() for each in model.telemetry if each.column == self.column)
        integral = integral_of(of.unit)
        run(f"CREATE OR REPLACE TABLE plan.kinds AS SELECT '{self.kind}' AS kind, '{of.metric_name}' AS metric_name, "
            f"'{of.unit}' AS unit, 7200 AS carry_limit_s, '{integral.unit}' AS integral_unit, "
            f"{integral.per_hour}::DOUBLE AS integral_per_hour")  # fmt: skip
        for name, hours in (("slices", slices), ("day_hours", of_days), ("held", sorted(held))):
            run(f"CREATE OR REPLACE TABLE plan.{name} (slice_at TIMESTAMPTZ, event_date DATE, event_hour INTEGER)")
            for hour in hours:
                run(f"INSERT INTO plan.{name} VALUES (?, ?, ?)", [slice_start(hour), hour[:10], int(hour[11:])])
        run("DELETE FROM plan.local_hours")
        if local:
            run(f"INSERT INTO plan.local_hours VALUES {', '.join(['(' + ', '.join('?' * 10) + ')'] * len(local))}",
                [value for row in local for value in row])  # fmt: skip
        run("CREATE OR REPLACE VIEW staging.stg_slices AS FROM plan.slices")
        self._place({*slices, *of_days, *(slice_of(row[5]) for row in local)})
        for name in self.staging:
            run(f"CREATE OR REPLACE TABLE staging.{name} AS {self.sql[name]}")
        for name in (*self.hourly, *self.daily):
            run(f"CREATE OR REPLACE TABLE gold.{name} AS {self.sql[name]}")
            run(f"CREATE TABLE IF NOT EXISTS lake_gold_{name} AS FROM gold.{name} WHERE false")
            built = "event_date IN (SELECT day_date FROM plan.days)"
            if name in self.hourly:
                built = "(event_date, event_hour) IN (SELECT event_date, event_hour FROM plan.slices)"
            run(f"DELETE FROM lake_gold_{name} WHERE {built}")
            run(f"INSERT INTO lake_gold_{name} BY NAME FROM gold.{name}")

    def _place(self, hours: Iterable[str]) -> None:
        """Say where each device stands in each of these hours."""
        self.connection.execute("DELETE FROM staging.stg_placements")
        for hour in hours:
            for device in {each.device for each in self.readings}:
                at = slice_start(hour)
                row = [device, at, hour[:10], int(hour[11:]), MODEL, self.site_of(device, at)]
                self.connection.execute("INSERT INTO staging.stg_placements VALUES (?, ?, ?, ?, ?, ?)", row)


_NUMBER = "(event_date - DATE '1970-01-01') * 24 + event_hour"


def candidate_rows(settings: Settings, table: str) -> list[dict[str, Any]]:
    """The rows of a candidate that dbt has built."""
    with connect(settings, str(candidate_path(settings))) as connection:
        result = connection.sql(f"SELECT * FROM gold.{table} ORDER BY ALL")
        return [dict(zip(result.columns, row, strict=True)) for row in result.fetchall()]
