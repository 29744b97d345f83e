"""Page rows: what the pages ask of a publication.

Belongs here: questions whose answers are rows of a page, each bounded by the sites that the caller sees. How they are
shown is the templates'.
"""

from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Any

from lake.records.publications import Publication
from lake.slices import HOUR, slice_start
from lake.tables.contracts import Table
from lake.tables.gold import DEVICE_COMPLETENESS, DEVICE_LATEST, DEVICES
from serving.access.doors import Caller
from serving.access.seen_rows import seen_rows
from serving.problems import Problem
from serving.snapshots import Snapshot

Row = dict[str, Any]
DAY = timedelta(days=1)
DAYS_SHOWN = 14


def end_of(publication: Publication) -> datetime:
    """The end of the last hour that the publication covers; when it was made, where it covers none."""
    last = publication.last_slice
    return slice_start(last) + HOUR if last else publication.published_at.astimezone(UTC)


def _quiet_at(snapshot: Snapshot) -> datetime:
    """Who was not heard of since is silent: an hour before all that the publication can know."""
    publication = snapshot.publication
    return min(end_of(publication), publication.published_at.astimezone(UTC)) - HOUR


def devices(
    snapshot: Snapshot, caller: Caller, *, site: str | None, begins: str | None, after: str | None, most: int
) -> list[Row]:
    """Devices by name, one more than `most` when there are further ones; `is_silent` for those not heard of lately."""
    quiet_at = _quiet_at(snapshot)
    seen, sites = seen_rows(DEVICES, caller)
    sql = f"""SELECT device_id, site_id, model_id, status, last_event_at, reporting_interval_s, in_service_at,
            status = 'in_service' AND coalesce(last_event_at < ?::TIMESTAMPTZ, true) AS is_silent
        FROM {DEVICES.name} WHERE {seen} AND (?::VARCHAR IS NULL OR site_id = ?)
            AND (?::VARCHAR IS NULL OR starts_with(lower(device_id), lower(?)))
            AND (?::VARCHAR IS NULL OR device_id > ?)
        ORDER BY device_id LIMIT {int(most) + 1}"""
    return _ask(snapshot, DEVICES, sql, [quiet_at, *sites, site, site, begins, begins, after, after])


def device(snapshot: Snapshot, caller: Caller, device_id: str) -> Row:
    """One device. Raises Problem when there is none that the caller sees."""
    quiet_at = _quiet_at(snapshot)
    seen, sites = seen_rows(DEVICES, caller)
    sql = f"""SELECT *, status = 'in_service' AND coalesce(last_event_at < ?::TIMESTAMPTZ, true) AS is_silent
        FROM {DEVICES.name} WHERE {seen} AND device_id = ?"""
    found = _ask(snapshot, DEVICES, sql, [quiet_at, *sites, device_id])
    if not found:
        raise Problem(404, "No such device", "There is no such device, or your key does not see it.")
    return found[0]


def latest(snapshot: Snapshot, caller: Caller, ids: Sequence[str]) -> dict[str, list[Row]]:
    """The newest published values by device."""
    seen, sites = seen_rows(DEVICE_LATEST, caller)
    sql = f"""SELECT device_id, metric_name, unit, value_last, event_at FROM {DEVICE_LATEST.name}
        WHERE {seen} AND list_contains(?::VARCHAR[], device_id) ORDER BY device_id, metric_name, unit"""
    found: dict[str, list[Row]] = {}
    for row in _ask(snapshot, DEVICE_LATEST, sql, [*sites, list(ids)]):
        found.setdefault(row["device_id"], []).append(row)
    return found


def fleet(snapshot: Snapshot, caller: Caller) -> Row:
    """Counts over all devices that the caller sees, and their completeness in the last day."""
    quiet_at = _quiet_at(snapshot)
    seen, sites = seen_rows(DEVICES, caller)
    sql = f"""SELECT count(*) AS device_count, count(*) FILTER (status = 'in_service') AS in_service,
            count(*) FILTER (status = 'in_service' AND coalesce(last_event_at < ?::TIMESTAMPTZ, true)) AS silent,
            list_sort(list(DISTINCT site_id) FILTER (site_id IS NOT NULL)) AS sites
        FROM {DEVICES.name} WHERE {seen}"""
    found = _ask(snapshot, DEVICES, sql, [quiet_at, *sites])
    counts = found[0] if found else {"device_count": 0, "in_service": 0, "silent": 0}
    return counts | {"sites": counts.get("sites") or [], "ratio": _share(last_day(snapshot, caller, None).values())}


def last_day(snapshot: Snapshot, caller: Caller, ids: Sequence[str] | None) -> dict[str, tuple[int, int]]:
    """Expected and missing readings of devices in the last day that the publication covers; None for every device."""
    end = end_of(snapshot.publication)
    seen, sites = seen_rows(DEVICE_COMPLETENESS, caller)
    sql = f"""SELECT device_id, sum(expected_count)::BIGINT AS expected, sum(missing_count)::BIGINT AS missing
        FROM {DEVICE_COMPLETENESS.name} WHERE {seen} AND event_date >= ? AND hour_at >= ?::TIMESTAMPTZ
            AND hour_at < ?::TIMESTAMPTZ AND (?::VARCHAR[] IS NULL OR list_contains(?::VARCHAR[], device_id))
        GROUP BY device_id"""
    wanted = None if ids is None else list(ids)
    rows = _ask(snapshot, DEVICE_COMPLETENESS, sql, [*sites, (end - DAY).date(), end - DAY, end, wanted, wanted])
    return {row["device_id"]: (row["expected"], row["missing"]) for row in rows}


def completeness(
    snapshot: Snapshot, caller: Caller, ids: Sequence[str], first: date, last: date, *, by_hour: bool
) -> dict[tuple[str, Any], tuple[int, int]]:
    """Expected and missing readings by device and day, or device and hour of a day."""
    seen, sites = seen_rows(DEVICE_COMPLETENESS, caller)
    period = "event_hour" if by_hour else "event_date"
    sql = f"""SELECT device_id, {period} AS period, sum(expected_count)::BIGINT AS expected,
            sum(missing_count)::BIGINT AS missing
        FROM {DEVICE_COMPLETENESS.name} WHERE {seen} AND event_date BETWEEN ? AND ?
            AND list_contains(?::VARCHAR[], device_id) GROUP BY ALL"""
    rows = _ask(snapshot, DEVICE_COMPLETENESS, sql, [*sites, first, last, list(ids)])
    return {(row["device_id"], row["period"]): (row["expected"], row["missing"]) for row in rows}


def ratio(counts: tuple[int, int] | None) -> float | None:
    """The share of what was due that came; None where nothing was due."""
    return None if counts is None or not counts[0] else 1 - min(counts[1], counts[0]) / counts[0]


def _share(counts: Any) -> float | None:
    expected = missing = 0
    for due, gone in counts:
        expected, missing = expected + due, missing + gone
    return ratio((expected, missing))


def _ask(snapshot: Snapshot, table: Table, sql: str, parameters: Sequence[Any]) -> list[Row]:
    """Rows of a table; none where the publication does not have it."""
    if table.name not in snapshot.publication.tables:
        return []
    return list(snapshot.ask(sql, parameters).to_pylist())
