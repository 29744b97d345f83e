"""Corruptions: each breaks a message in the way that its reason says, and in no other."""

import json
from collections.abc import Sequence
from datetime import datetime
from typing import Any

import duckdb
import pytest

from device_sim.corruptions import CORRUPTIONS, Breaker
from device_sim.payloads import PayloadTemplate
from lake.models.catalog import BUILT_IN_MODELS, Model, load_models
from transforms.packed import is_packed
from wire.envelope import DATASCHEMA, SUBJECT, Message, TelemetryEnvelope

MODELS = load_models([BUILT_IN_MODELS])
THERMOSTAT = MODELS["dtmi:lakehouse:thermostat;1"]
PUMP = MODELS["dtmi:lakehouse:pump;1"]
ROW = ["21.5", "40.0"]


def _breaker(model: Model, component: str | None = None) -> Breaker:
    telemetry = [each for each in model.telemetry if each.component == component]
    return Breaker(telemetry, PayloadTemplate(telemetry), model.quality.max_payload_bytes)


def _good() -> Message:
    payload = PayloadTemplate(THERMOSTAT.telemetry).fill([ROW])[0]
    return TelemetryEnvelope("thermostat-0001").message("1-1", "2026-11-20T00:00:00.000Z", payload)


def _judge(message: Message) -> str:
    """The contract's order of judgement in plain Python, for one registered thermostat."""
    headers = {name: value.decode() for name, value in message.headers}
    if message.key is None:
        return "missing_device"
    required = ("ce_specversion", "ce_id", "ce_source", "ce_type")
    if not all(headers.get(name) for name in required) or headers["ce_type"] != "lakehouse.telemetry":
        return "bad_envelope"
    try:
        year = datetime.fromisoformat(headers.get("ce_time", "")).year
    except ValueError:
        return "bad_time"
    if not 2000 <= year < 2100:
        return "implausible_time"
    if message.key != b"thermostat-0001":
        return "unknown_device"
    if headers.get(DATASCHEMA, THERMOSTAT.model_id) not in MODELS:
        return "unknown_model"
    if headers.get(SUBJECT):
        return "unknown_component"
    return _judge_payload(message.value)


def _judge_payload(value: bytes) -> str:
    if len(value) > THERMOSTAT.quality.max_payload_bytes:
        return "too_large"
    try:
        pairs: Any = json.loads(value.decode(), object_pairs_hook=_Pairs, parse_constant=_refuse)
    except ValueError:
        return "not_json"
    if not isinstance(pairs, _Pairs):
        return "not_json"
    names = [name for name, _ in pairs]
    if len(set(names)) < len(names):
        return "duplicate_key"
    known = [(each, dict(pairs)[each.metric_name]) for each in THERMOSTAT.telemetry if each.metric_name in names]
    if any(isinstance(found, bool) or not isinstance(found, (int, float)) for _, found in known):
        return "wrong_type"
    if not known:
        return "no_telemetry"
    if any(not each.minimum <= found <= each.maximum for each, found in known):
        return "out_of_range"
    return "reading"


class _Pairs(list[tuple[str, Any]]):
    """A JSON object, with its names as often as they stand in the text."""


def _refuse(constant: str) -> None:
    raise ValueError(constant)


def test_a_good_message_is_a_reading() -> None:
    """The judge of these tests refuses nothing that is good."""
    assert _judge(_good()) == "reading"


@pytest.mark.parametrize("name", CORRUPTIONS)
def test_each_corruption_has_its_reason(name: str) -> None:
    """A broken message is refused for the reason that its corruption names, by a judge that knows only the contract."""
    broken = CORRUPTIONS[name].apply(_good(), _breaker(THERMOSTAT), ROW)
    assert _judge(broken) == CORRUPTIONS[name].reason


def test_out_of_range_is_the_only_thing_wrong() -> None:
    """An impossible value is of the right type."""
    assert _judge_payload(_breaker(THERMOSTAT).out_of_range(ROW)) == "out_of_range"


@pytest.mark.parametrize(
    ("component", "row"), [(None, ['"running"', "true", "3.5"]), ("motor", ["1.5", "60.0", "1500"])]
)
def test_components_and_enums_break_too(component: str | None, row: Sequence[str]) -> None:
    """Every message of the built-in models can be out of range and of the wrong type."""
    telemetry = [each for each in PUMP.telemetry if each.component == component]
    good = json.loads(PayloadTemplate(telemetry).fill([row])[0])
    breaker = _breaker(PUMP, component)
    for broken in (json.loads(breaker.out_of_range(row)), json.loads(breaker.wrong_type(row))):
        assert broken.keys() == good.keys()
        assert sum(broken[name] != good[name] for name in good) == 1


def test_nothing_is_broken_that_cannot_be() -> None:
    """A model without ranges has no reading out of range."""
    telemetry = [each for each in PUMP.telemetry if each.metric_name == "isRunning"]
    breaker = Breaker(telemetry, PayloadTemplate(telemetry), 100)
    assert not breaker.can("out_of_range")
    assert breaker.can("wrong_type")
    assert breaker.can("truncated")


@pytest.mark.parametrize("name", CORRUPTIONS)
def test_no_broken_message_is_a_pack(name: str) -> None:
    """A list is taken apart into messages, each judged by itself: a broken one would count as a good reading."""
    broken = CORRUPTIONS[name].apply(_good(), _breaker(THERMOSTAT), ROW)
    value = broken.value or b""
    (is_pack,) = duckdb.execute(
        f"SELECT {is_packed()} FROM (SELECT 'telemetry' AS topic, $value::BLOB AS value, 'text/json' AS content_type)",
        {"value": value},
    ).fetchone() or (None,)
    assert is_pack is False
