"""The SQL of figures by kind as dbt compiles it, run in memory on readings at hand.

Belongs here: a device model with every kind, one build with dbt that compiles the SQL, and running that SQL again with
tables of its own in the place of the lake's. So a figure of hundreds of made-up histories costs no dbt run.
"""

import json
import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb
from deltalake import DeltaTable, write_deltalake

from lake.models.catalog import Model, load_models, silver_tables
from lake.slices import slice_of, slice_start
from lake.storage.duckdb_connection import connect
from lake.storage.locations import candidate_path, table_uri
from lake.tables.gold_kinds import CARRYING
from lake.tables.silver import SILVER_DEVICES
from pipeline.gate.profiles import hour_number
from pipeline.gold.carried_hours import carried_into_silence, reached_hours
from pipeline.gold.plan import GoldPlan, build_candidates
from runtime.settings import Settings
from tests.support.kinds_oracle import Reading
from tests.support.small_lake import arrow_table

DAY = datetime(2026, 11, 20, tzinfo=UTC)
MODEL = "dtmi:example:plant;1"
MAXIMUM, LIMIT = 1000.0, timedelta(hours=2)
_KIND = {"carry_limit_s": 7200}
_INTERFACE = {
    "@context": "dtmi:dtdl:context;3", "@id": MODEL, "@type": "Interface", "displayName": "plant",
    "contents": [
        {"@type": "Telemetry", "name": name, "schema": schema}
        for name, schema in (("count", "double"), ("mode", "string"), ("level", "double"), ("flow", "double"))
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
_BUILT = "((event_date, event_hour) in (select event_date, event_hour from plan.slices))"
_BUILT_OR_OF_DAYS = (
    "((event_date, event_hour) in (select event_date, event_hour from plan.slices union "
    "select event_date, event_hour from plan.day_hours))"
)


def plant_models(folder: Path) -> dict[str, Model]:
    """The model, written into a folder of models."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "plant.json").write_text(json.dumps(_INTERFACE))
    (folder / "plant.quality.json").write_text(json.dumps(_QUALITY))
    return load_models([folder])


def compiled(settings: Settings) -> tuple[dict[str, str], dict[str, Model]]:
    """The models' SQL by name, compiled by a build of a lake that has published some, and its device model.

    The tables of the lake are named `lake_…` in it.
    """
    models = plant_models(settings.models_folder)
    table = next(iter(silver_tables(models.values()).values()))
    row = {"device_id": "d", "model_id": MODEL, "event_at": DAY, "event_date": DAY.date(), "event_hour": 0}
    versions = {}
    for each, rows in ((table, [row]), (SILVER_DEVICES, [])):
        uri = table_uri(settings, each.name)
        write_deltalake(uri, arrow_table(each, rows), partition_by=list(each.partition_by) or None)
        versions[each.name] = DeltaTable(uri).version()
    for carrying in CARRYING:
        write_deltalake(table_uri(settings, carrying.name), arrow_table(carrying, []))
        versions[carrying.name] = 0
    # histories lie on both days, and what is published of a day is read for planned ones
    slice_, day_before = slice_of(DAY), slice_of(DAY - timedelta(days=1))[:10]
    build_candidates(settings, GoldPlan({slice_: True}, {day_before: [], slice_[:10]: [slice_]}, versions, models))
    folder = settings.work_folder / "dbt" / "compiled"
    found = {path.stem: path.read_text() for path in folder.rglob("*.sql")}
    return {name: _in_memory(name, sql) for name, sql in found.items()}, models


def _in_memory(name: str, sql: str) -> str:
    planned = (
        _BUILT_OR_OF_DAYS if name in ("stg_counter_hours", "stg_gauge_hours") else _BUILT
    )  # as the models' `hours` say
    sql = re.sub(r"delta_scan\('[^']*/(\w+)/(\w+)', version=\d+\)", r"lake_\1_\2", sql)
    return sql.replace("(true /* planned hours */)", planned)


class Plant:
    """A lake in memory with the readings of one telemetry, and the gold of one table of hours and one of days."""

    def __init__(
        self, sql: Mapping[str, str], models: Mapping[str, Model], column: str, kind: str, staging: Sequence[str]
    ) -> None:
        self.models, self.kind, self.column, self.sql, self.staging = models, kind, column, sql, staging
        self.hours, self.days = f"{kind}_hours", f"{kind}_days"
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
            "count DOUBLE, mode VARCHAR, level DOUBLE, flow DOUBLE)"
        )
        carrying = next(each for each in CARRYING if each.kind == kind)
        self.connection.register("empty", arrow_table(carrying, []))
        run(f"CREATE TABLE lake_gold_{self.hours} AS FROM empty")
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

    def rows(self, table: str) -> list[dict[str, Any]]:
        """The rows of a table, as dicts."""
        result = self.connection.sql(f"FROM {table}")
        return [dict(zip(result.columns, row, strict=True)) for row in result.fetchall()]

    def _build(self, slices: Sequence[str], known: Sequence[str]) -> None:
        run = self.connection.execute
        with_data = {slice_of(each.at) for each in self.readings}
        held = {slice_of(hour) for hour in self.held}
        days = {slice_[:10] for slice_ in slices} - {slice_[:10] for slice_ in held}
        of_days = [slice_ for slice_ in known if slice_[:10] in days and slice_ in with_data and slice_ not in held]
        run("CREATE OR REPLACE TABLE plan.gone (slice_at TIMESTAMPTZ)")
        run("CREATE OR REPLACE TABLE plan.days (day_date DATE)")
        run(f"INSERT INTO plan.days SELECT unnest({sorted(days)}::DATE[])")
        run(f"CREATE OR REPLACE TABLE plan.kinds AS SELECT '{self.kind}' AS kind, '{self.column}' AS metric_name, "
            "'1' AS unit, 7200 AS carry_limit_s, 'h' AS integral_unit")  # fmt: skip
        for name, hours in (("slices", slices), ("day_hours", of_days), ("held", sorted(held))):
            run(f"CREATE OR REPLACE TABLE plan.{name} (slice_at TIMESTAMPTZ, event_date DATE, event_hour INTEGER)")
            for hour in hours:
                run(f"INSERT INTO plan.{name} VALUES (?, ?, ?)", [slice_start(hour), hour[:10], int(hour[11:])])
        run("CREATE OR REPLACE VIEW staging.stg_slices AS FROM plan.slices")
        for name in self.staging:
            run(f"CREATE OR REPLACE TABLE staging.{name} AS {self.sql[name]}")
        for name in (self.hours, self.days):
            run(f"CREATE OR REPLACE TABLE gold.{name} AS {self.sql[name]}")
        run(f"DELETE FROM lake_gold_{self.hours} WHERE (event_date, event_hour) IN "
            "(SELECT event_date, event_hour FROM plan.slices)")  # fmt: skip
        run(f"INSERT INTO lake_gold_{self.hours} BY NAME FROM gold.{self.hours}")
        run(f"CREATE TABLE IF NOT EXISTS lake_gold_{self.days} AS FROM gold.{self.days} WHERE false")
        if days:
            run(f"DELETE FROM lake_gold_{self.days} WHERE event_date IN (SELECT day_date FROM plan.days)")
            run(f"INSERT INTO lake_gold_{self.days} FROM gold.{self.days}")


_NUMBER = "(event_date - DATE '1970-01-01') * 24 + event_hour"


def candidate_rows(settings: Settings, table: str) -> list[dict[str, Any]]:
    """The rows of a candidate that dbt has built."""
    with connect(settings, str(candidate_path(settings))) as connection:
        result = connection.sql(f"SELECT * FROM gold.{table} ORDER BY ALL")
        return [dict(zip(result.columns, row, strict=True)) for row in result.fetchall()]
