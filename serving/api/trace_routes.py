"""Trace routes: where a published figure comes from.

Belongs here: finding the row for the caller and spelling what `pipeline.proof` looks up. Readings are shown only of
figures that are published, by who may see those.
"""

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from functools import partial
from typing import Any

import pyarrow as pa

from lake.models.catalog import known_models
from lake.tables.contracts import Table
from lake.tables.gold import DAILY, DEVICE_HOURS, GOLD_TABLES
from pipeline.proof.lineage import RowTrace, trace_row
from pipeline.proof.lineage_readings import published_readings
from pipeline.proof.lineage_sql import start_of
from runtime.errors import LakehouseError
from runtime.settings import Settings
from serving.access.doors import Caller
from serving.api.answers import Answer
from serving.api.declared import DeclaredRoute, Parameter
from serving.api.gold_routes import AS_OF, END, METRIC, START, UNIT, asked, units_seen
from serving.problems import Problem
from serving.snapshots import Snapshot

# figures of a device: a site's day counts the readings of all its devices, and is followed by those; values are
# numbers, which those of states are not
TRACED = {table.short_name: table for table in GOLD_TABLES if "device_id" in table.key and table.kind != "state"}
_LONGEST = timedelta(hours=1)
_AT = pa.timestamp("us", "UTC")
_READINGS = pa.schema(
    {
        "event_at": _AT,
        "value": pa.float64(),
        "measured_at": _AT,
        "received_at": _AT,
        **dict.fromkeys(("clock_status", "source", "message_id", "topic"), pa.string()),
        "partition": pa.int64(),
        "offset": pa.int64(),
        "silver_table": pa.string(),
    }
)


def trace(settings: Settings, snapshot: Snapshot, caller: Caller, values: Mapping[str, Any]) -> Answer:
    """Where a published figure comes from: its row, the readings that it counts, each with its record in Kafka."""
    table = TRACED[values["table"]]
    row = _row(snapshot, caller, table, values)
    key = {name: row[name].isoformat() if isinstance(row[name], date) else str(row[name]) for name in table.key}
    number = snapshot.publication.publication_id
    try:
        found = trace_row(settings, known_models(settings), table.name, key, as_of=number)
    except LakehouseError as error:
        detail = f"Silver of publication {number} is no longer there: ask a newer one."
        raise Problem(410, "Publication gone", detail) from error
    found = _as_seen(snapshot, caller, table, found)
    more = {
        "table": table.name,
        "row": found.row,
        "reading_count": len(found.readings),
        "refused": found.refused[: values["limit"]],
        "registry": found.registry,
        "verdicts": found.verdicts,
    }
    rows = [{name: each[name] for name in _READINGS.names} for each in found.readings[: values["limit"]]]
    return Answer(pa.Table.from_pylist(rows, _READINGS), {name: _spelt(value) for name, value in more.items()})


def readings(settings: Settings, snapshot: Snapshot, caller: Caller, values: Mapping[str, Any]) -> Answer:
    """Single readings of at most an hour, of minutes whose published figures they add up to."""
    start, end = values["start"], values["end"]
    if not timedelta(0) < end - start <= _LONGEST:
        raise Problem(400, "Bad parameter", "Give a start and an end after it, at most an hour later.")
    series = {name: values[name] for name in ("device_id", "metric_name")}
    units = units_seen(snapshot, caller, (series["device_id"], series["metric_name"]), (start, end))
    if values["unit"] not in {None, *units} or not units:
        raise Problem(404, "No such series", "This device never measured that, or your key does not see it.")
    if len(units) > 1 and values["unit"] is None:
        raise Problem(400, "Several units", "This metric has several units here: name one by `unit`.")
    series["unit"] = unit = values["unit"] or units[0]
    sites = None if caller.sites is None else list(caller.sites)
    try:
        found = published_readings(
            settings, known_models(settings), snapshot.publication.publication_id, series, (start, end), sites
        )
    except LakehouseError as error:
        raise Problem(410, "Publication gone", "Its silver is no longer there: ask a newer publication.") from error
    rows = [{name: each[name] for name in _READINGS.names} for each in found]
    return Answer(pa.Table.from_pylist(rows, _READINGS), {"unit": unit})


def trace_routes(settings: Settings) -> tuple[DeclaredRoute, ...]:
    """The routes, over the lake of these settings."""
    device = Parameter("device_id", "A device.", required=True)
    return (
        DeclaredRoute(
            "/v1/trace", "trace", trace.__doc__ or "",
            (
                Parameter("table", "The gold table of the figure.", required=True, choices=tuple(TRACED)),
                device, METRIC, UNIT,
                Parameter("at", "Start of its minute, hour or day, where the table has those.", "moment"),
                Parameter("limit", "Readings to show.", "integer", default=1000, least=1, most=10_000),
                AS_OF,
            ),
            partial(trace, settings),
        ),
        DeclaredRoute(
            "/v1/readings", "readings", readings.__doc__ or "",
            (device, Parameter("metric_name", METRIC.says, required=True), UNIT, START, END, AS_OF),
            partial(readings, settings),
        ),
    )  # fmt: skip


def _row(snapshot: Snapshot, caller: Caller, table: Table, values: Mapping[str, Any]) -> dict[str, Any]:
    """The one row that is named, as far as the caller sees it. Raises Problem."""
    conditions, parameters = [], []
    for name in table.key:
        value = values.get(name)
        if name.endswith(("_at", "_date")):
            value = values["at"]
            if value is None:
                raise Problem(400, "Missing parameter", f"Give at: the {name} of the row.")
            value = value.date() if table in DAILY else value
        elif value is None and name != "unit":
            raise Problem(400, "Missing parameter", f"Give {name}: a row of {table.name} is named by it.")
        if value is not None:
            conditions.append(f"{name} = ?")
            parameters.append(value)
    found = asked(snapshot, caller, table, " AND ".join(conditions), parameters, "LIMIT 2").to_pylist()
    if not found:
        raise Problem(404, "No such row", "There is no such figure in this publication, or your key does not see it.")
    if len(found) > 1:
        raise Problem(400, "Several units", "This metric has several units here: name one by `unit`.")
    return dict(found[0])


def _as_seen(snapshot: Snapshot, caller: Caller, table: Table, found: RowTrace) -> RowTrace:
    """Without what is of other sites: where the device stood before, what it measured there that a counter or gauge
    begins with, and who let a slice of all sites pass, and why."""
    if caller.sites is None:
        return found
    start = None if table.period is None else start_of(found.row[table.period.column])
    return replace(
        found,
        readings=tuple(
            each for each in found.readings
            if start is None or each["event_at"] >= start or _stood_there(snapshot, caller, each)
        ),
        registry=tuple(each for each in found.registry if each["site_id"] in caller.sites),
        verdicts=tuple(
            {**each, "released_by": each["released_by"] and "an operator", "release_reason": None}
            for each in found.verdicts
        ),
    )  # fmt: skip


def _stood_there(snapshot: Snapshot, caller: Caller, reading: Mapping[str, Any]) -> bool:
    """True for a reading of an hour that is published and that the caller sees."""
    if DEVICE_HOURS.name not in snapshot.publication.tables:
        return False
    at = reading["event_at"].astimezone(UTC)
    given = [reading["device_id"], at.date(), at.replace(minute=0, second=0, microsecond=0)]
    where = "device_id = ? AND event_date = ? AND hour_at = ?::TIMESTAMPTZ"
    return bool(asked(snapshot, caller, DEVICE_HOURS, where, given, "LIMIT 1").num_rows)


def _spelt(value: Any) -> Any:
    """A value as JSON has it."""
    if isinstance(value, Mapping):
        return {str(name): _spelt(each) for name, each in value.items()}
    if isinstance(value, list | tuple):
        return [_spelt(each) for each in value]
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat().replace("+00:00", "Z")
    if isinstance(value, float) and (value != value or value in (float("inf"), float("-inf"))):
        return None
    return value if isinstance(value, str | int | float | bool | None) else str(value)
