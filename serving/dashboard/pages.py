"""Pages: what each page of the dashboard shows.

Belongs here: gathering a page's values for a caller. Questions to gold are in `page_rows`, markup in `templates/`.
"""

import json
from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime, timedelta
from typing import Any

from starlette.requests import Request

from lake.records.verdicts import latest_failures
from runtime.settings import Settings
from serving.access.doors import Caller
from serving.api.declared import values_of
from serving.api.hot_routes import may_see
from serving.api.trace_routes import trace_routes
from serving.dashboard import page_rows as rows
from serving.dashboard.hub_twins import HubTwins
from serving.hot.hot_values import HotValues
from serving.problems import Problem
from serving.push.news import News, Wish
from serving.snapshots import Snapshot
from transforms.windows import KEYS

Filled = tuple[str, Mapping[str, Any]]
Page = Callable[[Request, Snapshot, Caller], Filled]
"""A page: the template and what it is filled with."""
_CARDS, _LINES = 60, 40


class Pages:
    """The pages of a home."""

    def __init__(self, settings: Settings, hot: HotValues, news: News) -> None:
        self._settings, self._hot, self._news = settings, hot, news
        self._twins = HubTwins(settings)
        self._trace = next(route for route in trace_routes(settings) if route.name == "trace")

    def fleet(self, request: Request, snapshot: Snapshot, caller: Caller) -> Filled:
        """Devices as a grid, with what is known of all of them."""
        shown = self._devices(request, snapshot, caller, _CARDS)
        ids = [each["device_id"] for each in shown["devices"]]
        hot = {
            (body["device_id"], body["metric_name"], body["unit"]): body
            for body in self._hot.latest()
            if body["device_id"] in ids and may_see(caller, body)
        }
        counts = rows.last_day(snapshot, caller, ids)
        held = None if caller.sites is not None else len({str(each["slice"]) for each in snapshot.publication.held})
        return "fleet.html", shown | {
            "latest": rows.latest(snapshot, caller, ids),
            "hot": hot,
            "ratios": {each: rows.ratio(counts.get(each)) for each in ids},
            "held_count": held,
            "alert_count": sum(alert["change"] != "cleared" for alert in self._alerts(caller)),
        }

    def device(self, request: Request, snapshot: Snapshot, caller: Caller) -> Filled:
        """One device: a chart of a metric, its newest values, its twin."""
        device_id = request.path_params["device_id"]
        device = rows.device(snapshot, caller, device_id)
        hot = [body for body in self._hot.newest_of(device_id) if may_see(caller, body)]
        published = rows.latest(snapshot, caller, [device_id]).get(device_id, [])
        series = sorted({(each["metric_name"], each["unit"]) for each in [*published, *hot]})
        metric, unit = (request.query_params.get(name) for name in ("metric_name", "unit"))
        fitting = [each for each in series if metric in (None, each[0]) and unit in (None, each[1])]
        chosen = next(iter(fitting or series), None)
        counts = rows.last_day(snapshot, caller, [device_id])
        return "device.html", {
            "device": device,
            "series": series,
            "chosen": chosen,
            "published": {(each["metric_name"], each["unit"]): each for each in published},
            "hot": {(each["metric_name"], each["unit"]): each for each in hot},
            "ratio": rows.ratio(counts.get(device_id)),
            "counts": counts.get(device_id),
            "end": rows.end_of(snapshot.publication),
            "twin": self._twin(device_id),
        }

    def completeness(self, request: Request, snapshot: Snapshot, caller: Caller) -> Filled:
        """What came of what was due: devices by day, or by hour of a day."""
        day = _day(request.query_params.get("day"))
        shown = self._devices(request, snapshot, caller, _LINES)
        ids = [each["device_id"] for each in shown["devices"]]
        last = (rows.end_of(snapshot.publication) - timedelta(microseconds=1)).date()
        first = last - timedelta(days=rows.DAYS_SHOWN - 1)
        columns: list[Any] = list(range(24)) if day else [first + timedelta(days=n) for n in range(rows.DAYS_SHOWN)]
        counts = rows.completeness(snapshot, caller, ids, day or first, day or last, by_hour=day is not None)
        cells = {place: (rows.ratio(each), each) for place, each in counts.items()}
        if not day:
            # a phone shows the first columns: they are not to be of days before there was anything
            due = {period for (_, period), (share, _) in cells.items() if share is not None}
            columns = [each for each in columns if each >= min(due, default=first)]
        return "completeness.html", shown | {"day": day, "columns": columns, "cells": cells}

    def held(self, request: Request, snapshot: Snapshot, caller: Caller) -> Filled:
        """Slices that are held back and what was found; with a form for who may let one pass."""
        if caller.sites is not None:
            raise Problem(403, "Not allowed", "Held slices concern every site, and this key sees some only.")
        waiting = {verdict.slice for verdict in latest_failures(self._settings)}
        slices: dict[str, list[Mapping[str, Any]]] = {}
        for each in snapshot.publication.held:
            slices.setdefault(str(each["slice"]), []).append(each)
        scopes = caller.key.scopes
        return "held.html", {
            "slices": sorted(slices.items(), reverse=True),
            "waiting": waiting,
            "releases": snapshot.publication.releases,
            "may_release": scopes.allows("release") and scopes.sites("release", {}) is None,
        }

    def alerts(self, request: Request, snapshot: Snapshot, caller: Caller) -> Filled:
        """Alarms as they stand, the newest first."""
        return "alerts.html", {"alerts": self._alerts(caller)}

    def trace(self, request: Request, snapshot: Snapshot, caller: Caller) -> Filled:
        """Where a figure comes from, and nothing if none is named."""
        if not request.query_params:
            return "trace.html", {"found": None}
        answer = self._trace.handler(snapshot, caller, values_of(request, self._trace.parameters))
        readings = answer.rows.slice(0, 200).to_pylist()
        return "trace.html", {"found": answer.more, "readings": readings, "query_text": str(request.url.query)}

    def _devices(self, request: Request, snapshot: Snapshot, caller: Caller, most: int) -> dict[str, Any]:
        """A page of devices by what was asked, and where the next begins."""
        site, begins, after = (request.query_params.get(name) or None for name in ("site", "begins", "after"))
        found = rows.devices(snapshot, caller, site=site, begins=begins, after=after, most=most)
        return {
            "fleet": rows.fleet(snapshot, caller),
            "devices": found[:most],
            "next_after": found[most - 1]["device_id"] if len(found) > most else None,
            "site": site,
            "begins": begins,
            "after": after,
        }

    def _alerts(self, caller: Caller) -> list[Mapping[str, Any]]:
        """The newest word on each alarm that the caller may hear of."""
        newest: dict[tuple[str, ...], Mapping[str, Any]] = {}
        wish = Wish("alerts")
        for item in self._news.since("alerts", -1)[0]:
            if wish.fits(item, caller.sites):
                body = item.body
                newest[str(body.get("rule")), *map(str, _group(body).items())] = {**body, "group": _group(body)}
        return sorted(newest.values(), key=lambda body: str(body.get("at")), reverse=True)

    def _twin(self, device_id: str) -> dict[str, Any] | None:
        twin = self._twins.of(device_id)
        if twin is None:
            return None
        texts = {
            name: json.dumps(getattr(twin, name), indent=2, ensure_ascii=False)
            for name in ("tags", "desired", "reported")
        }
        return vars(twin) | texts


def _group(body: Mapping[str, Any]) -> dict[str, Any]:
    return {name: body[name] for name in KEYS if body.get(name) is not None}


def _day(text: str | None) -> date | None:
    if text is None:
        return None
    try:
        return datetime.strptime(text, "%Y-%m-%d").replace(tzinfo=UTC).date()
    except ValueError as error:
        raise Problem(400, "Bad parameter", "day is a day such as 2026-11-20.") from error
