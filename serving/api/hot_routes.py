"""Hot routes: what the hot path tells, each row with its revision and marked as provisional.

Belongs here: choosing rows by what was asked and by what the caller may see. Published figures are in `gold_routes`.
"""

import base64
import binascii
import json
from collections.abc import Mapping
from typing import Any

import pyarrow as pa

from serving.access.doors import Caller
from serving.api.answers import Answer
from serving.api.declared import DeclaredRoute, Parameter
from serving.api.gold_routes import CURSOR, DEVICE, LIMIT, METRIC, SITE, UNIT
from serving.hot.hot_records import FIGURES
from serving.hot.hot_values import HotValues
from serving.problems import Problem
from wire.times import moment_of_rfc3339

_AT = pa.timestamp("us", "UTC")
_TEXTS = ("device_id", "site_id", "model_id", "metric_name", "unit")
_LATEST = pa.schema(
    {
        **dict.fromkeys(_TEXTS, pa.string()),
        "value": pa.float64(),
        "event_at": _AT,
        "clock_status": pa.string(),
        "message_id": pa.string(),
        "revision": pa.int64(),
        "is_provisional": pa.bool_(),
    }
)
_MINUTES = pa.schema(
    {
        "minute_at": _AT,
        "unit": pa.string(),
        **dict.fromkeys(FIGURES, pa.float64()),
        "reading_count": pa.int64(),
        "revision": pa.int64(),
        "is_final": pa.bool_(),
        "is_provisional": pa.bool_(),
    }
)


def hot_latest(hot: HotValues, caller: Caller, values: Mapping[str, Any]) -> Answer:
    """The newest value of each device and metric, seconds after it was measured; provisional: no gate has passed it."""
    after = _after(values["cursor"])
    rows = [
        body for body in hot.latest()
        if may_see(caller, body)
        and all(values[name] in (None, body.get(name)) for name in ("device_id", "site_id", "metric_name", "unit"))
        and _key(body) > after
    ]  # fmt: skip
    page = rows[: values["limit"]]
    cursor = _cursor(page[-1]) if len(rows) > len(page) else None
    return Answer(pa.Table.from_pylist([_latest_row(body) for body in page], _LATEST), {}, cursor)


def hot_minutes(hot: HotValues, caller: Caller, values: Mapping[str, Any]) -> Answer:
    """The last minutes of a device's metric as the hot path has them; provisional: no gate has passed them."""
    mine = [
        body for body in hot.newest_of(values["device_id"])
        if may_see(caller, body) and body["metric_name"] == values["metric_name"]
        and values["unit"] in (None, body["unit"])
    ]  # fmt: skip
    if not mine:
        raise Problem(404, "No such series", "The hot path heard nothing of that, or your key does not see it.")
    rows = [
        {"minute_at": minute.minute_at, "unit": body["unit"], **dict(zip(FIGURES, minute.figures, strict=True)),
         "reading_count": minute.revision, "revision": minute.revision, "is_final": minute.is_final,
         "is_provisional": True}
        for body in mine
        for minute in hot.minutes((body["device_id"], body["metric_name"], body["unit"]))
    ]  # fmt: skip
    return Answer(pa.Table.from_pylist(rows, _MINUTES), {})


HOT_ROUTES = (
    DeclaredRoute(
        "/v1/hot/latest", "hot_latest", hot_latest.__doc__ or "", (DEVICE, SITE, METRIC, UNIT, LIMIT, CURSOR),
        hot_latest, is_hot=True,
    ),
    DeclaredRoute(
        "/v1/hot/minutes", "hot_minutes", hot_minutes.__doc__ or "",
        (
            Parameter("device_id", "A device.", required=True),
            Parameter("metric_name", "A metric, as in gold.", required=True),
            UNIT,
        ),
        hot_minutes, is_hot=True,
    ),
)  # fmt: skip
"""The routes over the hot path."""


def may_see(caller: Caller, body: Mapping[str, Any]) -> bool:
    """True when the value stands where the caller's key may look."""
    return caller.sites is None or body.get("site_id") in caller.sites


def _latest_row(body: Mapping[str, Any]) -> dict[str, Any]:
    row = {name: body.get(name) for name in _LATEST.names}
    value: Any = body.get("value")
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return row | {
        "event_at": moment_of_rfc3339(str(body.get("event_at"))),
        "value": float(value) if is_number else None,
        "is_provisional": True,
    }


def _key(body: Mapping[str, Any]) -> list[str]:
    return [body["device_id"], body["metric_name"], body["unit"]]


def _cursor(body: Mapping[str, Any]) -> str:
    return base64.urlsafe_b64encode(json.dumps(_key(body)).encode()).decode()


def _after(cursor: str | None) -> list[str]:
    if cursor is None:
        return []
    try:
        key = json.loads(base64.urlsafe_b64decode(cursor))
        if isinstance(key, list) and len(key) == 3 and all(isinstance(each, str) for each in key):
            return key
    except (binascii.Error, ValueError):
        pass
    raise Problem(400, "Bad cursor", "cursor is not one that an answer of this route gave as `next`.")
