"""The demo's own parts: whose home it may empty, which hour it breaks, and its display of steps."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pyarrow as pa
import pytest
from deltalake import CommitProperties, Transaction, write_deltalake

from lake.storage.applications import App
from lake.storage.locations import table_uri
from lakehouse.cli import demo_home
from lakehouse.cli.commands.demo import Steps, _impossible_hour, _options, _seed, in_background
from runtime import processes
from runtime.errors import PlatformError, UsageError
from runtime.process_ids import ProcessId
from runtime.process_records import ProcessRecord
from runtime.settings import Settings


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(home=tmp_path / "home", lake_uri=str(tmp_path / "home" / "lake"))


def mark(settings: Settings, seed: int, before: demo_home.Marker | None = None) -> None:
    """As a demo does that comes to its end; by default it began with an empty home."""
    settings.home.mkdir(parents=True, exist_ok=True)
    with demo_home.marked(settings, before or demo_home.Marker(settings.lake_uri), seed):
        pass


def land(settings: Settings, at: float, content: bytes = b"message") -> None:
    """A message in the embedded broker's log, as of a time."""
    log = settings.home / "kafka" / "data" / "telemetry-3" / "00000000000000000000.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    log.write_bytes(content)
    os.utime(log, (at, at))


def ingest(settings: Settings, end: int) -> None:
    """A bronze commit that has come to `end`."""
    write_deltalake(
        table_uri(settings, "bronze.telemetry"), pa.table({"offset": [1]}), mode="append",
        commit_properties=CommitProperties(app_transactions=[Transaction(App.INGEST, end)]),
    )  # fmt: skip


def add_others(settings: Settings) -> list[Path]:
    """What a demo is to leave alone, and what it is to clear."""
    kept = [settings.models_folder / "mine.json", settings.log_folder / "broker.log"]
    for path in (*kept, settings.home / "manifests" / "old.json", settings.dagster_home / "runs.db"):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("x")
    return kept


def test_an_empty_home_is_ready(settings: Settings) -> None:
    """A home that is not there yet is made, and has no demo's seeds."""
    assert demo_home.prepare(settings, keep=False).seeds == ()
    assert settings.home.is_dir()


def test_what_a_demo_left_is_emptied(settings: Settings) -> None:
    """Messages, lake, runs and manifests of the last demo go; models that were added and logs stay."""
    land(settings, 100.0)
    ingest(settings, 5)
    kept = add_others(settings)
    mark(settings, 7)
    assert demo_home.prepare(settings, keep=False).seeds == ()
    assert sorted(path.name for path in settings.home.iterdir()) == ["logs", "models"]
    assert all(path.exists() for path in kept)


def test_a_demo_that_was_killed_can_be_run_again(settings: Settings) -> None:
    """What it had sent is its own, although it could not write down how much that was."""
    with demo_home.marked(settings, demo_home.prepare(settings, keep=False), 7):
        land(settings, 100.0)
        killed = (settings.home / "demo.json").read_text()
    (settings.home / "demo.json").write_text(killed)
    demo_home.prepare(settings, keep=False)
    assert not (settings.home / "kafka").exists()


def test_a_demo_that_failed_writes_down_how_far_it_came(settings: Settings) -> None:
    """Messages that land after a failed demo are as safe as after a good one."""

    def fail() -> None:
        with demo_home.marked(settings, demo_home.prepare(settings, keep=False), 7):
            land(settings, 100.0)
            raise PlatformError("no Java")

    with pytest.raises(PlatformError):
        fail()
    land(settings, 101.0)
    with pytest.raises(UsageError, match="since its demo"):
        demo_home.prepare(settings, keep=False)


def test_data_that_no_demo_made_is_refused_and_left(settings: Settings) -> None:
    """A home that somebody filled is not touched, and the error says what else to do."""
    land(settings, 100.0)
    with pytest.raises(UsageError, match=r"no demo made.*LAKEHOUSE_HOME.*--keep"):
        demo_home.prepare(settings, keep=False)
    assert (settings.home / "kafka" / "data" / "telemetry-3").exists()


def test_messages_that_landed_after_the_demo_are_not_lost(settings: Settings) -> None:
    """A demo's home in which something has landed since is refused."""
    land(settings, 100.0)
    mark(settings, 7)
    land(settings, 101.0)
    with pytest.raises(UsageError, match="since its demo"):
        demo_home.prepare(settings, keep=False)


def test_records_that_another_broker_brought_are_not_lost(settings: Settings) -> None:
    """Bronze that has come further than the demo took it is refused, also when Kafka's folder tells nothing."""
    ingest(settings, 5)
    mark(settings, 7)
    ingest(settings, 6)
    with pytest.raises(UsageError, match="since its demo"):
        demo_home.prepare(settings, keep=False)


def test_a_marker_counts_for_its_own_lake_only(settings: Settings, tmp_path: Path) -> None:
    """The demo of another lake does not allow to empty this one."""
    demo_home.prepare(settings, keep=False)
    mark(settings, 7)
    other = Settings(home=settings.home, lake_uri=str(tmp_path / "other"))
    ingest(other, 5)
    with pytest.raises(UsageError, match="no demo made"):
        demo_home.prepare(other, keep=False)
    assert Path(other.lake_uri).exists()


def test_a_broken_marker_protects(settings: Settings) -> None:
    """A marker that cannot be read is none."""
    land(settings, 100.0)
    (settings.home / "demo.json").write_text("{")
    with pytest.raises(UsageError, match="no demo made"):
        demo_home.prepare(settings, keep=False)


def test_keep_empties_nothing_and_remembers_the_seeds(settings: Settings) -> None:
    """What earlier demos left stays, and may be emptied later."""
    land(settings, 100.0)
    mark(settings, 7)
    before = demo_home.prepare(settings, keep=True)
    assert before.seeds == (7,)
    assert (settings.home / "kafka" / "data" / "telemetry-3").exists()
    land(settings, 101.0)
    mark(settings, 8, before)
    assert demo_home.prepare(settings, keep=True).seeds == (7, 8)
    demo_home.prepare(settings, keep=False)
    assert not (settings.home / "kafka").exists()


@pytest.mark.parametrize("earlier", [False, True])
def test_what_a_demo_was_added_to_is_never_emptied(settings: Settings, earlier: bool) -> None:
    """Others' data stays protected after a demo with --keep, and after the next."""
    if earlier:
        demo_home.prepare(settings, keep=False)
        mark(settings, 6)
    land(settings, 100.0)
    for seed in (7, 8):
        before = demo_home.prepare(settings, keep=True)
        land(settings, 100.0 + seed)
        mark(settings, seed, before)
    with pytest.raises(UsageError, match="to which one was added"):
        demo_home.prepare(settings, keep=False)


def test_a_home_in_use_is_refused(settings: Settings) -> None:
    """While a program runs for the home nothing is emptied under it."""
    settings.run_folder.mkdir(parents=True)
    processes.write(settings, ProcessRecord("broker", ProcessId.of(), ""))
    with pytest.raises(UsageError, match=r"broker of .* run.*lakehouse down"):
        demo_home.prepare(settings, keep=False)


def test_a_full_disk_is_said_before_anything_is_done(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    """Too little room is one sentence, and nothing is emptied."""
    land(settings, 100.0)
    mark(settings, 7)
    monkeypatch.setattr(demo_home, "_NEEDED_BYTES", 10**18)
    with pytest.raises(PlatformError, match="GB of disk left"):
        demo_home.prepare(settings, keep=False)
    assert (settings.home / "demo.json").exists()


@pytest.mark.parametrize("hour_of_day", range(24))
@pytest.mark.parametrize("hours", [3, 6, 24, 48])
def test_the_broken_hour_lies_amid_the_simulation(hour_of_day: int, hours: int) -> None:
    """It has a simulated hour before it and one after it, whenever the demo starts."""
    hour = _impossible_hour(datetime(2026, 11, 20, hour_of_day, tzinfo=UTC), hours)
    assert 0 < hour < hours - 1


@pytest.mark.parametrize("hour_of_day", range(24))
def test_a_whole_day_is_published_beside_the_broken_hour(hour_of_day: int) -> None:
    """The demo's 48 hours have a day with all its 24 hours that is not the held one."""
    start = datetime(2026, 11, 20, hour_of_day, tzinfo=UTC)
    held = (start + timedelta(hours=_impossible_hour(start, 48))).date()
    days = [(start + timedelta(hours=i)).date() for i in range(48)]
    assert any(days.count(day) == 24 for day in set(days) - {held})


def test_the_simulated_hours_are_over() -> None:
    """The simulation ends on the hour, at or before now, and has an impossible share."""
    options = _options(5, 6, 3)
    assert options.end <= datetime.now(UTC) < options.end + timedelta(hours=1, minutes=1)
    assert options.faults.impossible is not None


def test_a_seed_is_used_once_in_a_home() -> None:
    """The same seed again would send repeats of what is there."""
    assert _seed(None, ()) == 7
    assert _seed(None, (7, 9)) == 10
    assert _seed(4, (7,)) == 4
    with pytest.raises(UsageError, match="another --seed"):
        _seed(7, (7,))


def test_what_starts_in_the_background_is_left_at_the_end() -> None:
    """The value comes through a future, and the manager is left also when the block fails."""
    seen = []

    @contextmanager
    def manager() -> Iterator[str]:
        seen.append("entered")
        yield "address"
        seen.append("left")

    with in_background(manager()) as future:
        assert future.result(timeout=60) == "address"
        assert seen == ["entered"]
    assert seen == ["entered", "left"]


def test_what_fails_in_the_background_fails_where_it_is_asked_for() -> None:
    """An error of the manager reaches the block that waits for it."""

    @contextmanager
    def manager() -> Iterator[str]:
        raise PlatformError("no Java")
        yield ""

    with pytest.raises(PlatformError, match="no Java"), in_background(manager()) as future:
        future.result(timeout=60)


def test_each_step_ends_with_its_seconds(capsys: pytest.CaptureFixture[str]) -> None:
    """A step prints its title, a line a stage and what came of it; parts of a stage are not lines of their own."""
    steps = Steps()
    with steps.step("Build") as step:
        step.stage("bronze")
        step.stage("one (1 of 2)")
        step.stage("silver")
        step.result = "7 rows"
    lines = capsys.readouterr().out.splitlines()
    assert [line.split("  ")[0] for line in lines if not line.startswith("   ")] == ["1. Build"]
    assert [line.split()[0] for line in lines] == ["1.", "bronze", "silver", "7"]
    assert all(line.endswith(" s") for line in lines[1:])
