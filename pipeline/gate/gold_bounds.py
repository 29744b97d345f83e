"""Bounds: what the values of a gold row may be, after the models that typed its readings.

Belongs here: the declared ranges as tables for the profiles of gold, and which of them holds for a row.

A row names the model of its newest reading. Versions of a model share a silver table, so their widest bounds hold for
it. Different models may share a metric too: a device that has readings in the tables of both in the hours at hand is
judged by the widest bounds of all models with that metric. What one reading may be was judged in silver, by its own
model alone.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping

import duckdb

from lake.models.catalog import Model
from lake.slices import slices_of_day
from lake.sql_text import Query, quoted, relation
from lake.tables.contracts import Table
from pipeline.gate.candidates import Plan
from pipeline.gate.profiles import covering_runs, window_scan
from runtime.settings import Settings

_WIDEST = """
    SELECT metric_name, unit, if(count(minimum) = count(*), min(minimum), NULL) AS minimum,
        if(count(maximum) = count(*), max(maximum), NULL) AS maximum
    FROM bounds GROUP BY metric_name, unit"""


def create_bounds(
    connection: duckdb.DuckDBPyConnection, settings: Settings, models: Mapping[str, Model], plan: Plan
) -> None:
    """Create the tables `bounds`, by model and metric, and `mixed_devices`, with readings in tables that share one."""
    connection.execute(
        "CREATE OR REPLACE TEMP TABLE bounds (model_id VARCHAR, metric_name VARCHAR, unit VARCHAR, "
        "minimum DOUBLE, maximum DOUBLE)"
    )
    rows = ", ".join(_bounds(models.values()))
    if rows:
        connection.execute(f"INSERT INTO bounds VALUES {rows}")
    connection.execute("CREATE OR REPLACE TEMP TABLE mixed_devices (device_id VARCHAR)")
    tables = [name for name in tables_that_share(models.values()) if name in plan.inputs]
    hours = {*plan.hours, *(hour for day in plan.days for hour in slices_of_day(day))}
    if len(tables) < 2 or not hours:
        return
    runs = covering_runs(hours)
    devices = " UNION ALL ".join(
        f"SELECT DISTINCT device_id FROM ({window_scan(settings, name, plan.inputs[name], runs, ['device_id'])})"
        for name in tables
    )
    connection.execute(
        f"INSERT INTO mixed_devices SELECT device_id FROM ({devices}) GROUP BY device_id HAVING count(*) > 1"
    )


def bounded(table: Table, source: Query) -> Query:
    """SQL for the rows of `source`, those of a gold table, with `minimum` and `maximum` where it has values."""
    if "metric_name" not in table.column_names:
        return source
    if "model_id" not in table.column_names:
        return Query(f"SELECT * FROM {relation(source)} LEFT JOIN ({_WIDEST}) USING (metric_name, unit)")
    return Query(f"""
        SELECT found.*,
            CASE WHEN mixed.device_id IS NULL THEN own.minimum ELSE widest.minimum END AS minimum,
            CASE WHEN mixed.device_id IS NULL THEN own.maximum ELSE widest.maximum END AS maximum
        FROM {relation(source)} AS found LEFT JOIN bounds AS own USING (model_id, metric_name, unit)
            LEFT JOIN ({_WIDEST}) AS widest USING (metric_name, unit)
            LEFT JOIN mixed_devices AS mixed ON mixed.device_id = found.device_id""")


def tables_that_share(models: Iterable[Model]) -> list[str]:
    """The silver tables that hold a metric which another silver table holds too."""
    holders: dict[tuple[str, str], set[str]] = {}
    for model in models:
        for telemetry in model.telemetry:
            if telemetry.is_metric:
                holders.setdefault((telemetry.metric_name, telemetry.unit), set()).add(model.table)
    return sorted({name for tables in holders.values() if len(tables) > 1 for name in tables})


def _bounds(models: Iterable[Model]) -> Iterator[str]:
    """VALUES rows (model_id, metric_name, unit, minimum, maximum)."""
    known = list(models)
    for model in known:
        for metric in (t for t in model.telemetry if t.is_metric):
            same = [
                t for m in known if m.table == model.table for t in m.telemetry
                if (t.metric_name, t.unit) == (metric.metric_name, metric.unit)
            ]  # fmt: skip
            low = _widest([t.minimum for t in same], min)
            high = _widest([t.maximum for t in same], max)
            names = ", ".join(map(quoted, (model.model_id, metric.metric_name, metric.unit)))
            yield f"({names}, {low}, {high})"


def _widest(limits: list[float | None], pick: Callable[[list[float]], float]) -> str:
    given = [limit for limit in limits if limit is not None]
    return repr(pick(given)) if len(given) == len(limits) else "NULL"
