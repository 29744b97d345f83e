"""How often the steps of a refresh open the logs of the tables, on a kept lake that Spark has written."""

from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from lake.models.catalog import known_models
from lake.storage.delta import ensure_table
from lake.storage.lease import writer_lease
from lake.tables.silver import SILVER_SITES
from pipeline.gold import gold_refresh
from pipeline.gold.stale import stale_slices
from pipeline.run import Run
from pipeline.silver import append, tick
from tests.support.log_openings import counted_openings
from tests.support.old_lakes import unpacked


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """A lake whose tables are there, and a dbt that is not needed to plan."""
    settings = unpacked(tmp_path, 1)
    ensure_table(settings, SILVER_SITES)
    monkeypatch.setattr(append, "ensure_table", lambda *_: None)
    monkeypatch.setattr(gold_refresh, "start_dbt", lambda _: None)
    monkeypatch.setattr(gold_refresh, "end_dbt", lambda _: None)
    return Run(settings, known_models(settings), "test", datetime.now(UTC))


def no_spark() -> Any:
    raise AssertionError("no tick of these needs Spark")


def rebuilt(run: Run, slices: list[str]) -> object:
    return append.rebuild_slices(no_spark, run.settings, run.models, slices, run.run_id)


def filled(run: Run, _: list[str]) -> object:
    return tick.fill_silver(no_spark, run)


@pytest.mark.parametrize("step", [filled, rebuilt, gold_refresh.prepare])
def test_a_step_opens_each_log_once(
    step: Callable[[Run, list[str]], object], run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The newest of each table once, and each version that is pinned once, however often the step comes to it."""
    slices = sorted(stale_slices(run.settings, run.models).with_records)
    assert slices
    openings = counted_openings(monkeypatch)
    with writer_lease(run.settings, "test"):
        assert step(run, slices)
    assert {"bronze.telemetry", "silver.rejected", "silver.devices"} <= set(openings)
    assert max(Counter(openings).values()) == 1
