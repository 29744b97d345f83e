"""The command `missing`: which published hours make up a gap."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from lake.records import publications
from lake.records.publications import Publication
from lake.storage.delta import append
from lake.tables.gold import DEVICE_COMPLETENESS
from lakehouse.cli.commands.missing import missing
from runtime.errors import UsageError
from runtime.settings import Settings
from tests.support.small_lake import arrow_table

START = datetime(2026, 11, 20, 22, tzinfo=UTC)


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A lake in which d1 lacks 1, 2, 0 and 4 readings of four hours over midnight, and d'2 lacks 3 of the second."""
    settings = Settings(home=tmp_path, lake_uri=str(tmp_path / "lake"))
    missed = [("d1", i, count) for i, count in enumerate((1, 2, 0, 4))] + [("d'2", 1, 3)]
    rows = []
    for device_id, hours, count in missed:
        at = START + timedelta(hours=hours)
        row: dict[str, Any] = {column.name: 0 for column in DEVICE_COMPLETENESS.columns if column.type == "bigint"}
        row |= {"device_id": device_id, "site_id": "s1", "hour_at": at, "event_date": at.date(), "event_hour": at.hour}
        rows.append(row | {"expected_count": 60, "missing_count": count})
    version = append(settings, DEVICE_COMPLETENESS, arrow_table(DEVICE_COMPLETENESS, rows), {})
    publications.record(
        settings,
        Publication(
            publication_id=1, published_at=START, tables={DEVICE_COMPLETENESS.name: version}, inputs={}, slices=(),
            held=(), releases=(), first_slice="", last_slice="", models={}, code_version="1", run_id="run",
        ),
    )  # fmt: skip
    monkeypatch.setenv("LAKEHOUSE_HOME", str(tmp_path))
    return tmp_path


def gaps(*arguments: str) -> list[tuple[Any, ...]]:
    """The gaps as (device, from, to, missing, expected)."""
    result = CliRunner().invoke(missing, [*arguments, "--format", "json"], catch_exceptions=False)
    names = ("device_id", "from_at", "to_at", "missing_count", "expected_count")
    return [tuple(row[name] for name in names) for row in json.loads(result.stdout)]


@pytest.mark.usefixtures("home")
def test_hours_that_follow_each_other_are_one_gap() -> None:
    """Over midnight too; an hour in which all came ends the gap."""
    assert gaps("--from", "2026-11-20", "--to", "2026-11-21") == [
        ("d1", "2026-11-20T22:00:00Z", "2026-11-21T00:00:00Z", 3, 120),
        ("d'2", "2026-11-20T23:00:00Z", "2026-11-21T00:00:00Z", 3, 60),
        ("d1", "2026-11-21T01:00:00Z", "2026-11-21T02:00:00Z", 4, 60),
    ]


@pytest.mark.usefixtures("home")
def test_only_what_was_asked_for() -> None:
    """The hours between --from and --to, both included, and one device, whatever its name."""
    assert gaps("--from", "2026-11-20T23", "--to", "2026-11-21T00", "--device", "d1") == [
        ("d1", "2026-11-20T23:00:00Z", "2026-11-21T00:00:00Z", 2, 60)
    ]
    assert [gap[0] for gap in gaps("--from", "2026-11-20", "--to", "2026-11-21", "--device", "d'2")] == ["d'2"]
    assert gaps("--from", "2026-11-22", "--to", "2026-11-23") == []


@pytest.mark.usefixtures("home")
def test_hours_in_the_wrong_order_are_refused() -> None:
    """The end before the start is a mistake, not an empty answer."""
    with pytest.raises(UsageError, match="is before --from"):
        gaps("--from", "2026-11-21", "--to", "2026-11-20")
