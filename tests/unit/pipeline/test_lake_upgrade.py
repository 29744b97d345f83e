"""A lake of an earlier format is opened as it is, brought up whole, and then refused by earlier programs."""

from datetime import UTC, datetime
from pathlib import Path

import pytest

from lake.models.catalog import known_models
from lake.reading.reader import open_reader
from lake.storage import format_version
from lake.storage.delta import ensure_table, open_table
from lake.storage.format_version import FORMAT, KEEP_LOG, description, format_of
from lake.tables.gold import GOLD_TABLES
from lakehouse.cli.main import run as run_command
from pipeline.checks import check_format
from pipeline.gold.stale import stale_slices
from pipeline.lake_upgrade import tables_behind, upgrade
from pipeline.proof.lineage_sql import rows_of
from pipeline.run import Run
from runtime.errors import FormatError
from runtime.settings import Settings
from tests.faults.harness import Point, run_to
from tests.support.old_lakes import unpacked

STEPS = FORMAT - 1
"""The steps that each table of the old lake, which has format 1, has before it."""


@pytest.fixture
def old(tmp_path: Path) -> Settings:
    """The kept lake of format 1: 17 tables, two publications."""
    return unpacked(tmp_path, 1)


def upgraded(settings: Settings) -> list[str]:
    """The tables that an upgrade brings up."""
    run = Run(settings, known_models(settings), "upgrade", datetime.now(UTC))
    return [each.table for each in upgrade(run)]


def upgrading(settings: Settings) -> None:
    """The same, for a process that is killed at it."""
    upgraded(settings)


def published(settings: Settings, publication: int) -> dict[str, list[dict[str, object]]]:
    """What readers see of a publication's gold: the rows of each table, by their columns' names."""
    with open_reader(settings, known_models(settings), as_of=publication) as reader:
        assert reader.publication is not None
        names = [table.name for table in GOLD_TABLES if table.name in reader.publication.tables]
        return {name: rows_of(reader, f"SELECT * FROM {name} ORDER BY ALL") for name in names}


def test_an_older_lake_is_read_as_it_is_and_brought_up_without_changing_a_figure(old: Settings) -> None:
    """Both publications read the same before and after, only what the lake lacks is stale, a second one is none."""
    models = known_models(old)
    before = {number: published(old, number) for number in (1, 2)}
    assert len(before[2]["gold.device_hours"]) == 33
    behind = [each.table for each in tables_behind(old, models)]
    assert len(behind) == 17
    assert check_format(old).advice.startswith("Run `lakehouse upgrade`")
    assert upgraded(old) == behind
    for name in behind:
        opened = open_table(old, name)
        assert opened is not None
        assert format_of(opened) == FORMAT
        assert opened.metadata().configuration[KEEP_LOG] == "false"
    assert {number: published(old, number) for number in (1, 2)} == before
    reasons = {reason for each in stale_slices(old, models).hours.values() for reason in each}
    assert all(reason.endswith(" is not published yet") for reason in reasons)
    assert check_format(old).is_ok
    assert upgraded(old) == []


@pytest.mark.parametrize(
    "point",
    [
        Point("pipeline.lake_upgrade._bring_up", 1),
        Point("pipeline.lake_upgrade._bring_up", 8 * STEPS + 1),
        Point("pipeline.lake_upgrade.description", 8 * STEPS + 1),
        Point("pipeline.lake_upgrade._bring_up", 17 * STEPS, when="after"),
    ],
    ids=["before the first table", "between tables", "before a table says it", "after the last"],
)
def test_an_upgrade_that_is_killed_goes_on_when_it_is_run_again(old: Settings, point: Point) -> None:
    """Each table is in the one format or in the other, and none is forgotten."""
    before = published(old, 2)
    run_to(point, upgrading, old)
    done = point.call if point.when == "after" else point.call - 1
    assert published(old, 2) == before
    assert len(upgraded(old)) == 17 - done // STEPS
    assert tables_behind(old, known_models(old)) == []
    assert published(old, 2) == before


def test_a_newer_lake_is_refused_with_a_sentence(
    old: Settings, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Reading, writing and upgrading name the table and both formats, and what to do."""
    monkeypatch.setenv("LAKEHOUSE_HOME", str(old.home))
    opened = open_table(old, "ops.publications")
    assert opened is not None
    opened.alter.set_table_description(description(FORMAT + 1))
    for command in (["sql", "SELECT 1"], ["status"], ["upgrade"], ["upgrade", "--dry-run"]):
        assert run_command(command) == 1
        said = capsys.readouterr().err
        assert f"ops.publications has format {FORMAT + 1} of the lake" in said
        assert f"formats up to {FORMAT}" in said


def test_a_lake_that_is_too_old_is_refused(old: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    """Once a format is no longer opened, the sentence says which program brings it up."""
    monkeypatch.setattr(format_version, "OLDEST", 2)
    with pytest.raises(FormatError, match="opens formats from 2 on: run `lakehouse upgrade` of an older one first"):
        open_table(old, "gold.devices")


def test_a_table_that_is_made_now_has_the_format(tmp_path: Path) -> None:
    """A new lake needs no upgrade."""
    settings = Settings(home=tmp_path, lake_uri=str(tmp_path / "lake"))
    assert format_of(ensure_table(settings, GOLD_TABLES[0])) == FORMAT
    assert tables_behind(settings, {}) == []


def test_the_command_says_what_it_does(
    old: Settings, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A dry run changes nothing; the upgrade names each table."""
    monkeypatch.setenv("LAKEHOUSE_HOME", str(old.home))
    assert run_command(["upgrade", "--dry-run"]) == 0
    assert capsys.readouterr().out.startswith("In an earlier format than 3: 17 tables.")
    assert run_command(["upgrade"]) == 0
    captured = capsys.readouterr()
    assert captured.out == "In format 3 now: 17 tables.\n"
    assert "silver.rejected from format 1 to 3" in captured.err
    assert run_command(["upgrade"]) == 0
    assert capsys.readouterr().out == "Nothing to do: every table has format 3.\n"
