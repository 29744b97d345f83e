"""Gold of states, gauges and counters: what the figures by kind cost beside the same readings without them.

Belongs here: the sides, which differ in nothing but what the models say of the same silver.
"""

import shutil
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from unittest.mock import patch

from bench.gold import published
from bench.harness import Result, Side, take_turns
from bench.made import PUMP, SteadyFleet, fill
from lake.models.catalog import known_models
from lake.models.kinds import DEFAULT_GAUGE, DEFAULT_STATE, Kind
from pipeline.gate import gold_profiles
from pipeline.gold import plan
from pipeline.gold.gold_refresh import refresh_gold
from pipeline.run import Run
from runtime.settings import Settings
from runtime.spark.connect_server import connect, running_spark

_STATES = {"state": DEFAULT_STATE, "isRunning": DEFAULT_STATE}
_NO_KINDS = "no kinds"
_SIDES: Mapping[str, Mapping[str, Kind]] = {
    _NO_KINDS: {},
    "gauges": {},
    "gauges and two states": _STATES,
    "a counter among gauges": {"pressure": Kind("counter", 7 * 86_400)},
}


def run(folder: Path, is_quick: bool) -> list[Result]:
    """A day of 100 pumps at 60 s, 144,000 readings of two states and a number; 3 rounds. Quick 24 pumps and 1."""
    settings = Settings(home=folder / "home", lake_uri=str(folder / "home" / "lake"))
    start = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0) - timedelta(days=2)
    fleet = SteadyFleet(start, 24 if is_quick else 104, 60, PUMP)
    with running_spark(settings) as address:
        count = fill(connect(address), settings, fleet, 0, 24)
    times = take_turns([_side(settings, name, kinds) for name, kinds in _SIDES.items()], 1 if is_quick else 3)
    goal = "what a kind costs is the difference to the first side"
    return [Result("gold-kinds", "a day to all gold tables", count, "readings", times, goal, is_alone=True)]


def _side(settings: Settings, name: str, kinds: Mapping[str, Kind]) -> Side:
    models = {
        model_id: replace(
            model, telemetry=tuple(replace(t, kind=kinds.get(t.metric_name, DEFAULT_GAUGE)) for t in model.telemetry)
        )
        for model_id, model in known_models(settings).items()
    }

    def cleared() -> None:
        for path in (settings.home / "lake" / "gold", settings.home / "lake" / "ops"):
            shutil.rmtree(path, ignore_errors=True)

    def work() -> None:
        with ExitStack() as patches:
            for module in (plan, gold_profiles) if name == _NO_KINDS else ():  # every number is a gauge otherwise
                patches.enter_context(patch.object(module, "kind_columns", lambda _: []))
            refresh_gold(Run(settings, models, "bench", datetime.now(UTC)))

    return Side(name, work, cleared, partial(published, settings))
