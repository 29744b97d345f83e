"""Gold routes: what the API answers of a publication.

Belongs here: the questions. Each sees only rows of the caller's sites; what a caller sent goes into parameters of the
question, never into its text.
"""

import base64
import binascii
import json
from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Any

import duckdb
import pyarrow as pa

from lake.column_types import duckdb_type
from lake.reading.local_day_series import LOCAL_DAY, series_by_local_days
from lake.reading.series_macros import FILLED, VALUES
from lake.reading.series_rows import KIND_FIGURES, WantedSeries, series_by_kind
from lake.tables.contracts import Table
from lake.tables.gold import DEVICE_COMPLETENESS, DEVICE_HOURS, DEVICE_LATEST, DEVICES, SITE_DAYS, SITES
from lake.tables.gold_kinds import STATE_DAYS, STATE_HOURS
from runtime.errors import UsageError
from serving.access.doors import Caller
from serving.access.seen_rows import seen_rows
from serving.api.answers import Answer
from serving.api.declared import DeclaredRoute, Parameter
from serving.problems import Problem
from serving.snapshots import Snapshot

AS_OF = Parameter("as_of", "The publication to ask, by number; the newest when left out.", "integer", least=1)
LIMIT = Parameter("limit", "Rows of a page.", "integer", default=1000, least=1, most=10_000)
CURSOR = Parameter("cursor", "Where the page before ended: its `next`.")
DEVICE = Parameter("device_id", "A device.")
SITE = Parameter("site_id", "A site.")
METRIC = Parameter("metric_name", "A metric, as in gold.")
UNIT = Parameter("unit", "Its unit, where a metric has several.")
START = Parameter("start", "Start of the span, inclusive.", "moment", required=True)
END = Parameter("end", "End of the span, exclusive.", "moment", required=True)
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


def devices(snapshot: Snapshot, caller: Caller, values: Mapping[str, Any]) -> Answer:
    """Devices of the registry, with their newest reading."""
    return _page(snapshot, caller, DEVICES, values, ("site_id",))


def device(snapshot: Snapshot, caller: Caller, values: Mapping[str, Any]) -> Answer:
    """One device."""
    rows = asked(snapshot, caller, DEVICES, "device_id = ?", [values["device_id"]], "")
    if rows.num_rows == 0:
        raise Problem(404, "No such device", "There is no such device, or your key does not see it.")
    return Answer(rows, {})


def sites(snapshot: Snapshot, caller: Caller, values: Mapping[str, Any]) -> Answer:
    """Sites and how many devices stand there."""
    where, parameters = seen_rows(DEVICES, caller)
    sql = f"""SELECT site_id, count(*) AS device_count, max(last_event_at) AS last_event_at FROM {DEVICES.name}
        WHERE site_id IS NOT NULL AND {where} GROUP BY site_id ORDER BY site_id"""
    return Answer(snapshot.ask(sql, parameters), {})


def latest(snapshot: Snapshot, caller: Caller, values: Mapping[str, Any]) -> Answer:
    """The newest published value of each device and metric."""
    return _page(snapshot, caller, DEVICE_LATEST, values, ("device_id", "site_id", "metric_name", "unit"))


def site_days(snapshot: Snapshot, caller: Caller, values: Mapping[str, Any]) -> Answer:
    """Figures of sites by UTC day."""
    return _page(snapshot, caller, SITE_DAYS, values, ("site_id", "metric_name", "unit"), "day_date")


def completeness(snapshot: Snapshot, caller: Caller, values: Mapping[str, Any]) -> Answer:
    """What was expected of devices by hour, and what came."""
    return _page(snapshot, caller, DEVICE_COMPLETENESS, values, ("device_id", "site_id"), "hour_at")


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
    _check_published(snapshot, f"gold.device_{name}")
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
        _check_published(snapshot, name)
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


def _check_published(snapshot: Snapshot, name: str) -> None:
    if name not in snapshot.publication.tables:
        raise Problem(404, "Not published", f"This publication does not have {name}.")


def held(snapshot: Snapshot, caller: Caller, values: Mapping[str, Any]) -> Answer:
    """Slices that are held back, and why; for keys that see every site."""
    if caller.sites is not None:
        raise Problem(403, "Not allowed", "Held slices concern every site, and this key sees some only.")
    rows = [
        {"slice": str(each["slice"]), "table": str(each["table"]), "failures": json.dumps(each.get("failures", []))}
        for each in snapshot.publication.held
    ]
    schema = pa.schema([("slice", pa.string()), ("table", pa.string()), ("failures", pa.string())])
    return Answer(pa.Table.from_pylist(rows, schema), {})


ROUTES = (
    DeclaredRoute("/v1/devices", "devices", devices.__doc__ or "", (SITE, LIMIT, CURSOR, AS_OF), devices),
    DeclaredRoute(
        "/v1/devices/{device_id}", "device", device.__doc__ or "",
        (Parameter("device_id", "A device.", required=True, is_in_path=True), AS_OF), device,
    ),
    DeclaredRoute("/v1/sites", "sites", sites.__doc__ or "", (AS_OF,), sites),
    DeclaredRoute(
        "/v1/latest", "latest", latest.__doc__ or "", (DEVICE, SITE, METRIC, UNIT, LIMIT, CURSOR, AS_OF), latest
    ),
    DeclaredRoute(
        "/v1/site-days", "site_days", site_days.__doc__ or "",
        (SITE, METRIC, UNIT, START, END, LIMIT, CURSOR, AS_OF), site_days,
    ),
    DeclaredRoute(
        "/v1/completeness", "completeness", completeness.__doc__ or "",
        (DEVICE, SITE, START, END, LIMIT, CURSOR, AS_OF), completeness,
    ),
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
    DeclaredRoute("/v1/held", "held", held.__doc__ or "", (AS_OF,), held),
)  # fmt: skip
"""The routes over a publication."""


def _page(
    snapshot: Snapshot, caller: Caller, table: Table, values: Mapping[str, Any], equal: Sequence[str], time: str = ""
) -> Answer:
    """A page of a table's rows in the order of its key, with the filters that were given."""
    conditions, parameters = [], []
    for name in equal:
        if values.get(name) is not None:
            conditions.append(f"{name} = ?")
            parameters.append(values[name])
    if time:
        begin, end = values["start"], values["end"]
        type_ = "DATE" if time == "day_date" else "TIMESTAMPTZ"
        conditions += ["event_date BETWEEN ? AND ?", f"{time} >= ?::{type_}", f"{time} < ?::{type_}"]
        parameters += [begin.date(), end.date(), begin, end]
    if values.get("cursor") is not None:
        marks = ", ".join(f"?::{duckdb_type(_type(table, name))}" for name in table.key)
        conditions.append(f"({', '.join(table.key)}) > ({marks})")
        parameters += _after(values["cursor"], table)
    limit = values["limit"]
    order = f"ORDER BY {', '.join(table.key)} LIMIT {limit + 1}"
    rows = asked(snapshot, caller, table, " AND ".join(conditions) or "true", parameters, order)
    if rows.num_rows <= limit:
        return Answer(rows, {})
    rows = rows.slice(0, limit)
    return Answer(rows, {}, _cursor(rows, table))


def asked(
    snapshot: Snapshot, caller: Caller, table: Table, where: str, parameters: Sequence[Any], order: str
) -> pa.Table:
    """Rows of a table that the caller may see; `where` and `order` are ours, what he sent stands in `parameters`."""
    _check_published(snapshot, table.name)
    seen, sites_ = seen_rows(table, caller)
    return snapshot.ask(f"FROM {table.name} WHERE ({where}) AND {seen} {order}", [*parameters, *sites_])


def units_seen(
    snapshot: Snapshot, caller: Caller, series: tuple[str, str], span: tuple[datetime, datetime]
) -> list[str]:
    """Units of a device's metric that the caller sees, none when he does not: it stands at one of his sites, or stood
    there in an hour of the span in which it measured that."""
    ours, sites_ = seen_rows(DEVICE_LATEST, caller)
    asked_for = f"device_id = ? AND metric_name = ? AND {ours}"
    found = snapshot.ask(f"SELECT unit FROM {DEVICE_LATEST.name} WHERE {asked_for}", [*series, *sites_])
    if not found.num_rows and caller.sites is not None and DEVICE_HOURS.name in snapshot.publication.tables:
        start, end = span
        sql = f"""SELECT DISTINCT unit FROM {DEVICE_HOURS.name} WHERE {asked_for} AND event_date BETWEEN ? AND ?
            AND hour_at < ?::TIMESTAMPTZ AND hour_at > ?::TIMESTAMPTZ - INTERVAL 1 HOUR"""
        found = snapshot.ask(sql, [*series, *sites_, start.date(), end.date(), end, start])
    units: list[str] = found.column("unit").to_pylist()
    return units


def _check_no_state(snapshot: Snapshot, caller: Caller, device_id: str, metric: str) -> None:
    read = {STATE_DAYS.name} | (set() if caller.sites is None else {DEVICE_HOURS.name})
    if not read <= set(snapshot.publication.tables):
        return
    where = "device_id = ? AND metric_name = ?"
    if asked(snapshot, caller, STATE_DAYS, where, [device_id, metric], "LIMIT 1").num_rows:
        tables = f"{STATE_HOURS.name} and {STATE_DAYS.name}"
        detail = f"{metric} of {device_id} is a state, which has no series: {tables} say how long it was in each."
        raise Problem(404, "No such series", detail)


def _type(table: Table, name: str) -> Any:
    return next(column.type for column in table.columns if column.name == name)


def _cursor(rows: pa.Table, table: Table) -> str:
    last = rows.slice(rows.num_rows - 1).to_pylist()[0]
    key = [value.isoformat() if hasattr(value, "isoformat") else value for value in (last[name] for name in table.key)]
    return base64.urlsafe_b64encode(json.dumps(key).encode()).decode()


def _after(cursor: str, table: Table) -> list[Any]:
    try:
        key = json.loads(base64.urlsafe_b64decode(cursor))
        if isinstance(key, list) and len(key) == len(table.key) and all(isinstance(each, str) for each in key):
            return [_mark(name, text) for name, text in zip(table.key, key, strict=True)]
    except (binascii.Error, ValueError, OverflowError):
        pass
    raise Problem(400, "Bad cursor", "cursor is not one that an answer of this route gave as `next`.")


def _mark(name: str, text: str) -> str:
    """A part of a cursor as DuckDB reads it, whatever Python does. Raises ValueError, OverflowError."""
    text.encode()  # half a character is none that a row has
    if name.endswith("_date"):
        return date.fromisoformat(text).isoformat()
    if not name.endswith("_at"):
        return text
    moment = datetime.fromisoformat(text)
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).astimezone(UTC).isoformat()


def _seconds(interval: str) -> timedelta:
    number, unit = interval.split()
    return int(number) * {"m": timedelta(minutes=1), "h": timedelta(hours=1), "d": timedelta(days=1)}[unit[0]]
