"""Whatever happens in whatever order: incremental is what a full rebuild gives, and what the rules say."""

import json
from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from pyspark.sql import SparkSession

from lake.models.catalog import BUILT_IN_MODELS, Model, load_models
from lake.models.kinds import Kind
from lake.records import publications
from lake.slices import slice_of
from pipeline.gold.gold_refresh import refresh_gold
from pipeline.proof.verification import verify
from pipeline.run import Run
from pipeline.silver.tick import rebuild_silver, tick
from runtime.settings import Settings
from tests.conftest import empty_topics
from tests.support.histories import HOUR, NEW_MODEL, PROBE, Figures, History, expected, site_at
from tests.support.kinds_oracle import counter_hours, gauge_hours, state_hours
from tests.support.landing import THERMOSTAT, rows, send

_HOURS = st.integers(0, 4)
_EVENTS = st.lists(
    st.tuples(
        st.integers(0, 3),
        _HOURS,
        st.sampled_from(
            [
                "reading",
                "reading",
                "reading",
                "repeat",
                "conflict",
                "broken",
                "ahead",
                "far",
                "behind",
                "early",
                "early",
                "new_model",
            ]
        ),
    ),
    min_size=3,
    max_size=30,
)
_STEPS = st.one_of(
    st.tuples(st.just("send"), _EVENTS),
    st.tuples(st.just("tick"), st.none()),
    st.tuples(st.just("refresh"), st.none()),
    st.tuples(st.just("backfill"), _HOURS),
    st.tuples(st.just("move"), st.tuples(st.integers(0, 2), _HOURS, st.sampled_from(["south", "east"]))),
    st.tuples(st.just("assign"), st.tuples(st.integers(0, 2), _HOURS, st.sampled_from([PROBE, THERMOSTAT]))),
    st.tuples(st.just("correct"), st.integers(0, 2)),
    st.tuples(st.just("register"), st.none()),
    st.tuples(st.just("add model"), st.none()),
)
_EXAMPLES = 2
_LIMIT = 2 * HOUR
_KINDS = {
    "temperature": Kind("counter", 7200),
    "humidity": Kind("state", 7200),
    "battery": Kind("gauge", 7200, interpolation="linear"),
}
"""What telemetry of thermostats is taken for, so that each kind has a history with everything in it."""


class Lakehouse:
    """A lake and the device models that it knows so far; no share of rejected records holds a slice."""

    def __init__(self, spark: SparkSession, settings: Settings, folder: Path) -> None:
        self.spark, self.settings = spark, settings
        self.newer = _with_new_model(folder)
        self._be_patient({name: model for name, model in self.newer.items() if name != NEW_MODEL})

    def _be_patient(self, models: Mapping[str, Model]) -> None:
        self.models = {
            name: replace(
                model,
                quality=replace(model.quality, max_rejected_ratio=1.0),
                telemetry=tuple(replace(t, kind=_KINDS.get(t.name, t.kind)) for t in model.telemetry),
            )
            for name, model in models.items()
        }

    def add_model(self) -> None:
        """From now on the second version of the thermostat is known."""
        self._be_patient(self.newer)

    def run(self) -> Run:
        """What a step is told."""
        return Run(self.settings, self.models, "test", datetime.now(UTC))

    def tick(self) -> None:
        """Everything that was sent to silver."""
        assert self.settings.kafka_bootstrap is not None
        tick(lambda: self.spark, self.run(), self.settings.kafka_bootstrap)

    def refresh(self, slices: list[str] | None = None) -> None:
        """What is stale to gold."""
        outcome = refresh_gold(self.run(), slices)
        assert outcome is None or not outcome.held, outcome

    def backfill(self, slice_: str) -> None:
        """An hour anew, from bronze on."""
        rebuild_silver(lambda: self.spark, self.run(), [slice_])
        self.refresh([slice_])


def _with_new_model(folder: Path) -> dict[str, Model]:
    document = json.loads((BUILT_IN_MODELS / "thermostat.json").read_text())
    document["@id"] = NEW_MODEL
    document["contents"].append({"@type": "Telemetry", "name": "battery", "schema": "double", "unit": "percent"})
    folder.mkdir()
    (folder / "thermostat-2.json").write_text(json.dumps(document))
    temperature = next(each for each in document["contents"] if each["name"] == "temperature")
    probe = {"@context": document["@context"], "@id": PROBE, "@type": "Interface", "contents": [temperature]}
    (folder / "probe.json").write_text(json.dumps(probe))
    return load_models([BUILT_IN_MODELS, folder])


def run(history: History, lake: Lakehouse, steps: list[tuple[str, Any]]) -> None:
    """Send and do what the steps say, then come to rest: all that was sent is published, under all models."""
    assert lake.settings.kafka_bootstrap is not None
    bootstrap = lake.settings.kafka_bootstrap
    send(bootstrap, history.registrations())
    actions: dict[str, Callable[[Any], None]] = {
        "send": lambda events: send(bootstrap, [history.telemetry(*event) for event in events]),
        "tick": lambda _: lake.tick(),
        "refresh": lambda _: (lake.tick(), lake.refresh())[0],
        "backfill": lambda hour: lake.backfill(slice_of(history.start + hour * HOUR)),
        "move": lambda move: send(bootstrap, history.move(*move)),
        "assign": lambda change: send(bootstrap, history.assign(*change)),
        "correct": lambda device: send(bootstrap, history.correct(device)),
        "register": lambda _: send(bootstrap, history.register_last()),
        "add model": lambda _: lake.add_model(),
    }
    for name, argument in steps:
        actions[name](argument)
    lake.add_model()
    send(bootstrap, [history.telemetry(0, 0, "reading"), *history.register_last()])
    lake.tick()
    lake.refresh()


def received_by_device(settings: Settings) -> dict[str, list[datetime]]:
    found = defaultdict(list)
    sql = 'SELECT device_id, received_at FROM t ORDER BY "partition", "offset"'
    for device, received_at in rows(settings, "bronze.telemetry", sql):
        found[device].append(received_at.astimezone(UTC))
    return found


def check(history: History, lake: Lakehouse) -> None:
    """Gold says what the oracle says, for every device and hour in which anything counts."""
    figures = expected(history, received_by_device(lake.settings))
    metrics: dict[Any, dict[str, Any]] = defaultdict(dict)
    sql = "SELECT device_id, hour_at, metric_name, reading_count, value_min, value_max, value_mean, site_id FROM t"
    for device, hour, metric, *values, site in rows(lake.settings, "gold.device_hours", sql):
        metrics[device, hour.astimezone(UTC)][metric] = (*values[:3], pytest.approx(values[3]))
        assert site == site_at(history, device, hour.astimezone(UTC))
    assert dict(metrics) == {key: each.metrics() for key, each in figures.items() if each.values}
    sql = """SELECT device_id, hour_at, received_count, clock_flagged_count, duplicate_count, rejected_count,
        expected_count - missing_count FROM t"""
    counted = {
        (device, hour.astimezone(UTC)): tuple(values)
        for device, hour, *values in rows(lake.settings, "gold.device_completeness", sql)
        if any(values)
    }
    assert counted == {
        key: (each.received, each.flagged, each.duplicates, each.rejected, len(each.measured))
        for key, each in figures.items()
    }
    check_kinds(figures, lake.settings)


def check_kinds(figures: Mapping[Any, Figures], settings: Settings) -> None:
    """The hours of counters, states and gauges, but for those into which a state is only carried, are the oracle's."""
    readings = {
        metric: [each for hour in figures.values() for each in hour.readings.get(metric, ())] for metric in _KINDS
    }
    modes = [replace(each, value=str(each.value)) for each in readings["humidity"]]
    states = state_hours(modes, _LIMIT, {each.hour for each in modes})
    for table, of, ours in (
        ("counter_hours", "counter", counter_hours(readings["temperature"], None, _LIMIT)),
        ("gauge_hours", "gauge", gauge_hours(readings["battery"], True, _LIMIT)),
        ("state_hours", "state", {key: row for key, row in states.items() if not row["is_carried"]}),
    ):
        names = sorted({name for row in ours.values() for name in row})
        key, only = ("device_id, hour_at, state", "NOT is_carried") if of == "state" else ("device_id, hour_at", "true")
        columns = ", ".join((key, *names))
        found = {
            row[: len(row) - len(names)]: dict(zip(names, row[len(row) - len(names) :], strict=True))
            for row in rows(settings, f"gold.{table}", f"SELECT {columns} FROM t WHERE {only}")
        }
        assert found.keys() == ours.keys(), table
        for place, row in ours.items():
            near = {name: pytest.approx(v, rel=1e-9) if isinstance(v, float) else v for name, v in row.items()}
            assert found[place] == near, (table, place)


@pytest.mark.timeout(1200)
def test_every_history_ends_in_the_figures_that_the_rules_say(
    spark: SparkSession, broker: str, settings: Settings, tmp_path: Path
) -> None:
    """Ticks, late data, repeats, wrong clocks, backfills, moves, corrected registrations, changes of model and new
    models in any order: gold, that of counters, states and gauges too, is what the oracle counts, and the
    publication is, row by row, what a full rebuild from bronze gives."""
    number = iter(range(_EXAMPLES + 1))

    @hypothesis_settings(
        max_examples=_EXAMPLES,
        derandomize=True,
        phases=[Phase.generate],  # shrinking runs histories by the dozen; the steps are printed
        suppress_health_check=list(HealthCheck),
    )
    @given(st.lists(_STEPS, min_size=4, max_size=8))
    def holds(steps: list[tuple[str, Any]]) -> None:
        empty_topics(broker)
        folder = tmp_path / str(next(number))
        folder.mkdir()
        home = replace(settings, home=folder, lake_uri=str(folder / "lake"))
        history = History((datetime.now(UTC) - timedelta(days=1)).replace(hour=3, minute=0, second=0, microsecond=0))
        lake = Lakehouse(spark, home, folder / "models")
        run(history, lake, steps)
        check(history, lake)
        publication = publications.newest(home)
        assert publication is not None
        result = verify(spark, home, lake.models, publication, code_version=publication.code_version)
        assert result.is_same, result

    holds()
