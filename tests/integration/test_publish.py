"""Publishing on real Delta tables: what is refused, what is held, and what readers see when a run is killed."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from lake.records import publications
from lake.records.verdicts import Failure, Verdict, input_version, latest_failures, record_verdicts, release
from lake.slices import slice_of
from lake.storage.delta import commit_metadata, open_table, read_rows
from lake.storage.open_logs import open_logs
from lake.tables.gold import BUILT_UPON, DAILY, DEVICE_SILENCES, GOLD_TABLES, HOURLY, UNSLICED, WHOLE
from pipeline.gold import publish as publishing
from pipeline.gold.publish import publish
from pipeline.run import Run
from runtime.errors import GateError, StepError
from runtime.settings import Settings
from tests.support.log_openings import counted_openings
from tests.support.small_lake import H5, H6, H7, NEXT_DAY, NOW, THERMOSTATS, Candidate, Lake

DAY, OTHER_DAY = "2026-11-20", "2026-11-21"
HOURS, MINUTES, DAYS = "gold.device_hours", "gold.device_minutes", "gold.device_days"
FAILURE = Failure("rows_lie_in_their_slice", "hour_at", 2, 0, "2 rows lie outside")
Place = tuple[str, str]
COMMITTED = [table for table in GOLD_TABLES if table.kind in (None, "gauge") and table is not DEVICE_SILENCES]
"""The tables that a publication of thermostats commits to, once each: the others have no row."""


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    """Three good hours of two days."""
    lake = Lake(Settings(home=tmp_path, lake_uri=str(tmp_path / "lake")))
    for slice_ in (H5, H6, NEXT_DAY):
        lake.fill(slice_, 3)
    return lake


def made(lake: Lake, hours: list[str], days: list[str]) -> Candidate:
    """A candidate upon the newest publication."""
    newest = publications.newest(lake.settings)
    upon = {t.name: newest.tables[t.name] for t in BUILT_UPON} if newest else {}
    return Candidate(lake, hours, days, lake.write(), upon)


def judge(candidate: Candidate, failing: tuple[Place, ...] = (), missing: tuple[Place, ...] = ()) -> None:
    """Store the verdicts that the gate would have come to; how it does is held by its own tests."""
    places = [(name, hour) for hour in candidate.hours for name in (THERMOSTATS, "silver.rejected")]
    places += [(table.name, hour) for hour in candidate.hours for table in HOURLY]
    places += [(table.name, day) for day in candidate.days for table in DAILY]
    places += [(name, UNSLICED) for name in ("silver.devices", *(table.name for table in WHOLE))]
    version = input_version(candidate.inputs)
    verdicts = [
        Verdict(*place, version, place not in failing, (FAILURE,) if place in failing else (), 3, "digest", "run", NOW)
        for place in places
        if place not in missing
    ]
    record_verdicts(candidate.lake.settings, verdicts)


def published(candidate: Candidate, run_id: str = "run") -> publications.Publication:
    lake = candidate.lake
    return publish(Run(lake.settings, lake.models, run_id, NOW), candidate.write(), code_version="0.1.0")


def seen(lake: Lake, table: str, publication: publications.Publication | None = None) -> list[tuple[Any, ...]]:
    """What a reader sees of a table: slice by slice the readings counted."""
    pinned = publication or publications.newest(lake.settings)
    opened = None if pinned is None else open_table(lake.settings, table, pinned.tables[table])
    rows = [] if opened is None else read_rows(opened)
    return sorted((str(row["event_date"]), row.get("event_hour", 0), row["reading_count"]) for row in rows)


def versions(lake: Lake) -> Mapping[str, int]:
    return {table.name: opened.version() for table in GOLD_TABLES if (opened := open_table(lake.settings, table.name))}


def test_passing_slices_are_published_together(lake: Lake) -> None:
    """One record pins a version of every gold table and says what it was built from."""
    candidate = made(lake, [H5, H6, NEXT_DAY], [DAY, OTHER_DAY])
    judge(candidate)
    publication = published(candidate)
    assert publications.newest(lake.settings) == publication
    assert set(publication.tables) == {table.name for table in GOLD_TABLES}
    assert (publication.publication_id, publication.inputs) == (1, candidate.inputs)
    assert publication.slices == (H5, H6, NEXT_DAY, DAY, OTHER_DAY)
    assert (publication.first_slice, publication.last_slice) == (H5, NEXT_DAY)
    assert publication.models == {model_id: model.digest for model_id, model in lake.models.items()}
    assert seen(lake, HOURS) == [(DAY, 5, 3), (DAY, 6, 3), (OTHER_DAY, 0, 3)]
    assert seen(lake, DAYS) == [(DAY, 0, 6), (OTHER_DAY, 0, 3)]
    metadata = commit_metadata(lake.settings, HOURS, publication.tables[HOURS])
    assert metadata == {"step": "publish", "inputs": candidate.inputs, "slices": [[H5, 2], [NEXT_DAY, 1]],
                        "run_id": "run"}  # fmt: skip


def test_a_publication_opens_each_log_once(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its newest version once, and the versions of gold that it and the one before pin once each, for their files."""
    for count in (1, 2):
        candidate = made(lake, [H5, H6, NEXT_DAY], [DAY, OTHER_DAY])
        judge(candidate)
        with monkeypatch.context() as patched, open_logs():
            openings = counted_openings(patched)
            published(candidate)
        every = publications.list_all(lake.settings)
        assert len(every) == count
        pinned = {f"{name}@{version}" for each in every for name, version in each.tables.items()}
        assert {each for each in openings if "@" in each} == pinned
        assert max(Counter(openings).values()) == 1


def test_a_table_without_a_row_is_not_committed(lake: Lake) -> None:
    """The thermostats' publications pin counters, states and silences as they were made; what has rows is
    committed."""
    for _ in range(2):
        candidate = made(lake, [H5, H6, NEXT_DAY], [DAY, OTHER_DAY])
        judge(candidate)
        tables = published(candidate).tables
    assert {name for name, version in tables.items() if version} == {table.name for table in COMMITTED}
    assert min(version for version in tables.values() if version) == 2


@pytest.mark.parametrize(
    "place",
    [(MINUTES, H6), (HOURS, H5), ("silver.rejected", H5), (THERMOSTATS, NEXT_DAY), (DAYS, DAY),
     ("gold.device_latest", UNSLICED), ("gold.devices", UNSLICED), ("silver.devices", UNSLICED)],
    ids="-".join,
)  # fmt: skip
def test_nothing_is_published_without_a_verdict(lake: Lake, place: Place) -> None:
    """One missing verdict refuses the whole publication, whoever asks, and touches no table."""
    candidate = made(lake, [H5, H6, NEXT_DAY], [DAY, OTHER_DAY])
    judge(candidate, missing=(place,))
    with pytest.raises(GateError, match=f"No verdict is stored for {place[0]} {place[1]}"):
        published(candidate)
    assert publications.newest(lake.settings) is None
    assert versions(lake) == {}


def test_a_verdict_on_other_inputs_does_not_count(lake: Lake) -> None:
    """What passed at one version of silver says nothing of the next."""
    candidate = made(lake, [H5], [])
    judge(candidate)
    lake.fill(H5, 4)
    later = made(lake, [H5], [])
    with pytest.raises(GateError, match="No verdict is stored"):
        published(later)


@pytest.mark.parametrize("table", ["gold.device_latest", "gold.devices", "silver.devices"])
def test_an_unsliced_table_that_fails_stops_the_publication(lake: Lake, table: str) -> None:
    """Its rows are of all slices, so there is no part of it to hold."""
    candidate = made(lake, [H5], [])
    judge(candidate, failing=((table, UNSLICED),))
    with pytest.raises(GateError, match=rf"{table} all: 2 rows lie outside"):
        published(candidate)
    assert versions(lake) == {}


def test_all_held_is_refused(lake: Lake) -> None:
    """With nothing left to publish there is no publication, and the error says why."""
    candidate = made(lake, [H5], [DAY])
    judge(candidate, failing=((HOURS, H5),))
    with pytest.raises(GateError, match=rf"Nothing is published, since {HOURS} {H5}: 2 rows lie outside"):
        published(candidate)


@pytest.mark.parametrize("table", [MINUTES, HOURS, "gold.device_completeness", THERMOSTATS, "silver.rejected"])
def test_a_held_hour_leaves_the_others_published(lake: Lake, table: str) -> None:
    """An hour that one table fails is held in all of them, with its day; its neighbours and the other day go out."""
    candidate = made(lake, [H5, H6, NEXT_DAY], [DAY, OTHER_DAY])
    judge(candidate, failing=((table, H6),))
    publication = published(candidate)
    assert publication.slices == (H5, NEXT_DAY, OTHER_DAY)
    assert [(entry["slice"], entry["table"]) for entry in publication.held] == [(H6, table)]
    assert publication.held[0]["failures"][0]["message"] == "2 rows lie outside"
    for hourly in (MINUTES, HOURS):
        assert {row[:2] for row in seen(lake, hourly)} == {(DAY, 5), (OTHER_DAY, 0)}
    assert seen(lake, DAYS) == [(OTHER_DAY, 0, 3)]


def test_a_held_day_leaves_its_hours_published(lake: Lake) -> None:
    """A day table that fails holds the day; the hours passed by themselves."""
    candidate = made(lake, [H5, NEXT_DAY], [DAY, OTHER_DAY])
    judge(candidate, failing=(("gold.site_days", DAY),))
    assert published(candidate).slices == (H5, NEXT_DAY, OTHER_DAY)


def test_what_was_published_of_a_held_hour_stays(lake: Lake) -> None:
    """New data that fails does not take away what readers had, of the hour or of its day."""
    first = made(lake, [H5, H6], [DAY])
    judge(first)
    published(first)
    lake.fill(H6, 5)
    lake.fill(H7, 5)
    second = made(lake, [H6, H7], [DAY])
    judge(second, failing=((HOURS, H6),))
    published(second, "other")
    assert seen(lake, HOURS) == [(DAY, 5, 3), (DAY, 6, 3), (DAY, 7, 5)]
    assert seen(lake, DAYS) == [(DAY, 0, 6)]


def test_a_held_hour_is_published_once_mended(lake: Lake) -> None:
    """After the next judgement passes it, the hour and its day come in and are listed as held no more."""
    first = made(lake, [H5, H6], [DAY])
    judge(first, failing=((HOURS, H6),))
    published(first)
    assert [verdict.slice for verdict in latest_failures(lake.settings)] == [H6]
    lake.devices[0]["site_id"] = "s2"
    second = made(lake, [H6], [DAY])
    judge(second)
    publication = published(second, "other")
    assert publication.held == ()
    assert seen(lake, HOURS) == [(DAY, 5, 3), (DAY, 6, 3)]
    assert latest_failures(lake.settings) == []


def test_a_held_hour_is_listed_until_it_is_judged_again(lake: Lake) -> None:
    """A publication of other slices still says what is held, and so does a day of which an hour is held elsewhere."""
    first = made(lake, [H5, H6], [DAY])
    judge(first, failing=((HOURS, H6),))
    published(first)
    lake.fill(H7, 3)
    second = made(lake, [H7, NEXT_DAY], [DAY, OTHER_DAY])
    judge(second)
    publication = published(second, "other")
    assert [entry["slice"] for entry in publication.held] == [H6]
    assert publication.slices == (H7, NEXT_DAY, OTHER_DAY)


def test_a_release_is_in_the_publication_as_long_as_it_is_published(lake: Lake) -> None:
    """Who, when and why stand in each publication until the slice is published anew by its own merit."""
    first = made(lake, [H5, H6], [])
    judge(first, failing=((HOURS, H6),))
    release(lake.settings, H6, "sensor swap", "kim", NOW + timedelta(minutes=1))
    one = published(first)
    expected = {"slice": H6, "table": HOURS, "who": "kim", "when": "2026-11-23T12:01:00+00:00", "why": "sensor swap"}
    assert (one.slices, one.releases) == ((H5, H6), (expected,))
    lake.fill(H7, 3)
    second = made(lake, [H7], [])
    judge(second)
    assert published(second, "other").releases == (expected,)
    lake.fill(H6, 1)
    third = made(lake, [H6], [])
    judge(third)
    assert published(third, "third").releases == ()


def test_many_hours_are_committed_in_parts(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    """A long backfill takes several commits a table, and still one record moves readers to all of it."""
    monkeypatch.setattr(publishing, "_DATES_A_COMMIT", 1)
    candidate = made(lake, [H5, H6, NEXT_DAY], [DAY, OTHER_DAY])
    judge(candidate)
    publication = published(candidate)
    assert publication.tables[MINUTES] == 2
    assert seen(lake, HOURS) == [(DAY, 5, 3), (DAY, 6, 3), (OTHER_DAY, 0, 3)]


def test_a_slice_that_has_come_to_nothing_is_cleared(lake: Lake) -> None:
    """When a rebuild leaves no rows of an hour, readers see none."""
    first = made(lake, [H5, H6], [])
    judge(first)
    published(first)
    lake.readings = [row for row in lake.readings if row["event_hour"] != 6]
    second = made(lake, [H6], [])
    judge(second)
    published(second, "other")
    assert seen(lake, HOURS) == seen(lake, HOURS)[:1] == [(DAY, 5, 3)]


def test_the_span_grows_with_what_is_published(lake: Lake) -> None:
    """The first and the last slice are those of all publications, whichever came in which; days are no slices of it."""
    lake.fill(H7, 3)
    spans = []
    for hours, days in (([H6], [DAY]), ([NEXT_DAY], []), ([H5], []), ([H7], [])):
        candidate = made(lake, hours, days)
        judge(candidate)
        publication = published(candidate, f"run of {hours[0]}")
        spans.append((publication.first_slice, publication.last_slice))
    assert spans == [(H6, H6), (H6, NEXT_DAY), (H5, NEXT_DAY), (H5, NEXT_DAY)]


def test_hours_that_are_gone_leave_the_span(lake: Lake) -> None:
    """At either end, at both at once, and when nothing is left; gone from the middle they change nothing."""
    candidate = made(lake, [H5, H6, NEXT_DAY], [])
    judge(candidate)
    published(candidate)
    spans = []
    for gone in ([NEXT_DAY], [H6, H5]):
        lake.readings = [row for row in lake.readings if slice_of(row["event_at"]) not in gone]
        candidate = made(lake, gone, [])
        candidate.gone, candidate.rows["device_completeness"] = gone, []
        judge(candidate)
        publication = published(candidate, f"run of {gone[0]}")
        spans.append((publication.first_slice, publication.last_slice))
    assert spans == [(H5, H6), ("", "")]
    opened = open_table(lake.settings, "gold.device_completeness")
    assert opened is not None
    assert read_rows(opened) == []


def test_rows_outside_the_plan_are_not_published(lake: Lake) -> None:
    """A candidate file may hold hours that were held and taken out of the plan."""
    candidate = made(lake, [H5, H6], [])
    judge(replace(candidate, hours=[H5], rows={}))
    rows = candidate.rows
    smaller = replace(candidate, hours=[H5])
    smaller.rows = rows
    published(smaller)
    assert seen(lake, HOURS) == [(DAY, 5, 3)]


def test_a_candidate_upon_an_older_publication_is_refused(lake: Lake) -> None:
    """What was published in between would be undone in the tables that carry on from before."""
    first = made(lake, [H5], [])
    judge(first)
    stale = made(lake, [H6], [])
    published(first)
    judge(stale)
    with pytest.raises(StepError, match="Build gold again"):
        published(stale, "other")


def test_publishing_again_in_the_same_run_changes_nothing(lake: Lake) -> None:
    """A step that is retried after its work was done finds it done."""
    candidate = made(lake, [H5, H6], [DAY])
    judge(candidate)
    first, before = published(candidate), versions(lake)
    assert published(candidate) == first
    assert versions(lake) == before


def test_publishing_again_in_another_run_gives_the_same_rows(lake: Lake) -> None:
    """Rebuilding what is published is a new publication that reads the same."""
    candidate = made(lake, [H5, H6], [DAY])
    judge(candidate)
    first = published(candidate)
    again = made(lake, [H5, H6], [DAY])
    judge(again)
    second = published(again, "other")
    assert second.publication_id == 2
    for table in (MINUTES, HOURS, DAYS):
        assert seen(lake, table, first) == seen(lake, table, second)


class Killed(BaseException):
    """Stands for a process that dies: nothing catches it."""


@pytest.mark.parametrize("survived", range(len(COMMITTED) + 1))
def test_readers_never_see_half_a_publication(lake: Lake, monkeypatch: pytest.MonkeyPatch, survived: int) -> None:
    """Killed after any number of gold commits, also before the record: readers stay on the last publication, a run
    that publishes other hours does not carry the unpublished ones along, and running again brings them."""
    first = made(lake, [H5], [])
    judge(first)
    published(first)
    lake.fill(H5, 2)
    second = made(lake, [H5, H6], [DAY])
    judge(second)
    commits = iter(range(survived + 1))
    real = publishing.replace  # type: ignore[attr-defined]

    def dying(*arguments: Any) -> int:
        if next(commits) == survived:
            raise Killed
        return real(*arguments)

    def dying_record(*_: Any) -> None:
        raise Killed("before the record")

    with monkeypatch.context() as patched:
        patched.setattr(publishing, "replace", dying)
        patched.setattr(publications, "record", dying_record)
        with pytest.raises(Killed) as killed:
            published(second, "killed")
    assert (str(killed.value) == "before the record") is (survived == len(COMMITTED))
    assert seen(lake, HOURS) == [(DAY, 5, 3)]
    other = made(lake, [NEXT_DAY], [OTHER_DAY])
    judge(other)
    published(other, "other")
    for table in (MINUTES, HOURS):
        assert {row[:2] for row in seen(lake, table)} == {(DAY, 5), (OTHER_DAY, 0)}
    assert seen(lake, HOURS) == [(DAY, 5, 3), (OTHER_DAY, 0, 3)]
    again = made(lake, [H5, H6], [DAY])
    judge(again)
    published(again, "again")
    assert seen(lake, HOURS) == [(DAY, 5, 5), (DAY, 6, 3), (OTHER_DAY, 0, 3)]


def test_killed_in_the_first_publication(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    """There is nothing to read before the first record, and the next run starts from empty tables."""
    candidate = made(lake, [H5, H6], [])
    judge(candidate)

    def dying_record(*_: Any) -> None:
        raise Killed

    with monkeypatch.context() as patched:
        patched.setattr(publications, "record", dying_record)
        with pytest.raises(Killed):
            published(candidate)
    assert publications.newest(lake.settings) is None
    smaller = made(lake, [H6], [])
    judge(smaller)
    published(smaller)
    assert seen(lake, HOURS) == [(DAY, 6, 3)]


def test_without_a_candidate_there_is_nothing_to_publish(lake: Lake) -> None:
    """The error says what to do."""
    with pytest.raises(StepError, match=r"no gold candidate at .*: build gold first"):
        publish(Run(lake.settings, lake.models, "r", NOW), lake.settings.home / "none.duckdb", code_version="1")
