"""Silver to gold candidates: the plan of what to build.

Belongs here: writing the plan into the candidate database. Which hours and days are to be built is decided by the
caller; what gold is stands in the dbt models, which `dbt_process` runs; judging and publishing are in `gate` and
`publish`.

The candidate database is a DuckDB file of its own: schema `plan` is what dbt is told, schema `gold` what it built.
"""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import duckdb
import pyarrow as pa

from lake.models.catalog import Model
from lake.models.kind_columns import kind_columns
from lake.models.units import integral_of
from lake.slices import day_of, slice_start
from lake.sql_text import quoted
from lake.storage.delta import open_table
from lake.storage.duckdb_connection import connect, scan
from lake.storage.locations import candidate_path, table_uri
from lake.storage.slice_files import records_by_slice
from lake.tables.gold_kinds import CARRYING
from lake.tables.silver import SILVER_SITES
from pipeline.gate.candidates import unreadable
from pipeline.gold.absent_kinds import make_empty
from pipeline.gold.dbt_process import run_dbt, start_dbt
from pipeline.gold.declared_sites import calendar_rows, declared_sites, local_hour_rows
from runtime.errors import StepError
from runtime.private_files import ensure_home
from runtime.settings import Settings

PLAN_TABLES = {
    "slices": "slice_at TIMESTAMPTZ, event_date DATE, event_hour INTEGER, record_count BIGINT, has_data BOOLEAN",
    "gone": "slice_at TIMESTAMPTZ",
    "carried": "slice_at TIMESTAMPTZ",
    "silences": "from_at TIMESTAMPTZ, until_at TIMESTAMPTZ",
    "days": "day_date DATE",
    "day_hours": "day_date DATE, slice_at TIMESTAMPTZ, event_date DATE, event_hour INTEGER, record_count BIGINT",
    "tables": "table_name VARCHAR, uri VARCHAR, version BIGINT",
    "metrics": "table_name VARCHAR, model_ids VARCHAR, column_name VARCHAR, metric_name VARCHAR, unit VARCHAR, "
    "component_name VARCHAR",
    "held": "event_date DATE, event_hour INTEGER",
    "kinds": "table_name VARCHAR, column_name VARCHAR, metric_name VARCHAR, unit VARCHAR, kind VARCHAR, "
    "carry_limit_s INTEGER, maximum DOUBLE, interpolation VARCHAR, integral_unit VARCHAR, "
    "integral_per_hour DOUBLE",
    "models": "model_id VARCHAR, table_name VARCHAR, reporting_interval_s INTEGER, late_after_s INTEGER",
    "sites": "site_id VARCHAR, name VARCHAR, zone VARCHAR, parent_id VARCHAR, path VARCHAR",
    "zones": "zone VARCHAR",
    "local_hours": "zone VARCHAR, day_date DATE, starts_at TIMESTAMPTZ, ends_at TIMESTAMPTZ, hours_in_day DOUBLE, "
    "slice_at TIMESTAMPTZ, event_date DATE, event_hour INTEGER, record_count BIGINT, is_whole BOOLEAN",
    "calendar": "zone VARCHAR, day_date DATE, starts_at TIMESTAMPTZ, ends_at TIMESTAMPTZ, hours_in_day DOUBLE, "
    "is_dst_change BOOLEAN, week_date DATE, month_date DATE",
}


@dataclass(frozen=True)
class GoldPlan:
    """What to build, and from what.

    `hours` maps slices (`2026-11-20T05`) to whether any silver table has records there; without, only completeness has
    rows for them. `days` maps days (`2026-11-20`) to the slices that make them up. `versions` are the Delta versions of
    the silver tables and of the published gold tables to read (`gold.device_hours` and `gold.device_latest`, both or
    neither, and those of `lake.tables.gold_kinds.CARRYING`). `models` are all device models by DTMI. `gone` are those
    of `hours` that gold is to have no row of, and `carried` those without records of which `gold.state_hours` alone may
    have rows. `silences` are all of the lake's, not only what is new: the first silent slice of each and the one after
    its last. Of `held` hours nothing is carried into later ones.
    """

    hours: Mapping[str, bool]
    days: Mapping[str, Sequence[str]]
    versions: Mapping[str, int]
    models: Mapping[str, Model]
    gone: Collection[str] = ()
    carried: Collection[str] = ()
    silences: Sequence[tuple[str, str]] = ()
    held: Collection[str] = ()


def build_candidates(
    settings: Settings,
    plan: GoldPlan,
    progress: Callable[[str], None] | None = None,
    *,
    after_holding: bool = False,
) -> Path:
    """Build the gold candidates of `plan`; returns the candidate database.

    With `after_holding` the plan lacks the hours that were held, and only the tables that are not sliced are built
    again, in the same database. `progress` is told each model that is done. Raises StepError with dbt's own message.
    """
    write_plan(settings, plan, keep_built=after_holding)
    run_dbt(settings, start_dbt(settings), progress, after_holding=after_holding)
    return candidate_path(settings)


def write_plan(settings: Settings, plan: GoldPlan, *, keep_built: bool = False) -> None:
    """Write `plan` into a new candidate database, or with `keep_built` into the one that is there.

    Raises UsageError for text that is not a slice, StepError when the database is in use or an input cannot be read.
    """
    path = candidate_path(settings)
    ensure_home(settings)
    path.parent.mkdir(parents=True, exist_ok=True)
    if not keep_built:
        path.unlink(missing_ok=True)
        path.with_name(path.name + ".wal").unlink(missing_ok=True)
    with connect(settings) as connection:
        rows = _plan_rows(settings, plan, connection)
        try:
            connection.execute(f"ATTACH {quoted(str(path))} AS candidate")
        except duckdb.IOException as error:
            raise StepError(f"The gold candidate {path} is in use: wait for the other build. ({error})") from error
        except duckdb.Error as error:
            raise unreadable(path, error) from error
        connection.execute("CREATE SCHEMA IF NOT EXISTS candidate.plan")
        for name, columns in PLAN_TABLES.items():
            connection.execute(f"CREATE OR REPLACE TABLE candidate.plan.{name} ({columns})")
            _insert(connection, f"candidate.plan.{name}", rows[name])
        make_empty(connection)


def _plan_rows(
    settings: Settings, plan: GoldPlan, connection: duckdb.DuckDBPyConnection
) -> dict[str, list[tuple[object, ...]]]:
    tables = [(name, table_uri(settings, name), version) for name, version in sorted(plan.versions.items())]
    existing = {name: _columns(connection, uri, version) for name, uri, version in tables if name.startswith("silver.")}
    records = _records(settings, plan)
    declared = declared_sites(settings, plan.versions.get(SILVER_SITES.name))
    return {
        "slices": [
            (*_hour(slice_), records.get(slice_, 0), has_data) for slice_, has_data in sorted(plan.hours.items())
        ],
        "gone": [(slice_start(slice_),) for slice_ in sorted(plan.gone)],
        "carried": [(slice_start(slice_),) for slice_ in sorted(plan.carried)],
        "silences": [(slice_start(first), slice_start(end)) for first, end in plan.silences],
        "days": [(date.fromisoformat(day),) for day in sorted(plan.days)],
        "day_hours": [
            (date.fromisoformat(day), *_hour(slice_), records.get(slice_, 0))
            for day, slices in sorted(plan.days.items())
            for slice_ in slices
        ],
        "tables": list(tables),
        "metrics": _metric_rows(plan.models.values(), existing),
        "held": [_hour(slice_)[1:] for slice_ in sorted(plan.held)],
        "kinds": _kind_rows(settings, plan, existing),
        "models": [
            (model.model_id, model.table, model.quality.reporting_interval_s, model.quality.late_after_s)
            for model in plan.models.values()
        ],
        "sites": [(s.site_id, s.name, s.zone, s.parent_id, s.path) for s in declared.sites],
        "zones": [(zone,) for zone in declared.zones],
        "calendar": list(calendar_rows(declared, records.keys())),
        "local_hours": list(local_hour_rows(declared, plan.days, _of_planned_days(plan, records))),
    }


def _records(settings: Settings, plan: GoldPlan) -> dict[str, int]:
    """Readings of every slice, so that dbt can build many small days at once."""
    records: dict[str, int] = {}
    for name in {model.table for model in plan.models.values()} & plan.versions.keys():
        opened = open_table(settings, name, plan.versions[name])
        for slice_, count in ({} if opened is None else records_by_slice(settings, name, opened)).items():
            records[slice_] = records.get(slice_, 0) + count
    return records


def _of_planned_days(plan: GoldPlan, records: Mapping[str, int]) -> dict[str, int]:
    """The readings that days may be built of: a planned day has the hours that the plan says and no other ones."""
    hours = {slice_ for slices in plan.days.values() for slice_ in slices}
    return {slice_: count for slice_, count in records.items() if slice_ in hours or day_of(slice_) not in plan.days}


def _hour(slice_: str) -> tuple[object, ...]:
    start = slice_start(slice_)
    return start, start.date(), start.hour


def _columns(connection: duckdb.DuckDBPyConnection, uri: str, version: int) -> set[str]:
    try:
        return {row[0] for row in connection.execute(f"DESCRIBE SELECT * FROM {scan(uri, version)}").fetchall()}
    except duckdb.Error as error:
        raise StepError(f"Version {version} of {uri} cannot be read, so gold cannot be built of it: {error}") from error


def _metric_rows(models: Iterable[Model], existing: Mapping[str, set[str]]) -> list[tuple[object, ...]]:
    """One row a metric column; a column that the pinned silver table does not have yet holds no readings."""
    metrics: dict[tuple[str, str], tuple[object, ...]] = {}
    model_ids: dict[tuple[str, str], list[str]] = {}
    for model in models:
        for telemetry in model.telemetry:
            if telemetry.is_metric and telemetry.column in existing.get(model.table, set()):
                key = (model.table, telemetry.column)
                metrics[key] = (telemetry.column, model.metric_name(telemetry), telemetry.unit, telemetry.component)
                model_ids.setdefault(key, []).append(model.model_id)
    return [(key[0], ",".join(sorted(model_ids[key])), *metric) for key, metric in sorted(metrics.items())]


def _kind_rows(settings: Settings, plan: GoldPlan, existing: Mapping[str, set[str]]) -> list[tuple[object, ...]]:
    """One row a column of which there are figures by kind. A table without readings, as a model's is from the start,
    has none, unless hours of that kind are published."""
    filled = {name for name, version in plan.versions.items() if _has_files(settings, name, version)}
    published = {table.kind for table in CARRYING if table.name in filled}
    return [
        (each.table, each.column, each.metric_name, each.unit, each.kind.name, each.kind.carry_limit_s,
         each.kind.maximum, each.kind.interpolation, integral_of(each.unit).unit, integral_of(each.unit).per_hour)
        for each in kind_columns(plan.models.values())
        if each.column in existing.get(each.table, set()) and (each.table in filled or each.kind.name in published)
    ]  # fmt: skip


def _has_files(settings: Settings, name: str, version: int) -> bool:
    opened = open_table(settings, name, version)
    return opened is not None and opened.get_add_actions().num_rows > 0


def _insert(connection: duckdb.DuckDBPyConnection, table: str, rows: Sequence[tuple[object, ...]]) -> None:
    if rows:
        # columns, since a statement with a value for each takes seconds of a history's hours
        columns = [pa.array(values) for values in zip(*rows, strict=True)]
        connection.register("planned", pa.table(columns, names=[str(number) for number in range(len(columns))]))
        connection.execute(f"INSERT INTO {table} FROM planned")
        connection.unregister("planned")
