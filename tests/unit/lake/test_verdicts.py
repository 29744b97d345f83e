"""Verdicts and releases: which of several counts, and what is held now."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pyarrow as pa
import pytest

from lake.records.publications import Publication, record
from lake.records.verdicts import (
    Failure,
    Verdict,
    held_entry,
    input_version,
    latest_failures,
    passing,
    record_verdicts,
    release,
    verdicts_at,
    with_earlier_releases,
)
from lake.storage.delta import append, arrow_schema, ensure_table
from lake.storage.delta import replace as replace_rows
from lake.tables.contracts import Table
from lake.tables.ops import OPS_VERDICTS
from runtime.errors import UsageError
from runtime.settings import Settings

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)
V1, V2 = input_version({"silver.thermostats": 1}), input_version({"silver.thermostats": 2})
FAILURE = Failure("rejected_share", "reason", 0.4, 0.05, "40 % of thermostats readings were rejected (limit 5 %)")
GOOD = Verdict("silver.thermostats", "2026-11-20T05", V1, True, (), 100, "digest", "run", NOW)
BAD = replace(GOOD, is_passing=False, failures=(FAILURE,))


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """A lake without tables."""
    return Settings(home=tmp_path, lake_uri=str(tmp_path / "lake"))


def test_input_versions_are_canonical() -> None:
    """The same versions are the same text, in whatever order they come."""
    assert input_version({"b": 2, "a": 1}) == input_version({"a": 1, "b": 2}) == '{"a":1,"b":2}'


def test_verdicts_come_back_as_stored(settings: Settings) -> None:
    """Failures, times and all fields survive storing."""
    record_verdicts(settings, [BAD])
    (stored,) = verdicts_at(settings, V1).values()
    assert replace(stored, verdict_id="") == BAD


def test_nothing_passes_that_was_not_judged(settings: Settings) -> None:
    """No verdict, a failing one, and one on other inputs all mean: not passing."""
    slices = ["2026-11-20T05", "2026-11-20T06", "2026-11-20T07", "2026-11-20T08"]
    assert passing(settings, GOOD.table, slices, V1) == set()
    others = [replace(BAD, slice=slices[1]), replace(GOOD, slice=slices[2], input_version=V2)]
    record_verdicts(settings, [GOOD, *others, replace(GOOD, slice=slices[3], table="silver.pumps")])
    assert passing(settings, GOOD.table, slices, V1) == {slices[0]}


def test_the_newest_verdict_counts_whatever_the_clock_says(settings: Settings) -> None:
    """A machine whose clock steps back cannot bring an old verdict back."""
    record_verdicts(settings, [GOOD])
    record_verdicts(settings, [replace(BAD, checked_at=NOW - timedelta(days=2))])
    assert passing(settings, GOOD.table, [GOOD.slice], V1) == set()


def test_a_slice_is_held_until_its_newest_input_version_passes(settings: Settings) -> None:
    """What failed at an older version is not held once the slice passes, in that table or another."""
    record_verdicts(settings, [BAD, replace(BAD, table="gold.device_hours")])
    assert {v.table for v in latest_failures(settings)} == {"silver.thermostats", "gold.device_hours"}
    record_verdicts(settings, [replace(GOOD, input_version=V2)])
    assert latest_failures(settings) == []


def test_a_verdict_on_many_slices_is_found_for_each(settings: Settings) -> None:
    """Hours that follow each other and all pass have one row, and each of them its verdict; no other hour has."""
    day = replace(GOOD, slice="2026-11-20T00", last_slice="2026-11-20T23", row_count=2400)
    record_verdicts(settings, [day])
    assert len(verdicts_at(settings, V1)) == 24
    wanted = ["2026-11-19T23", "2026-11-20T00", "2026-11-20T12", "2026-11-20T23", "2026-11-21T00"]
    assert passing(settings, GOOD.table, wanted, V1) == set(wanted[1:4])
    days = replace(day, table="gold.device_days", slice="2026-11-20", last_slice="2026-12-02")
    record_verdicts(settings, [days])
    assert passing(settings, days.table, ["2026-11-30", "2026-12-03", "2026-11-20T05"], V1) == {"2026-11-30"}
    record_verdicts(settings, [replace(BAD, slice="2026-11-20T12")])
    assert passing(settings, GOOD.table, wanted, V1) == {wanted[1], wanted[3]}


def test_a_later_verdict_on_many_slices_lets_go_of_a_held_one(settings: Settings) -> None:
    """What failed alone is not held any more once a range passes that it lies in; one before the range stays held."""
    before = replace(BAD, slice="2026-11-19T05")
    record_verdicts(settings, [BAD, before])
    later = replace(GOOD, slice="2026-11-20T00", last_slice="2026-11-20T23", input_version=V2)
    record_verdicts(settings, [later])
    assert [verdict.slice for verdict in latest_failures(settings)] == [before.slice]


def test_verdicts_of_before_are_read(settings: Settings) -> None:
    """A table that has no last slices yet says what it said, and gets the column with the next verdict."""
    columns = [column for column in arrow_schema(OPS_VERDICTS) if column.name != "last_slice"]
    older = Table(OPS_VERDICTS.name, "", tuple(c for c in OPS_VERDICTS.columns if c.name != "last_slice"),
                  OPS_VERDICTS.key, "delta-rs", OPS_VERDICTS.partition_by)  # fmt: skip
    ensure_table(settings, older)
    row = {
        **vars(BAD),
        "table_name": BAD.table,
        "failures": "[]",
        "verdict_id": "000000000000-000000",
        "checked_date": NOW.date(),
    }
    append(settings, older, pa.Table.from_pylist([row], schema=pa.schema(columns)), {"step": "t"})
    assert [verdict.slice for verdict in latest_failures(settings)] == [BAD.slice]
    record_verdicts(settings, [replace(GOOD, slice="2026-11-20T00", last_slice="2026-11-20T23", input_version=V2)])
    assert latest_failures(settings) == []
    assert len(verdicts_at(settings, V1)) == 1


def test_a_table_of_before_gets_the_column_when_rows_are_replaced_too(settings: Settings) -> None:
    """As an erasure does, which writes days with its device in them again."""
    older = Table(OPS_VERDICTS.name, "", tuple(c for c in OPS_VERDICTS.columns if c.name != "last_slice"),
                  OPS_VERDICTS.key, "delta-rs", OPS_VERDICTS.partition_by)  # fmt: skip
    ensure_table(settings, older)
    row = {**vars(BAD), "table_name": BAD.table, "failures": "[]", "verdict_id": "1", "checked_date": NOW.date()}
    made = pa.Table.from_pylist([row], schema=arrow_schema(OPS_VERDICTS))
    replace_rows(settings, OPS_VERDICTS, made.to_reader, f"checked_date = DATE '{NOW.date()}'", {"step": "t"})
    assert [verdict.slice for verdict in verdicts_at(settings, V1).values()] == [BAD.slice]


def test_held_slices_of_old_days_come_from_the_newest_publication(settings: Settings) -> None:
    """Only verdicts since the newest publication are read, and yet nothing held is forgotten."""
    old = replace(BAD, checked_at=NOW - timedelta(days=9))
    other = replace(BAD, slice="2026-11-20T06", checked_at=NOW - timedelta(days=9))
    record_verdicts(settings, [old, other, replace(old, slice="2026-11-20T09")])
    held = (held_entry(old), held_entry(other))
    record(settings, Publication(1, NOW, {}, {}, (), held, (), "", "", {}, "0.1.0", "run"))
    assert [v.slice for v in latest_failures(settings)] == [old.slice, other.slice]
    record_verdicts(settings, [replace(GOOD, slice=old.slice, input_version=V2)])
    assert latest_failures(settings) == [other]


def test_a_released_slice_passes_and_says_who_and_why(settings: Settings) -> None:
    """A release is a passing verdict on the same input version, with who, why and the failures."""
    record_verdicts(settings, [BAD, replace(GOOD, table="silver.pumps")])
    (released,) = release(settings, BAD.slice, "sensor swap, known", "kim", NOW)
    assert passing(settings, BAD.table, [BAD.slice], V1) == {BAD.slice}
    assert (released.released_by, released.release_reason) == ("kim", "sensor swap, known")
    assert released.failures == (FAILURE,)
    assert latest_failures(settings) == []


def test_a_release_carries_on_while_the_findings_are_the_same(settings: Settings) -> None:
    """New data elsewhere moves the input version; what was looked at and let pass stays let pass until it changes."""
    record_verdicts(settings, [BAD])
    release(settings, BAD.slice, "known", "kim", NOW)
    same = replace(BAD, input_version=V2)
    worse = replace(same, failures=(replace(FAILURE, observed=0.9),))
    more = replace(same, row_count=101)
    elsewhere = replace(same, slice="2026-11-20T06")
    carried, *others = with_earlier_releases(settings, [same, worse, more, elsewhere])
    assert (carried.is_passing, carried.released_by, carried.input_version) == (True, "kim", V2)
    assert [v.is_passing for v in others] == [False, False, False]


@pytest.mark.parametrize("expectation", ["keys_are_unique", "required_columns_are_filled"])
def test_what_contradicts_itself_cannot_be_released(settings: Settings, expectation: str) -> None:
    """Repeated keys are no matter of opinion: the release is refused, and an earlier one does not carry on to them."""
    failure = Failure(expectation, "device_id", 1, 0, "1 row with a repeated key")
    wrong = replace(BAD, failures=(FAILURE, failure))
    record_verdicts(settings, [wrong])
    with pytest.raises(UsageError, match=r"2026-11-20T\d\d cannot be released: .*: 1 row with a repeated key"):
        release(settings, wrong.slice, "I know", "kim", NOW)
    assert [v.slice for v in latest_failures(settings)] == [wrong.slice]
    record_verdicts(settings, [replace(wrong, is_passing=True, released_by="kim", release_reason="before")])
    assert [v.is_passing for v in with_earlier_releases(settings, [replace(wrong, input_version=V2)])] == [False]


@pytest.mark.parametrize("why", ["", "  "])
def test_a_release_needs_a_reason(settings: Settings, why: str) -> None:
    """Who reads the publication later must find out why."""
    record_verdicts(settings, [BAD])
    with pytest.raises(UsageError, match="needs a reason"):
        release(settings, BAD.slice, why, "kim", NOW)


def test_only_a_held_slice_can_be_released(settings: Settings) -> None:
    """A slip of the hand names the slices that are held."""
    record_verdicts(settings, [BAD])
    with pytest.raises(UsageError, match=r"Held are: 2026-11-20T05"):
        release(settings, "2026-11-20T06", "known", "kim", NOW)
