"""Hours that depend on others: those whose figures begin with a reading of an hour before.

Belongs here: which they are. An increase belongs to the hour where it ends, and a state holds in hours in which nothing
comes; so when the readings of an hour change, the next hour with readings of that device and metric changes too, and
for a state all between. How far a reading is carried, its kind says (`lake.models.kinds`).
"""

from bisect import bisect_left, bisect_right
from collections.abc import Collection, Mapping

import duckdb

from lake.models.catalog import Model
from lake.models.kind_columns import KindColumn, kind_columns
from lake.models.kinds import carried_hours
from lake.records.publications import Publication
from lake.slices import HOUR, slice_of, slice_start, slices_between
from lake.sql_text import quoted
from lake.storage.duckdb_connection import connect
from lake.tables.gold import GOLD_TABLES
from lake.tables.gold_kinds import CARRYING
from pipeline.gate.profiles import columns_of, covering_runs, hour_number, window_scan
from pipeline.gold.silences import silences_amid
from runtime.settings import Settings

_KEY = "device_id, metric_name, unit"
_NUMBER = "(event_date - DATE '1970-01-01') * 24 + event_hour"


def hours_that_depend(
    settings: Settings, models: Mapping[str, Model], publication: Publication | None, versions: Mapping[str, int],
    changed: Collection[str], known: Collection[str],
) -> set[str]:  # fmt: skip
    """Of the `known` hours those, without the changed ones, of which published gold may begin with a changed one.

    `versions` are those of silver. Nothing is read while no telemetry is carried, and where no later hour is known.
    """
    columns = kind_columns(models.values())
    reach = carried_hours(each.kind for each in columns)
    others = sorted(set(known) - set(changed))
    causes = [hour for hour in sorted(changed) if _within(others, hour, reach)] if reach else []
    if publication is None or not causes:
        return set()
    every = sorted({*known, *changed})
    within = {hour for cause in causes for hour in _within(every, cause, reach)}
    runs = covering_runs({*causes, *within})
    published = {t: publication.tables[t.name] for t in CARRYING if t.name in publication.tables}
    own = [
        f"SELECT {_KEY}, {quoted(table.kind or '')} AS kind, {_NUMBER} AS number FROM ("
        + window_scan(settings, table.name, version, runs, [*_KEY.split(", "), "reading_count"])
        + ") WHERE reading_count > 0"
        for table, version in published.items()
    ]
    try:
        with connect(settings) as connection:
            touched = _in_silver(connection, settings, columns, versions, causes)
            reached = reached_hours(connection, touched, own, causes, reach)
    except duckdb.Error:  # a damaged file: then all that may depend is built, and what is damaged is told of there
        return within & set(others)
    return {hour for hour in others if hour_number(hour) in reached}


def is_carrying(models: Mapping[str, Model]) -> bool:
    """True when readings of any telemetry are carried into later hours."""
    return carried_hours(each.kind for each in kind_columns(models.values())) > 0


def carried_into_silence(
    models: Mapping[str, Model], present: Mapping[str, Collection[str]], with_records: Collection[str]
) -> frozenset[str]:
    """The hours without records, amid those with, into which a state may be carried: an hour in which silver has any of
    its table, as `present` says, lies before them within the limit. They are no more than that limit allows."""
    limits: dict[str, int] = {}
    for each in kind_columns(models.values()):
        if each.kind.name == "state" and each.kind.carry_limit_s and present.get(each.table):
            limits[each.table] = max(limits.get(each.table, 0), -(-each.kind.carry_limit_s // 3600))
    causes = {table: sorted(present[table]) for table in limits}
    found: set[str] = set()
    for first, end in silences_amid(with_records) if limits else ():
        for table, hours in causes.items():
            before = bisect_left(hours, first)
            if before:
                last = slice_start(hours[before - 1]) + limits[table] * HOUR
                found.update(slices_between(first, slice_of(min(last, slice_start(end) - HOUR))))
    return frozenset(found)


def unpublished_kinds(models: Mapping[str, Model], publication: Publication | None) -> list[tuple[str, str]]:
    """The tables of figures by kind that a publication does not pin, as one made by a program without them; each with a
    table of silver that has telemetry of the kind."""
    if publication is None:
        return []
    missing = [each for each in GOLD_TABLES if each.kind is not None and each.name not in publication.tables]
    sources = sorted({(each.kind.name, each.table) for each in kind_columns(models.values())})
    return [(table.name, name) for table in missing for kind, name in sources if kind == table.kind]


def reached_hours(
    connection: duckdb.DuckDBPyConnection, touched: Collection[str], own: Collection[str], causes: Collection[str],
    reach: int,
) -> set[int]:  # fmt: skip
    """Hours since 1970 that what changed in `causes` reaches.

    `touched` and `own` are SQL for the hours with readings, in silver and in published gold: device_id, metric_name,
    unit, kind and number, the hours since 1970. A device and metric that has readings in a cause, in one or the other,
    reaches to its next hour with readings, at most `reach` hours on.
    """
    if not touched and not own:
        return set()
    numbers = ", ".join(str(hour_number(cause)) for cause in causes)
    every = " UNION ".join([*touched, *own])
    later = " UNION ".join(own) if own else f"SELECT * FROM ({every}) WHERE false"
    rows = connection.sql(f"""
        WITH own AS MATERIALIZED ({later}),
        touched AS (SELECT * FROM ({every}) WHERE number IN ({numbers})),
        nexts AS (
            SELECT touched.kind, touched.number, min(own.number) AS next
            FROM touched LEFT JOIN own ON own.device_id = touched.device_id AND own.metric_name = touched.metric_name
                AND own.unit = touched.unit AND own.kind = touched.kind AND own.number > touched.number
                AND own.number <= touched.number + {reach}
            GROUP BY touched.device_id, touched.metric_name, touched.unit, touched.kind, touched.number
        )
        SELECT DISTINCT kind, number, next FROM nexts""").fetchall()
    reached: set[int] = set()
    for kind, number, following in rows:
        if kind == "state":
            reached.update(range(number + 1, (following or number + reach) + 1))
        elif following is not None:
            reached.add(following)
    return reached


def _within(hours: list[str], cause: str, reach: int) -> list[str]:
    """Of hours in order those after a cause, up to `reach` hours on."""
    last = slice_of(slice_start(cause) + reach * HOUR)
    return hours[bisect_right(hours, cause) : bisect_right(hours, last)]


def _in_silver(
    connection: duckdb.DuckDBPyConnection, settings: Settings, columns: Collection[KindColumn],
    versions: Mapping[str, int], causes: Collection[str],
) -> list[str]:  # fmt: skip
    """SQL for the hours of `causes` in which devices have readings now, a column each."""
    runs = covering_runs(causes)
    existing = {
        name: columns_of(connection, settings, name, versions[name])
        for name in {each.table for each in columns} if name in versions
    }  # fmt: skip
    return [
        f"SELECT DISTINCT device_id, {quoted(each.metric_name)} AS metric_name, {quoted(each.unit)} AS unit, "
        f"{quoted(each.kind.name)} AS kind, {_NUMBER} AS number FROM ("
        + window_scan(settings, each.table, versions[each.table], runs, ["device_id", each.column])
        + f') WHERE "{each.column}" IS NOT NULL'
        for each in columns if each.column in existing.get(each.table, set())
    ]  # fmt: skip
