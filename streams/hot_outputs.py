"""Hot outputs: results as messages, CloudEvents in Kafka's binary mode.

Belongs here: names, keys and fields of what goes to `latest`, `windows`, `scores`, `alerts` and the state of rules.
Each says that it is provisional: no gate has passed it. An identity follows from the content: a result told twice
is a repeat.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

import orjson

from streams.open_windows import WindowResult
from streams.output_topics import ALERTS, LATEST, SCORES, STATE, WINDOWS
from transforms import minute_features
from transforms.alert_rules import AlarmState, Change, Rule
from wire.envelope import CONTENT_TYPE, ID, SOURCE, SPECVERSION, TIME, TYPE, Message, rfc3339

LATEST_TYPE, WINDOW_TYPE, ALERT_TYPE = "lakehouse.latest", "lakehouse.window", "lakehouse.alert"
SCORE_TYPE = "lakehouse.score"


@dataclass(frozen=True)
class AsOf:
    """How far the hot path has come: everything up to `watermark_us` was read, from the offsets `read_from` on; windows
    are corrected for `reach_us` after their start."""

    watermark_us: int
    reach_us: int
    read_from: Mapping[int, int]


def window_message(result: WindowResult, asof: AsOf) -> Message:
    """The figures of a window; the key is its first key, the device as a rule.

    A window that corrects no more when it is final is closed then.
    """
    closed_us = result.final_us if result.window.late == "drop" else result.start_us + asof.reach_us
    keys = [value or "" for value in result.keys.values()]
    place = _path(result.window.name, *keys, result.start_us, *_reading_of(result))
    body = {
        "window": result.window.name,
        **result.keys,
        "window_start": _moment(result.start_us),
        "window_end": _moment(result.end_us),
        "revision": result.revision,
        "is_final": result.is_final,
        "final_at": _moment(result.final_us),
        "corrected_until": _moment(max(closed_us, result.final_us)),
        "as_of": _moment(asof.watermark_us),
        "is_correction": result.is_correction,
        "is_provisional": True,
        "reading_count": result.revision,
        **{name: _plain(value) for name, value in result.figures.items()},
        "inputs": {str(each["p"]): [each["low"], each["high"]] for each in result.inputs},
        "read_from": {str(partition): offset for partition, offset in asof.read_from.items()},
    }
    identity = f"{place}/{result.revision}{'/final' if result.is_final else ''}"
    is_score = result.window.name == minute_features.SCORES.name
    type_ = SCORE_TYPE if is_score else WINDOW_TYPE
    event = _Event(type_, f"/streams/{result.window.name}", identity, _moment(result.last_received_us))
    return _message(SCORES if is_score else WINDOWS, keys[0], event, body)


def latest_message(row: Mapping[str, Any]) -> Message:
    """The newest value of a metric of a device; the key is both, so that compaction keeps the newest."""
    event_at = _moment(row["event_us"])
    key = "\0".join([row["device_id"], row["metric_name"], row["unit"]])
    body = {name: _plain(row[name]) for name in ("device_id", "site_id", "model_id", "metric_name", "unit", "value")}
    body |= {
        "event_at": event_at,
        "clock_status": row["clock_status"],
        "message_id": row["message_id"],
        "inputs": {str(row["partition"]): [row["offset"], row["offset"]]},
        "is_provisional": True,
    }
    identity = f"{row['partition']}:{row['offset']}/{_path(row['metric_name'], row['unit'])}"
    event = _Event(LATEST_TYPE, f"/devices/{row['device_id']}", identity, event_at)
    return _message(LATEST, key, event, body)


def alert_message(
    rule: Rule, group: Mapping[str, Any], state: AlarmState, change: Change, detail: Mapping[str, Any]
) -> Message:
    """A change of an alarm; `detail` is what was seen with it."""
    names = "/".join(str(value) for value in group.values())
    body = {
        "rule": rule.name,
        "change": change,
        "severity": rule.severity,
        **group,
        "since": _moment(state.since_us),
        "fired_at": _moment(state.fired_us),
        "at": _moment(state.told_us if change != "cleared" else state.last_us),
        "revision": state.revision,
        "rule_digest": rule.digest,
        "actions": list(rule.actions),
        "seen": {name: _plain(value) for name, value in detail.items()},
    }
    identity = _path(rule.name, *group.values(), state.revision)
    event = _Event(ALERT_TYPE, f"/streams/rules/{rule.name}", identity, str(body["at"]))
    return _message(ALERTS, names, event, body)


def state_key(rule: str, group: Mapping[str, Any]) -> str:
    """The key under which the state of a rule for a group is kept."""
    return json.dumps([rule, dict(group)], ensure_ascii=False)


def state_message(key: str, state: AlarmState) -> Message:
    """The state of a rule for a group, for the next start."""
    return Message(STATE, key.encode(), [(CONTENT_TYPE, b"application/json")], json.dumps(asdict(state)).encode())


@dataclass(frozen=True)
class _Event:
    """What a CloudEvent says of itself."""

    type: str
    source: str
    id: str
    time: str


def _reading_of(result: WindowResult) -> Sequence[object]:
    """Which reading a result is of, where each has one: several may be of one moment."""
    if result.window.kind != "each":
        return ()
    (place,) = result.inputs
    return (f"{place['p']}:{place['low']}", *place["reading"])


def _path(*parts: object) -> str:
    """Parts with slashes between them; one that has a slash itself is not taken for two."""
    return "/".join(str(part).replace("%", "%25").replace("/", "%2F") for part in parts)


def _message(topic: str, key: str, event: _Event, body: Mapping[str, Any]) -> Message:
    headers = [
        (SPECVERSION, b"1.0"),
        (ID, event.id.encode()),
        (SOURCE, event.source.encode()),
        (TYPE, event.type.encode()),
        (TIME, event.time.encode()),
        (CONTENT_TYPE, b"application/json"),
    ]
    return Message(topic, key.encode(), headers, _bytes(body))


def _bytes(body: Mapping[str, Any]) -> bytes:
    """As JSON: it is most of what a result costs."""
    try:
        return orjson.dumps(body)
    except TypeError:  # a whole number of more than 64 bits
        return json.dumps(body, ensure_ascii=False, allow_nan=False).encode()


# the results of a batch have few: their windows begin, end and are final together
@lru_cache(4096)
def _moment(us: int) -> str:
    return rfc3339(datetime.fromtimestamp(us / 1_000_000, UTC))


def _plain(value: Any) -> Any:
    """A value as JSON has it; what is no number to JSON is null."""
    if isinstance(value, datetime):
        return rfc3339(value if value.tzinfo else value.replace(tzinfo=UTC))
    if isinstance(value, float) and (value != value or value in (float("inf"), float("-inf"))):
        return None
    return value if isinstance(value, str | int | float | bool | None) else str(value)
