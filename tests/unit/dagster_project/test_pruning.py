"""Days under `lakehouse up`, simulated in a real instance: what upkeep leaves of Dagster's folder."""

import json
import shutil
import sqlite3
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from dagster import (
    AssetCheckEvaluation,
    AssetKey,
    AssetMaterialization,
    DagsterRunStatus,
    Nothing,
    OpExecutionContext,
    Out,
    job,
    op,
)
from dagster._core.definitions.freshness import FreshnessState, FreshnessStateChange

from dagster_project.runs.instance import open_instance
from dagster_project.runs.pruning import prune
from runtime.settings import Settings

KEPT, RUNS_A_DAY = 20, 120
START = datetime(2026, 11, 20, tzinfo=UTC)
HOUR = "2026-11-20T05"
THINGS = AssetKey(["gold", "things"])


@op(out=Out(Nothing))
def _published(context: OpExecutionContext) -> None:
    """A step that tells of an hour in ten tables, and of what the gate found."""
    for number in range(10):
        key = ["gold", "things" if number == 0 else f"things_{number}"]
        metadata: dict[str, Any] = {"rows": 1, "inputs": "x" * 500}
        context.log_event(AssetMaterialization(key, partition=HOUR, metadata=metadata))
        context.log_event(AssetCheckEvaluation(AssetKey(key), "gate", passed=True, partition=HOUR))  # type: ignore[arg-type]


@job
def _telling() -> None:
    _published()


def lived(folder: Path, pattern: str, told: str, moments: list[datetime]) -> None:
    """Copies of a run that told of an hour, each as if it had run at its moment and told of that moment's hour."""
    names = ("runs.db", "events/index.db")
    with closing(sqlite3.connect(folder / names[0])) as runs, closing(sqlite3.connect(folder / names[1])) as index:
        for moment in moments:
            new, at = str(uuid4()), moment.replace(tzinfo=None).isoformat(" ", "microseconds")
            hour = f"{moment:%Y-%m-%dT%H}"
            for base, table, times in (
                (runs, "runs", ("create_timestamp", "update_timestamp")),
                (runs, "run_tags", ()),
                (index, "event_logs", ("timestamp",)),
                (index, "asset_check_executions", ("create_timestamp",)),
            ):
                _copied(base, table, pattern, {"run_id": new, **dict.fromkeys(times, at)}, (told, hour))
            shutil.copy(folder / "events" / f"{pattern}.db", folder / "events" / f"{new}.db")
        runs.commit()
        index.commit()


def _copied(base: sqlite3.Connection, table: str, run: str, changes: dict[str, str], hours: tuple[str, str]) -> None:
    base.row_factory = sqlite3.Row
    for row in base.execute(f"SELECT * FROM {table} WHERE run_id = ?", [run]).fetchall():
        values = {name: value for name, value in dict(row).items() if name != "id"} | changes
        for name, value in values.items():
            if isinstance(value, str) and name in ("run_body", "event", "evaluation_event", "partition"):
                values[name] = value.replace(run, changes["run_id"]).replace(*hours)
        places = ", ".join("?" for _ in values)
        base.execute(f"INSERT INTO {table} ({', '.join(values)}) VALUES ({places})", list(values.values()))


def size(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def test_a_folder_is_as_large_day_after_day(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of 120 runs a day upkeep leaves the newest, of each hour what was told last for a while (here a day), and of all
    hours before together that they are there; changes of freshness, which are of no run, do not add up
    either."""
    monkeypatch.setattr("dagster_project.runs.pruning.KEPT_RUNS", KEPT)
    monkeypatch.setattr("dagster_project.runs.pruning.KEPT_TOLD", timedelta(days=1))
    settings = Settings(home=tmp_path, lake_uri=str(tmp_path / "lake"))
    folder = settings.dagster_home / "storage"
    with open_instance(settings) as instance:
        pattern = _telling.execute_in_process(instance=instance).run_id
    told, before, after = HOUR, [], []
    for day in range(4):
        moments = [START + timedelta(days=day, minutes=12 * run) for run in range(RUNS_A_DAY)]
        with open_instance(settings) as instance:
            lived(folder, pattern, told, moments)
            for number in range(20):
                states = (FreshnessState.PASS, FreshnessState.FAIL)
                change = FreshnessStateChange(
                    key=THINGS, new_state=states[number % 2], previous_state=states[1 - number % 2],
                    state_change_timestamp=moments[0].timestamp() + number,
                )  # fmt: skip
                instance._report_runless_asset_event(change)
        before.append(size(folder))
        with open_instance(settings) as instance:
            prune(instance, moments[-1], everything=True)
            kept = instance.get_run_records()
            assert len(kept) == KEPT
            assert min(each.create_timestamp for each in kept) == moments[-KEPT]
            assert {each.dagster_run.status for each in kept} == {DagsterRunStatus.SUCCESS}
            (state,) = instance.get_freshness_state_records([THINGS]).values()
            assert state.freshness_state is FreshnessState.FAIL
            assert len(instance.get_materialized_partitions(THINGS)) == 24 * (day + 1)
            files = {path.stem for path in (folder / "events").glob("*-*.db")}
            assert files == {each.dagster_run.run_id for each in kept}
        after.append(size(folder))
        pattern, told = kept[0].dagster_run.run_id, f"{moments[-1]:%Y-%m-%dT%H}"
    print(json.dumps({"before": before, "after": after}))
    assert after[3] - after[2] < 200_000  # the hours of a day in ten tables are ten times that
    assert before[2] > 3 * after[2]
    with closing(sqlite3.connect(folder / "events" / "index.db")) as index:
        (changes,) = index.execute(
            "SELECT count(*) FROM event_logs WHERE dagster_event_type = 'FRESHNESS_STATE_CHANGE'"
        ).fetchone()
        assert changes == 1
