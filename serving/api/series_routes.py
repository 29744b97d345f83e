"""Series: a device's metric over time, at even intervals or by the local days of its site.

Belongs here: which figure is asked of which rows, and what is refused. Other published figures are in `gold_routes`.
"""

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

import duckdb
import pyarrow as pa

from lake.reading.day_files import DayFiles
from lake.reading.even_series import even_series
from lake.reading.local_day_series import LOCAL_DAY, series_by_local_days
from lake.reading.series_fills import FILLS
from lake.reading.series_macros import VALUES
from lake.reading.series_rows import KIND_FIGURES, Source, WantedSeries
from lake.sql_text import Expression, quoted
from lake.tables.gold import DEVICE_HOURS, GOLD_TABLES, SITES
from lake.tables.gold_kinds import STATE_DAYS, STATE_HOURS
from runtime.errors import QueryError, UsageError
from serving.access.doors import Caller
from serving.access.seen_rows import seen_by
from serving.api.answers import Answer
from serving.api.declared import DeclaredRoute, Parameter
from serving.api.gold_routes import AS_OF, END, START, UNIT, asked, check_published, units_seen
from serving.problems import Problem
from serving.snapshots import Snapshot

_EVERY = {
    "1m": timedelta(minutes=1),
    "5m": timedelta(minutes=5),
    "15m": timedelta(minutes=15),
    "1h": timedelta(hours=1),
    "6h": timedelta(hours=6),
    "1d": timedelta(days=1),
    "7d": timedelta(days=7),
}
_EVERY_SAYS = f"Length of the intervals; {LOCAL_DAY}: the days of the time zone of the device's site."
_FIGURE_SAYS = (
    "The figure: `increase` is one of counters, `time_weighted_mean` of gauges, `first` of both, by hour or longer."
)
_MOST_POINTS = 100_000
_TABLES = {table.name: table for table in GOLD_TABLES}


def series(snapshot: Snapshot, caller: Caller, values: Mapping[str, Any]) -> Answer:
    """A device's metric at even intervals; gaps are gaps unless `fill` says otherwise."""
    start, end = values["start"], values["end"]
    if end <= start:
        raise Problem(400, "Bad parameter", "end is not after start.")
    if values["every"] != LOCAL_DAY and (end - start) / _EVERY[values["every"]] > _MOST_POINTS:
        raise Problem(400, "Too many points", f"That are more than {_MOST_POINTS} points: ask for a longer `every`.")
    if not units_seen(snapshot, caller, (values["device_id"], values["metric_name"]), (start, end)):
        _check_no_state(snapshot, caller, values["device_id"], values["metric_name"])
        raise Problem(404, "No such series", "This device never measured that, or your key does not see it.")
    return Answer(_points(snapshot, caller, values), {"every": values["every"], "fill": values["fill"]})


def _points(snapshot: Snapshot, caller: Caller, values: Mapping[str, Any]) -> pa.Table:
    wanted = WantedSeries(
        values["device_id"], values["metric_name"], values["start"], values["end"],
        values["aggregate"], values["fill"], values["unit"],
    )  # fmt: skip
    tables, tables_alone, every = snapshot.publication.tables, _source(snapshot, caller, None), values["every"]
    try:
        if every == LOCAL_DAY:
            return series_by_local_days(snapshot.ask, tables_alone, tables, wanted)
        try:
            by_files = _source(snapshot, caller, snapshot.day_files)
            return even_series(snapshot.ask, by_files, tables, wanted, _EVERY[every])
        except duckdb.BinderException:  # those files are older than a column, which the table has nevertheless
            return even_series(snapshot.ask, tables_alone, tables, wanted, _EVERY[every])
    except QueryError as error:
        raise Problem(400, "Several units", str(error)) from error
    except UsageError as error:
        raise Problem(400, "Bad parameter", str(error)) from error


def _source(snapshot: Snapshot, caller: Caller, files: DayFiles | None) -> Source:
    def source(name: str, days: range | None = None, /) -> str:
        check_published(snapshot, name)
        found = name if files is None or days is None else files.relation(name, days) or name
        # of sites only the zone of one where the device was seen is read
        if name == SITES.name or caller.sites is None:
            return found
        sites, short_name = Expression(f"[{', '.join(map(quoted, caller.sites))}]::VARCHAR[]"), _TABLES[name].short_name
        return f"(FROM {found} AS {short_name} WHERE {seen_by(_TABLES[name], sites)})"

    return source


def _check_no_state(snapshot: Snapshot, caller: Caller, device_id: str, metric: str) -> None:
    read = {STATE_DAYS.name} | (set() if caller.sites is None else {DEVICE_HOURS.name})
    if not read <= set(snapshot.publication.tables):
        return
    where = "device_id = ? AND metric_name = ?"
    if asked(snapshot, caller, STATE_DAYS, where, [device_id, metric], "LIMIT 1").num_rows:
        tables = f"{STATE_HOURS.name} and {STATE_DAYS.name}"
        detail = f"{metric} of {device_id} is a state, which has no series: {tables} say how long it was in each."
        raise Problem(404, "No such series", detail)


SERIES_ROUTES = (
    DeclaredRoute(
        "/v1/series", "series", series.__doc__ or "",
        (
            Parameter("device_id", "A device.", required=True),
            Parameter("metric_name", "A metric, as in gold.", required=True),
            UNIT, START, END,
            Parameter("every", _EVERY_SAYS, default="1h", choices=(*_EVERY, LOCAL_DAY)),
            Parameter("fill", "What stands where nothing was measured.", default="gap", choices=FILLS),
            Parameter("aggregate", _FIGURE_SAYS, default="mean", choices=(*VALUES, *KIND_FIGURES)),
            AS_OF,
        ),
        series,
    ),
)  # fmt: skip
"""The route of series."""
