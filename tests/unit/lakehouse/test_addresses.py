"""Where what runs is found: the names that `lakehouse status --json` has under `addresses`."""

from pathlib import Path
from types import SimpleNamespace

import pytest

from lakehouse.cli.rooms import all_programs
from runtime import processes
from runtime.programs import addresses
from runtime.settings import load_settings


def test_each_part_that_runs_has_an_address(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """API, dashboard, sharing, PostgreSQL, queues, hub and Dagster, by these names; none of them while nothing runs."""
    settings = load_settings({"LAKEHOUSE_HOME": str(tmp_path)})
    assert addresses(settings, all_programs()) == {}
    monkeypatch.setattr(processes, "find", lambda _, name: SimpleNamespace(address=f"http://127.0.0.1/{name}"))
    found = addresses(settings, all_programs())
    assert {"api", "dashboard", "sharing", "postgres", "queues", "hub", "dagster"} <= set(found)
    assert all(found.values())
