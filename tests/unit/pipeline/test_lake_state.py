"""`lakehouse status`: what it says of a lake, and that looking changes nothing."""

import json
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from lake.models.catalog import BUILT_IN_MODELS, load_models
from lake.records import publications
from lake.records.publications import Publication
from lake.records.verdicts import Failure, Verdict, held_entry, record_verdicts
from lake.storage.delta import append
from lake.tables.gold import DEVICE_LATEST
from lake.tables.gold_kinds import KIND_TABLES
from lakehouse.cli.main import run
from pipeline.lake_state import lake_status, unread_spans
from runtime.process_ids import ProcessId
from runtime.process_records import ProcessRecord
from runtime.processes import keep, log_path
from runtime.settings import Settings
from tests.support.small_lake import H5, H6, NOW, THERMOSTATS, Lake, arrow_table

MODELS = load_models([BUILT_IN_MODELS])
FAILURE = Failure("rejected_share", "reason", 0.5, 0.05, "half of it was rejected")
VERDICT = Verdict(THERMOSTATS, H6, "{}", False, (FAILURE,), 3, "digest", "run", NOW)


@pytest.fixture
def lake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Lake:
    """One row of gold published and one not; an hour published, an hour held, and a third that came later."""
    monkeypatch.setenv("LAKEHOUSE_HOME", str(tmp_path / "home"))
    lake = Lake(Settings(home=tmp_path / "home", lake_uri=str(tmp_path / "home" / "lake")))
    for slice_ in (H5, H6):
        lake.fill(slice_, 3)
    inputs = lake.write()
    record_verdicts(lake.settings, [VERDICT])
    published_at = datetime.now(UTC) - timedelta(hours=2, minutes=5)
    release = {"slice": H5, "table": THERMOSTATS, "who": "ana", "when": NOW.isoformat(), "why": "it was swapped"}
    kinds = {table.name: append(lake.settings, table, arrow_table(table, []), {}) for table in KIND_TABLES}
    publications.record(
        lake.settings,
        Publication(
            publication_id=7, published_at=published_at, tables={DEVICE_LATEST.name: commit_latest(lake), **kinds},
            inputs=inputs, slices=(H5,), held=(held_entry(VERDICT),), releases=(release,), first_slice=H5,
            last_slice=H5, models={},
            code_version="1", run_id="run",
        ),
    )  # fmt: skip
    commit_latest(lake)
    return lake


def commit_latest(lake: Lake) -> int:
    row = {
        "device_id": "d1", "metric_name": "temperature", "unit": "degc", "event_at": NOW, "event_hour": 12,
        "event_date": date(2026, 11, 23), "value_last": 20.5,
    }  # fmt: skip
    return append(lake.settings, DEVICE_LATEST, arrow_table(DEVICE_LATEST, [row]), {})


def printed(capsys: pytest.CaptureFixture[str]) -> str:
    assert run(["status"]) == 0
    return capsys.readouterr().out


def as_json(capsys: pytest.CaptureFixture[str]) -> dict[str, Any]:
    assert run(["status", "--json"]) == 0
    answer: dict[str, Any] = json.loads(capsys.readouterr().out)
    return answer


def test_an_empty_home_is_a_lake_with_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """It says what to do, and that nothing runs; it makes no folder."""
    monkeypatch.setenv("LAKEHOUSE_HOME", str(tmp_path / "home"))
    text = printed(capsys)
    assert "Nothing is published yet: `lakehouse refresh`" in text
    assert "the broker does not run" in text
    assert as_json(capsys)["tables"] == []
    assert list(tmp_path.iterdir()) == []


def test_publication_held_and_released(lake: Lake, capsys: pytest.CaptureFixture[str]) -> None:
    """The newest publication and its age, what is held with the expectation in words, who released what and why."""
    text = printed(capsys)
    assert "2 h 5 min old" in text
    assert f"Released by ana: {H5} ({THERMOSTATS}): it was swapped" in text
    assert f"{H6}  {THERMOSTATS}  half of it was rejected" in text
    assert as_json(capsys)["held"][0]["failures"][0]["message"] == "half of it was rejected"


def test_rows_are_those_that_readers_see(lake: Lake) -> None:
    """A published table counts the rows of the published version, others those of the newest; both are named."""
    states = {state.name: state for state in lake_status(lake.settings, MODELS).tables}
    gold = states[DEVICE_LATEST.name]
    assert (gold.rows, gold.published_version, gold.version) == (1, 1, 2)
    assert (states[THERMOSTATS].rows, states[THERMOSTATS].published_version) == (6, None)


def test_stale_slices_with_the_reason(lake: Lake, capsys: pytest.CaptureFixture[str]) -> None:
    """Silver that was written since the publication makes its hours stale."""
    assert as_json(capsys)["stale"] == {}
    lake.write()
    assert list(as_json(capsys)["stale"]) == [H5, H6]
    assert f"{H5}  {H6}      2  " in printed(capsys)


def test_programs_that_crashed_are_named(lake: Lake, capsys: pytest.CaptureFixture[str]) -> None:
    """A record without its process is a program that nobody stopped; its log is named."""
    log = log_path(lake.settings, "daemon")
    for folder in (lake.settings.run_folder, log.parent):
        folder.mkdir(parents=True)
    log.write_text("it fell over\n")
    keep(lake.settings, ProcessRecord("daemon", replace(ProcessId.of(), pid=2**22 + 1), ""))
    assert f"The daemon ended without being stopped; its log is {log}" in printed(capsys)


@pytest.mark.parametrize(
    ("committed", "oldest", "high", "lag"),
    [(5, 0, 9, 4), (None, 0, 9, 9), (None, 3, 9, 6), (9, 0, 9, 0), (2, 3, 9, 6)],
)
def test_lag(committed: int | None, oldest: int, high: int, lag: int) -> None:
    """What the broker has beyond what bronze has; a partition never read lags by all that is still there."""
    start, end = unread_spans({} if committed is None else {0: committed}, {0: (oldest, high)})[0]
    assert end - start == lag
