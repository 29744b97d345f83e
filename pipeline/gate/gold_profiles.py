"""Profiles of gold candidates: what each slice of a candidate table holds, against silver and the other tables.

Belongs here: the SQL of the frames that gold suites judge. The candidate must be attached (see `candidates`).
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

import duckdb
import pandas as pd

from lake.models.catalog import Model, silver_tables
from lake.models.kind_columns import kind_columns
from lake.slices import HOUR_MICROS, slices_of_day
from lake.sql_text import Expression, Query, Relation, quoted, relation
from lake.storage.duckdb_connection import scan
from lake.storage.locations import table_uri
from lake.tables.contracts import AddsUp, Table
from lake.tables.gold import (
    BUILT_UPON,
    CALENDAR,
    DAILY,
    DEVICE_COMPLETENESS,
    DEVICE_LATEST,
    DEVICE_MINUTES,
    DEVICE_SILENCES,
    DEVICES,
    GOLD_TABLES,
    HOURLY,
    OF_LOCAL_DAYS,
    SITES,
    UNSLICED,
)
from lake.tables.silver import SILVER_DEVICES, UNSLICED_SILVER
from pipeline.gate.candidates import SCHEMA, Plan
from pipeline.gate.gold_bounds import bounded, create_bounds
from pipeline.gate.gold_sums import disagreeing, reconciled
from pipeline.gate.kind_profiles import kind_aggregates, kind_parts
from pipeline.gate.local_profiles import local_hours_of_days
from pipeline.gate.profiles import (
    columns_of,
    covering_runs,
    create_slices,
    declared_profile,
    fetch,
    sliced_scan,
    window_scan,
)
from pipeline.gate.suites import period_column
from runtime.settings import Settings

_METRIC = "device_id, metric_name, unit"
# minimum, maximum and last are values of readings; what is computed is rounded and may leave them by its last bits
_SLACK = "1e-9 * greatest(1, abs(value_min), abs(value_max))"


@dataclass(frozen=True)
class Gold:
    """An attached candidate, its plan, and the device models that its silver was typed by."""

    connection: duckdb.DuckDBPyConnection
    settings: Settings
    models: Mapping[str, Model]
    plan: Plan

    def prepare(self) -> None:
        """Count the readings of silver by slice and metric, and set out slices and bounds; must come first."""
        run = self.connection.execute
        create_slices(self.connection, self.plan.hours)
        days = ", ".join(f"({quoted(day)}, DATE {quoted(day)})" for day in self.plan.days) or "(NULL, NULL)"
        run(f"CREATE OR REPLACE TEMP TABLE judged_days AS FROM (VALUES {days}) AS days(slice, event_date)")
        create_bounds(self.connection, self.settings, self.models, self.plan)
        run("CREATE OR REPLACE TEMP TABLE held_hours (event_date DATE, event_hour INTEGER)")
        run("CREATE OR REPLACE TEMP TABLE silver_readings (slice VARCHAR, readings BIGINT)")
        run(
            "CREATE OR REPLACE TEMP TABLE silver_metrics (slice VARCHAR, metric_name VARCHAR, unit VARCHAR, "
            "is_metric BOOLEAN, kind VARCHAR, readings BIGINT)"
        )
        for table in silver_tables(self.models.values()).values():
            if table.name in self.plan.inputs and self.plan.hours:
                self._count_silver(table)

    def hold(self, hours: Iterable[str]) -> None:
        """Say which hours of the plan are held; must come before the unsliced tables."""
        for hour in hours:
            self.connection.execute("INSERT INTO held_hours VALUES (?::DATE, ?)", [hour[:10], int(hour[11:])])

    def profile(self, table: Table) -> pd.DataFrame:
        """The profile of a candidate table, one row a slice of the plan; rows of other slices are left out."""
        parts = dict(self._parts(table))
        # not VALUES, of which each is parsed: a history has 50,000 hours
        judged = {HOURLY: "judged_slices", DAILY: "judged_days"}
        known = next((name for tables, name in judged.items() if table in tables), None)
        slices = f"SELECT slice FROM {known}" if known else f"SELECT {quoted(UNSLICED)} AS slice"
        frame = fetch(
            self.connection,
            f"""
            WITH {declared_profile(self.connection, table, _rows(table), _aggregates(table))},
            {"".join(f"{name} AS ({sql})," for name, sql in parts.items())}
            slices AS ({slices})
            SELECT slice, counts.* EXCLUDE slice, repeated_keys
                {"".join(f", {name}.* EXCLUDE slice" for name in parts)}
            FROM slices LEFT JOIN counts USING (slice) LEFT JOIN repeats USING (slice)
                {" ".join(f"LEFT JOIN {name} USING (slice)" for name in parts)}
            ORDER BY slice""",
        )
        if "source_rows" in frame:
            frame["is_empty"] = ((frame["rows"] == 0) & (frame["source_rows"] > 0)).astype(int)
        return frame

    def _parts(self, table: Table) -> Iterator[tuple[str, Query]]:
        """What a table's profile has beside its declared part: CTE name and SQL, each by `slice`."""
        is_counted = any(sum_.finer is None for sum_ in table.adds_up)
        for sum_ in table.adds_up:
            if sum_.finer is None:
                ours = "is_metric" if table.kind is None else f"kind = {quoted(table.kind)}"
                measured = relation(Query(f"SELECT * FROM silver_metrics WHERE {ours}"))
                yield "source", Query(f"SELECT slice, sum(readings) AS source_rows FROM {measured} GROUP BY slice")
                yield "reconciled", reconciled(measured)
            else:
                differing = disagreeing(self._finer(table, sum_), sum_, "value_min" in table.column_names)
                alone = Query(f"SELECT slice, disagreeing FROM {relation(differing)}")
                yield "agreed", alone if is_counted else differing
        yield from kind_parts(table)
        if table == DEVICE_COMPLETENESS:
            yield "source", Query("SELECT slice, sum(readings) AS source_rows FROM silver_readings GROUP BY slice")
        if table == DEVICE_SILENCES:
            yield "inside", _HEARD
        if table == DEVICE_LATEST:
            yield "held", _from_held(Expression("event_at"))
            if self.plan.hours:
                yield "covered", _BEHIND
            else:
                yield "covered", Query(f"SELECT {quoted(UNSLICED)} AS slice, 0 AS behind")
        if table == DEVICES:
            source = scan(table_uri(self.settings, SILVER_DEVICES.name), self.plan.inputs[SILVER_DEVICES.name])
            yield "held", _from_held(Expression("last_event_at"))
            counted = f"count(DISTINCT device_id) AS registry_devices FROM {source}"
            yield "registry", Query(f"SELECT {quoted(UNSLICED)} AS slice, {counted}")
        if table == SITES:
            yield "registry", self._registry_sites()
        if table == CALENDAR:
            yield "days", _BROKEN_DAYS

    def _registry_sites(self) -> Query:
        """Counts the sites that are declared or that a record of a device names."""
        tables = [table.name for table in UNSLICED_SILVER if table.name in self.plan.inputs]
        sources = [scan(table_uri(self.settings, name), self.plan.inputs[name]) for name in tables]
        sites = " UNION ALL ".join(f"SELECT site_id FROM {source}" for source in sources)
        return Query(f"SELECT {quoted(UNSLICED)} AS slice, count(DISTINCT site_id) AS registry_sites FROM ({sites})")

    def _finer(self, table: Table, sum_: AddsUp) -> Query:
        """The rows of a finer table that those of the planned slices of `table` sum up."""
        if table in OF_LOCAL_DAYS:
            return local_hours_of_days(self.connection, self.settings, self.plan, table, sum_)
        finer = next(each for each in GOLD_TABLES if each.name == sum_.finer)
        if finer.sliced_by == table.sliced_by:
            return Query(f"SELECT * FROM {_planned(finer)}")
        assert finer in BUILT_UPON, f"{table.name} adds up over {finer.name}, of which builds know no earlier rows"
        return Query(" UNION ALL ".join(self._hours_of_days(finer, sum_)))

    def _hours_of_days(self, finer: Table, sum_: AddsUp) -> Iterator[str]:
        """The hours that the planned days consist of: those of the candidate, else those published."""
        extremes = ["value_min", "value_max"] if "value_min" in finer.column_names else []
        names = [*sum_.by, "reading_count", *extremes, *sum_.sums]
        columns = f"slice, {', '.join(names)}"
        if self.plan.hours:
            hours = f"FROM {SCHEMA}.{finer.short_name} SEMI JOIN judged_slices USING (event_date, event_hour)"
            yield f"SELECT {columns} FROM ({hours}) JOIN judged_days USING (event_date)"
        published = self.plan.published.get(finer.name)
        kept = {hour for day in self.plan.days for hour in slices_of_day(day)} - set(self.plan.hours)
        if published is not None and kept:
            runs = covering_runs(kept)
            rows = window_scan(self.settings, finer.name, published, runs, names)
            yield (
                f"SELECT {columns} FROM ({rows}) JOIN judged_days USING (event_date) "
                "ANTI JOIN judged_slices USING (event_date, event_hour)"
            )
        if not self.plan.hours and (published is None or not kept):
            yield f"SELECT {columns} FROM {SCHEMA}.{finer.short_name} JOIN judged_days USING (event_date) WHERE false"

    def _count_silver(self, table: Table) -> None:
        version = self.plan.inputs[table.name]
        existing = columns_of(self.connection, self.settings, table.name, version)
        kinds = {each.column: each for each in kind_columns(self.models.values()) if each.table == table.name}
        metrics = {t.column: (t.metric_name, t.unit, t.is_metric) for m in self.models.values()
                   if m.table == table.name for t in m.telemetry
                   if (t.is_metric or t.column in kinds) and t.column in existing}  # fmt: skip
        rows = sliced_scan(self.settings, table.name, version, self.plan.hours, metrics)
        counts = "".join(f', count("{column}") AS readings_{i}' for i, column in enumerate(metrics))
        self.connection.execute(
            "CREATE OR REPLACE TEMP TABLE counted AS "
            f"SELECT slice, count(*) AS readings{counts} FROM ({rows}) GROUP BY slice"
        )
        self.connection.execute("INSERT INTO silver_readings SELECT slice, readings FROM counted")
        for i, (column, (metric_name, unit, is_metric)) in enumerate(metrics.items()):
            kind = quoted(kinds[column].kind.name) if column in kinds else "NULL"
            self.connection.execute(
                f"INSERT INTO silver_metrics SELECT slice, {quoted(metric_name)}, {quoted(unit)}, {is_metric}, {kind}, "
                f"readings_{i} FROM counted WHERE readings_{i} > 0"
            )


def _rows(table: Table) -> Query:
    """A candidate table's rows with their `slice`, and with bounds where it has values."""
    return bounded(table, Query(f"SELECT * FROM {_planned(table)}"))


def _planned(table: Table) -> Relation:
    """FROM clause for the rows of a candidate table that lie in the plan, with their `slice`."""
    name = f"{SCHEMA}.{table.short_name}"
    if table in HOURLY:
        return Relation(f"{name} JOIN judged_slices USING (event_date, event_hour)")
    if table in DAILY:
        return Relation(f"{name} JOIN judged_days USING (event_date)")
    return Relation(f"(SELECT *, {quoted(UNSLICED)} AS slice FROM {name})")


def _aggregates(table: Table) -> dict[str, str]:
    """The aggregates over `rows` that follow from which columns a table has."""
    names, result = table.column_names, {}

    def rows_where(condition: str) -> str:
        return f"count(*) FILTER (WHERE {condition})"

    if table in HOURLY:
        result["outside"] = rows_where(f"epoch_us({period_column(table)}) // {HOUR_MICROS} <> hour_number")
    if table in DAILY:
        result["outside"] = rows_where("day_date <> event_date")
    if table == DEVICE_LATEST:
        result["outside"] = rows_where("event_at::DATE <> event_date OR hour(event_at) <> event_hour")
    doubles = [column.name for column in table.columns if column.type == "double"]
    if doubles and {"value_min", "value_last"} & set(names):
        result["not_finite"] = rows_where(" OR ".join(f"NOT isfinite({name})" for name in doubles))
    if doubles and ("value_min" in names or "value_last" in names):
        low, high = ("value_min", "value_max") if "value_min" in names else ("value_last", "value_last")
        broken = f"{low} < minimum OR {high} > maximum"
        result["out_of_range"] = rows_where(broken)
        result["out_of_range_detail"] = f"string_agg(DISTINCT metric_name, ', ') FILTER (WHERE {broken})"
    if "value_min" in names:
        disorder = ["value_min > value_max"]
        disorder += ["value_last NOT BETWEEN value_min AND value_max"] if "value_last" in names else []
        for name in ("value_mean", "value_p50", "value_p95"):
            if name in names:
                disorder += [f"{name} < value_min - {_SLACK}", f"{name} > value_max + {_SLACK}"]
        disorder += [f"value_p50 > value_p95 + {_SLACK}"] if "value_p95" in names else []
        result["misordered"] = rows_where(" OR ".join(disorder))
    if "reading_count" in names:
        result["below_one"] = rows_where("reading_count < 1")
    if "device_count" in names:
        result["below_one"] = rows_where("reading_count < device_count OR device_count < 1")
    if table == DEVICE_COMPLETENESS:
        result["received"] = "sum(received_count)"
        result["inconsistent"] = rows_where(
            "missing_count NOT BETWEEN greatest(expected_count - received_count, 0) AND expected_count "
            "OR late_count > received_count OR clock_flagged_count > received_count "
            "OR least(expected_count, late_count, clock_flagged_count, duplicate_count, rejected_count) < 0"
        )
    if table == DEVICE_SILENCES:
        result["inconsistent"] = rows_where(
            "expected_count < 0 OR hour_at >= until_at OR reporting_interval_s <= 0 "
            "OR (due_from_at IS NULL) <> (reporting_interval_s IS NULL)"
        )
    return result | kind_aggregates(table)


def _from_held(moment: Expression) -> Query:
    return Query(f"""
        SELECT {quoted(UNSLICED)} AS slice, count(*) AS from_held
        FROM rows JOIN held_hours AS held ON {moment}::DATE = held.event_date AND hour({moment}) = held.event_hour""")


_BROKEN_DAYS = Query(f"""
    WITH with_next AS (SELECT *, lead(starts_at) OVER (PARTITION BY zone ORDER BY day_date) AS next_at FROM rows)
    SELECT {quoted(UNSLICED)} AS slice, count(*) AS broken_days
    FROM with_next WHERE next_at <> ends_at OR hours_in_day <> (epoch_us(ends_at) - epoch_us(starts_at)) / {HOUR_MICROS}
        OR hours_in_day <= 0 OR is_dst_change <> (hours_in_day <> 24)""")
_HEARD = Query(f"""
    WITH heard_hours AS (SELECT hour_number FROM silver_readings JOIN judged_slices USING (slice) WHERE readings > 0)
    SELECT {quoted(UNSLICED)} AS slice, count(*) AS heard
    FROM rows JOIN heard_hours
        ON epoch_us(hour_at) // {HOUR_MICROS} <= hour_number AND epoch_us(until_at) // {HOUR_MICROS} > hour_number""")
_BEHIND = Query(f"""
    WITH newest_minutes AS (
        SELECT {_METRIC}, max(minute_at) AS newest FROM {_planned(DEVICE_MINUTES)} GROUP BY ALL
    )
    SELECT {quoted(UNSLICED)} AS slice, count(*) FILTER (WHERE coalesce(event_at < newest, true)) AS behind
    FROM newest_minutes LEFT JOIN rows USING ({_METRIC})""")
