"""Gold routes: what the API answers of a publication.

Belongs here: the questions. Each sees only rows of the caller's sites; what a caller sent goes into parameters of the
question, never into its text.
"""

import base64
import binascii
import json
from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime
from typing import Any

import pyarrow as pa

from lake.column_types import duckdb_type
from lake.tables.contracts import Table
from lake.tables.gold import DEVICE_COMPLETENESS, DEVICE_HOURS, DEVICE_LATEST, DEVICES, SITE_DAYS
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


def check_published(snapshot: Snapshot, name: str) -> None:
    """Raises Problem where the publication does not have a table."""
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
    check_published(snapshot, table.name)
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
