"""Signals and payloads: values of any model, inside what it declares."""

import json
from pathlib import Path

import numpy as np
import pytest

from device_sim.noise import keys_of, uniform
from device_sim.payloads import PayloadTemplate
from device_sim.waveforms import counts_up, json_texts, numbers, split_types, time_texts
from lake.models.catalog import BUILT_IN_MODELS, Telemetry, load_models

START_MS = 1_795_132_800_000
DAY = START_MS + np.arange(0, 86_400_000, 60_000, dtype=np.int64)
BUILT_IN = load_models([BUILT_IN_MODELS])
EVERY_SCHEMA = {
    "@context": "dtmi:dtdl:context;3",
    "@id": "dtmi:test:everything;1",
    "@type": "Interface",
    "contents": [
        {"@type": "Telemetry", "name": name, "schema": schema}
        for name, schema in {
            "aFloat": "float",
            "anInteger": "integer",
            "aLong": "long",
            "aBoolean": "boolean",
            "aString": "string",
            "aDate": "date",
            "aMoment": "dateTime",
            "aPoint": "point",
            "anEnum": {
                "@type": "Enum",
                "valueSchema": "integer",
                "enumValues": [{"name": "a", "enumValue": 3}, {"name": "b", "enumValue": 7}],
            },
            "anArray": {"@type": "Array", "elementSchema": "integer"},
            "aMap": {
                "@type": "Map",
                "mapKey": {"name": "k", "schema": "string"},
                "mapValue": {"name": "v", "schema": {"@type": "Array", "elementSchema": "double"}},
            },
            "anObject": {
                "@type": "Object",
                "fields": [{"name": "x", "schema": "double"}, {"name": "y", "schema": "boolean"}],
            },
        }.items()
    ],
}


def _telemetry(name: str) -> Telemetry:
    return next(each for model in BUILT_IN.values() for each in model.telemetry if each.metric_name == name)


@pytest.mark.parametrize(
    "telemetry", [each for model in BUILT_IN.values() for each in model.telemetry], ids=lambda each: each.metric_name
)
def test_built_in_signals_stay_in_their_range(telemetry: Telemetry) -> None:
    """An ordinary reading is never out of range, of the wrong type or outside its enumeration."""
    keys = np.repeat(keys_of([f"d-{i}" for i in range(20)], 1), len(DAY))
    values = [json.loads(text) for text in json_texts(telemetry, keys, np.tile(DAY, 20))]
    if telemetry.enum_values is not None:
        assert set(values) == set(telemetry.enum_values)
    elif telemetry.type == "boolean":
        assert set(values) == {True, False}
    else:
        assert telemetry.minimum is not None
        assert telemetry.maximum is not None
        assert telemetry.minimum <= min(values) < max(values) <= telemetry.maximum
        assert telemetry.type == "double" or all(isinstance(value, int) for value in values)


def test_energy_only_rises() -> None:
    """A counter never falls from one reading to the next, and does not stand still over a day."""
    telemetry = _telemetry("energy")
    assert counts_up(telemetry)
    assert not counts_up(_telemetry("power"))
    values = [float(text) for text in json_texts(telemetry, np.repeat(keys_of(["m"], 1), len(DAY)), DAY)]
    assert values == sorted(values)
    assert values[-1] - values[0] > 1


def test_temperature_has_a_daily_cycle() -> None:
    """The afternoon is warmer than the night, by more than the noise."""
    values = numbers(_telemetry("temperature"), np.repeat(keys_of(["t"], 1), len(DAY)), DAY)
    by_hour = values.reshape(24, 60).mean(axis=1)
    assert by_hour.max() - by_hour.min() > 3
    assert 12 <= by_hour.argmax() <= 20


def test_noise_does_not_depend_on_how_it_is_asked_for() -> None:
    """A chunk of a series is the same numbers as the series: runs that overlap agree."""
    keys = np.repeat(keys_of(["a"], 1), len(DAY))
    whole = uniform(keys, DAY)
    assert np.array_equal(whole[100:200], uniform(keys[100:200], DAY[100:200]))
    assert 0.45 < whole.mean() < 0.55
    assert len(np.unique(whole)) == len(DAY)
    assert not np.array_equal(whole, uniform(np.repeat(keys_of(["b"], 1), len(DAY)), DAY))


def test_every_schema_can_be_simulated(tmp_path: Path) -> None:
    """Any model that can be declared can be simulated: its payload is JSON with the declared names and types."""
    (tmp_path / "everything.json").write_text(json.dumps(EVERY_SCHEMA))
    model = load_models([tmp_path])["dtmi:test:everything;1"]
    columns = [json_texts(each, keys_of(["d"], 1), DAY[:1]) for each in model.telemetry]
    payload = json.loads(PayloadTemplate(model.telemetry).fill(zip(*columns, strict=True))[0])
    assert set(payload) == {content["name"] for content in EVERY_SCHEMA["contents"]}  # type: ignore[index]
    kinds = {name: type(value) for name, value in payload.items()}
    assert kinds["aFloat"] is float
    assert kinds["anInteger"] is kinds["aLong"] is int
    assert kinds["aBoolean"] is bool
    assert kinds["aString"] is str
    assert payload["aMoment"] == "2026-11-20T00:00:00.000Z"
    assert payload["aDate"] == "2026-11-20"
    assert payload["anEnum"] in (3, 7)
    assert all(isinstance(each, int) for each in payload["anArray"])
    assert all(isinstance(each, float) for value in payload["aMap"].values() for each in value)
    assert {name: type(value) for name, value in payload["anObject"].items()} == {"x": float, "y": bool}


def test_types_part_at_outer_commas_only() -> None:
    """A comma inside of brackets belongs to the inner type."""
    assert split_types("a:int,b:map<string,array<int>>,c:decimal(3,1)") == [
        "a:int",
        "b:map<string,array<int>>",
        "c:decimal(3,1)",
    ]


def test_times_are_spelt_as_on_the_wire() -> None:
    """ce_time of many readings at once is the same text as of one."""
    assert time_texts(np.array([START_MS, START_MS + 1500], dtype=np.int64)) == [
        "2026-11-20T00:00:00.000Z",
        "2026-11-20T00:00:01.500Z",
    ]
