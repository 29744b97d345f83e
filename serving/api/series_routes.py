"""Series: a device's metric over time, at even intervals or by the local days of its site.

Belongs here: which figure is asked of which rows, and what is refused. Other published figures are in `gold_routes`.
"""

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any

import duckdb
import pyarrow as pa

from lake.reading.local_day_series import LOCAL_DAY, series_by_local_days
from lake.reading.series_macros import FILLED, VALUES
from lake.reading.series_rows import KIND_FIGURES, WantedSeries, series_by_kind
from lake.tables.gold import DEVICE_HOURS, SITES
from lake.tables.gold_kinds import STATE_DAYS, STATE_HOURS
from runtime.errors import UsageError
from serving.access.doors import Caller
from serving.api.answers import Answer
from serving.api.declared import DeclaredRoute, Parameter
from serving.api.gold_routes import AS_OF, END, START, UNIT, asked, check_published, units_seen
from serving.problems import Problem
from serving.snapshots import Snapshot

_EVERY = {
    "1m": ("minutes", "1 minute"),
    "5m": ("minutes", "5 minutes"),
    "15m": ("minutes", "15 minutes"),
    "1h": ("hours", "1 hour"),
    "6h": ("hours", "6 hours"),
    "1d": ("days", "1 day"),
    "7d": ("days", "7 days"),
}
_EVERY_SAYS = f"Length of the intervals; {LOCAL_DAY}: the days of the time zone of the device's site."
_FIGURE_SAYS = (
    "The figure: `increase` is one of counters, `time_weighted_mean` of gauges, `first` of both, by hour or longer."
)
_MOST_POINTS = 100_000


def series(snapshot: Snapshot, caller: Caller, values: Mapping[str, Any]) -> Answer:
    """A device's metric at even intervals; gaps are gaps unless `fill` says otherwise."""
    start, end = values["start"], values["end"]
    if end <= start:
        raise Problem(400, "Bad parameter", "end is not after start.")
    if values["every"] != LOCAL_DAY and (end - start) / _seconds(_EVERY[values["every"]][1]) > _MOST_POINTS:
        raise Problem(400, "Too many points", f"That are more than {_MOST_POINTS} points: ask for a longer `every`.")
    if not units_seen(snapshot, caller, (values["device_id"], values["metric_name"]), (start, end)):
        _check_no_state(snapshot, caller, values["device_id"], values["metric_name"])
        raise Problem(404, "No such series", "This device never measured that, or your key does not see it.")
    points = _of_rows if values["every"] == LOCAL_DAY or values["aggregate"] in KIND_FIGURES else _even_points
    try:
        found = points(snapshot, caller, values)
    except duckdb.InvalidInputException as error:
        raise Problem(400, "Several units", str(error).removeprefix("Invalid Input Error: ")) from error
    return Answer(found, {"every": values["every"], "fill": values["fill"]})


def _even_points(snapshot: Snapshot, caller: Caller, values: Mapping[str, Any]) -> pa.Table:
    name, interval = _EVERY[values["every"]]
    check_published(snapshot, f"gold.device_{name}")
    value, filled = f"value_{values['aggregate']}", FILLED[values["fill"]]
    macro, sites_ = (f"{name}_series", []) if caller.sites is None else (f"seen_{name}_series", [list(caller.sites)])
    sql = f"""WITH points AS (
            SELECT *, {value} AS value FROM {macro}({"?::VARCHAR[], " if sites_ else ""}?, ?, ?::TIMESTAMPTZ,
                ?::TIMESTAMPTZ, INTERVAL '{interval}', unit := ?))
        SELECT period_at, {filled} AS value, max(unit) OVER () AS unit, reading_count,
            value IS NULL AND {filled} IS NOT NULL AS is_filled
        FROM points ORDER BY period_at"""
    given = [*sites_, values["device_id"], values["metric_name"], values["start"], values["end"], values["unit"]]
    return snapshot.ask(sql, given)


def _of_rows(snapshot: Snapshot, caller: Caller, values: Mapping[str, Any]) -> pa.Table:
    sites_: list[Any] = [] if caller.sites is None else [list(caller.sites)]

    def source(name: str) -> str:
        check_published(snapshot, name)
        # of sites only the zone of one where the device was seen is read
        return name if name == SITES.name or not sites_ else f"(FROM {name} WHERE list_contains(?::VARCHAR[], site_id))"

    wanted = WantedSeries(
        values["device_id"], values["metric_name"], values["start"], values["end"],
        values["aggregate"], values["fill"], values["unit"],
    )  # fmt: skip

    def ask(sql: str, given: Sequence[Any]) -> pa.Table:
        return snapshot.ask(sql, [*sites_, *given])

    tables = snapshot.publication.tables
    try:
        if values["every"] == LOCAL_DAY:
            return series_by_local_days(ask, source, tables, wanted)
        return series_by_kind(ask, source, tables, wanted, _seconds(_EVERY[values["every"]][1]))
    except UsageError as error:
        raise Problem(400, "Bad parameter", str(error)) from error


def _check_no_state(snapshot: Snapshot, caller: Caller, device_id: str, metric: str) -> None:
    read = {STATE_DAYS.name} | (set() if caller.sites is None else {DEVICE_HOURS.name})
    if not read <= set(snapshot.publication.tables):
        return
    where = "device_id = ? AND metric_name = ?"
    if asked(snapshot, caller, STATE_DAYS, where, [device_id, metric], "LIMIT 1").num_rows:
        tables = f"{STATE_HOURS.name} and {STATE_DAYS.name}"
        detail = f"{metric} of {device_id} is a state, which has no series: {tables} say how long it was in each."
        raise Problem(404, "No such series", detail)


def _seconds(interval: str) -> timedelta:
    number, unit = interval.split()
    return int(number) * {"m": timedelta(minutes=1), "h": timedelta(hours=1), "d": timedelta(days=1)}[unit[0]]


SERIES_ROUTES = (
    DeclaredRoute(
        "/v1/series", "series", series.__doc__ or "",
        (
            Parameter("device_id", "A device.", required=True),
            Parameter("metric_name", "A metric, as in gold.", required=True),
            UNIT, START, END,
            Parameter("every", _EVERY_SAYS, default="1h", choices=(*_EVERY, LOCAL_DAY)),
            Parameter("fill", "What stands where nothing was measured.", default="gap", choices=tuple(FILLED)),
            Parameter("aggregate", _FIGURE_SAYS, default="mean", choices=(*VALUES, *KIND_FIGURES)),
            AS_OF,
        ),
        series,
    ),
)  # fmt: skip
"""The route of series."""
