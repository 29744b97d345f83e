"""The gate on real Delta tables, DuckDB and Great Expectations: every check catches what it is for."""

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb
import pandas as pd
import pytest

from lake.records.verdicts import (
    Failure,
    Verdict,
    input_version,
    latest_failures,
    passing,
    record_verdicts,
    release,
    verdicts_at,
)
from lake.slices import HOUR, slice_start
from lake.storage.duckdb_connection import connect
from lake.tables.gold import BUILT_UPON, DAILY, DEVICE_MINUTES, GOLD_TABLES, HOURLY, WHOLE
from lake.tables.silver import UNSLICED_SILVER
from pipeline.gate.candidates import read_plan
from pipeline.gate.gold_profiles import Gold
from pipeline.gate.judge import Judgement, judge_gold, judge_silver
from pipeline.gate.suites import gold_suite, reading_suite, registry_suite, slice_suite
from pipeline.gate.validation import failures_of
from pipeline.gold.publish import publish
from pipeline.run import Run
from runtime.errors import StepError
from runtime.settings import Settings
from tests.support.small_lake import H5, H6, H7, NEXT_DAY, NOW, THERMOSTAT, THERMOSTATS, Candidate, Lake, Row

REJECTED, REGISTRY, DECLARED = "silver.rejected", "silver.devices", "silver.sites"
DAY = "2026-11-20"
Found = set[tuple[str, str, str]]
Good = tuple[Lake, Mapping[str, int], duckdb.DuckDBPyConnection]


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    """Three good hours of two days."""
    lake = Lake(Settings(home=tmp_path, lake_uri=str(tmp_path / "lake")))
    for slice_ in (H5, H6, NEXT_DAY):
        lake.fill(slice_)
    return lake


def judged(lake: Lake, slices: tuple[str, ...] = (H5, H6, NEXT_DAY), newest: str | None = None) -> Judgement:
    inputs = lake.write()
    return judge_silver(
        Run(lake.settings, lake.models, "run", NOW), slices, inputs,
        bronze_version=lake.version("bronze.telemetry"), up_to_ingest_id=10, newest_slice=newest,
    )  # fmt: skip


def candidate(lake: Lake) -> Candidate:
    return Candidate(lake, [H5, H6, NEXT_DAY], [DAY, "2026-11-21"], lake.write())


def judged_gold(made: Candidate) -> Judgement:
    return judge_gold(Run(made.lake.settings, made.lake.models, "run", NOW), made.write())


def found(judgement: Judgement) -> Found:
    return {(v.table, v.slice, failure.expectation) for v in judgement.failing for failure in v.failures}


def messages(judgement: Judgement) -> str:
    return "\n".join(failure.message for verdict in judgement.failing for failure in verdict.failures)


def test_good_slices_pass(lake: Lake) -> None:
    """A right lake and a right candidate pass everything, each table and slice with a verdict of its own."""
    silver, gold = judged(lake), judged_gold(candidate(lake))
    assert found(silver) | found(gold) == set()
    assert len(silver.verdicts) == 1 + 2 * 3
    assert len(gold.verdicts) == len(HOURLY) * 3 + len(DAILY) * 2 + len(WHOLE)
    assert {v.row_count for v in silver.verdicts if v.table == THERMOSTATS} == {30}
    for judgement in (silver, gold):
        assert {slice_ for v in judgement.verdicts if "T" in v.slice for slice_ in v.slices} == {H5, H6, NEXT_DAY}


# -- silver: what is broken in hour 06, and what must be found


def repeat_message(lake: Lake) -> None:
    lake.read(H6, 1, message_id=lake.readings[31]["message_id"])


def repeat_offset(lake: Lake) -> None:
    lake.readings.append(lake.readings[30] | {"message_id": "other"})


def null_device(lake: Lake) -> None:
    lake.readings[30]["device_id"] = None


def wrong_slice(lake: Lake) -> None:
    lake.readings[30]["event_at"] += timedelta(hours=1)


def impossible_value(lake: Lake) -> None:
    lake.readings[30]["temperature_degc"] = 900.0


def many_rejected(lake: Lake) -> None:
    for minute in range(18):
        lake.refuse(H6, minute, "out_of_range" if minute < 12 else "not_json")


def many_unknown(lake: Lake) -> None:
    for minute in range(9):
        lake.refuse(H6, minute, "unknown_device", model_id=None)


def many_untimed(lake: Lake) -> None:
    for minute in range(9):
        untimed(lake, minute)


def many_untimed_and_unknown(lake: Lake) -> None:
    for minute in range(9):
        untimed(lake, minute, model_id=None)


def untimed(lake: Lake, minute: int, model_id: str | None = THERMOSTAT) -> None:
    """A record of d1 without a time, received in hour 06."""
    at = slice_start(H6) + timedelta(minutes=minute)
    row = lake.refuse(H6, minute, "bad_time", model_id=model_id, measured_at=None, received_at=at)
    row["event_at"] = at


def lost_record(lake: Lake) -> None:
    del lake.readings[30]


def swapped_record(lake: Lake) -> None:
    lake.readings[30]["offset"] = 100_000


def swapped_partitions(lake: Lake) -> None:
    lake.bronze[31]["partition"] = 1
    lake.readings[30]["partition"] = 1


def two_current_records(lake: Lake) -> None:
    lake.devices.append(lake.devices[0] | {"valid_from": datetime(2026, 2, 1, tzinfo=UTC)})


def repeated_rejection(lake: Lake) -> None:
    lake.refuse(H6, 1, "not_json")
    lake.rejected.append(dict(lake.rejected[0]))


def rejection_without_reason(lake: Lake) -> None:
    lake.refuse(H6, 1, "not_json")["reason"] = None


def rejection_in_wrong_slice(lake: Lake) -> None:
    lake.refuse(H6, 1, "not_json")["event_at"] += timedelta(hours=1)


def repeated_registry_record(lake: Lake) -> None:
    lake.devices.append(lake.devices[0] | {"is_current": False})


def registry_without_status(lake: Lake) -> None:
    lake.devices[0]["status"] = None


def two_current_declarations(lake: Lake) -> None:
    lake.site("s1")
    lake.site("s1", zone="Asia/Kolkata")


def no_current_declaration(lake: Lake) -> None:
    lake.site("s1", is_current=False)
    lake.site("s2")


def repeated_declaration(lake: Lake) -> None:
    lake.sites.append(lake.site("s1", is_current=False) | {"is_current": True})


def declaration_without_time(lake: Lake) -> None:
    lake.site("s1", declared_at=None)


SILVER_CASES: list[tuple[Callable[[Lake], None], Found]] = [
    (repeat_message, {(THERMOSTATS, H6, "keys_are_unique")}),
    (repeat_offset, {(THERMOSTATS, H6, "offsets_are_unique"), (REJECTED, H6, "every_record_is_there"),
                     (REJECTED, H6, "records_are_the_same")}),
    (null_device, {(THERMOSTATS, H6, "required_columns_are_filled")}),
    (wrong_slice, {(THERMOSTATS, H6, "rows_lie_in_their_slice")}),
    (impossible_value, {(THERMOSTATS, H6, "values_are_in_range")}),
    (many_rejected, {(THERMOSTATS, H6, "rejected_share")}),
    (many_unknown, {(REJECTED, H6, "rejected_share")}),
    (many_untimed, {(THERMOSTATS, H6, "untimed_share")}),
    (many_untimed_and_unknown, {(REJECTED, H6, "untimed_share")}),
    (lost_record, {(REJECTED, H6, "every_record_is_there"), (REJECTED, H6, "records_are_the_same")}),
    (swapped_record, {(REJECTED, H6, "records_are_the_same")}),
    (swapped_partitions, {(REJECTED, H6, "records_are_the_same")}),
    (repeated_rejection, {(REJECTED, H6, "keys_are_unique"), (REJECTED, H6, "every_record_is_there"),
                          (REJECTED, H6, "records_are_the_same")}),
    (rejection_without_reason, {(REJECTED, H6, "required_columns_are_filled")}),
    (rejection_in_wrong_slice, {(REJECTED, H6, "rows_lie_in_their_slice")}),
    (two_current_records, {(REGISTRY, "all", "one_record_is_current")}),
    (repeated_registry_record, {(REGISTRY, "all", "keys_are_unique")}),
    (registry_without_status, {(REGISTRY, "all", "required_columns_are_filled")}),
    (two_current_declarations, {(DECLARED, "all", "one_record_is_current")}),
    (no_current_declaration, {(DECLARED, "all", "one_record_is_current")}),
    (repeated_declaration, {(DECLARED, "all", "keys_are_unique")}),
    (declaration_without_time, {(DECLARED, "all", "required_columns_are_filled")}),
]  # fmt: skip


@pytest.mark.parametrize(("spoil", "expected"), SILVER_CASES, ids=[case[0].__name__ for case in SILVER_CASES])
def test_silver_checks_catch_what_they_are_for(lake: Lake, spoil: Callable[[Lake], None], expected: Found) -> None:
    """Each fault is found by its check, in its slice and nowhere else."""
    spoil(lake)
    assert found(judged(lake)) == expected


def test_a_rejected_share_is_told_in_words(lake: Lake) -> None:
    """The message says what share, of what, against which limit, and for which reasons."""
    many_rejected(lake)
    expected = "37.5 % of thermostats readings were rejected (limit 5 %): 12 out_of_range, 6 not_json"
    assert messages(judged(lake)) == expected


def test_an_untimed_share_is_of_what_was_received(lake: Lake) -> None:
    """A backlog brings the records without a time of many hours at once: the hour that it came in is not held."""
    for minute in range(9):
        untimed(lake, minute)
    for minute in range(151):
        lake.read(H5, minute % 60, message_id=f"late {minute}")
        late = {"received_at": slice_start(H6), "received_hour": lake.bronze[-1]["received_hour"] + 1}
        lake.bronze[-1] |= late
        lake.readings[-1] |= {"received_at": slice_start(H6)}
    assert judged(lake).held_hours == ()


def test_a_few_rejected_readings_hold_nothing(lake: Lake) -> None:
    """One reading outside its range is a rejected reading and no held hour, even where it is a large share."""
    lake.read(H7, 0)
    for minute in range(4):
        lake.refuse(H7, minute, "out_of_range")
    assert judged(lake, (H7,)).held_hours == ()


def test_repeats_are_no_sign_of_bad_data(lake: Lake) -> None:
    """A device that sends everything twice is not held back for it."""
    for minute in range(30):
        lake.refuse(H6, minute, "duplicate" if minute % 2 else "conflict")
    assert judged(lake).held_hours == ()


def test_an_hour_that_silver_has_lost_is_found(lake: Lake) -> None:
    """A slice without any row in silver is no empty slice when bronze has records for it."""
    lake.message(H7, 3)
    assert found(judged(lake, (H7,))) == {
        (REJECTED, H7, "every_record_is_there"), (REJECTED, H7, "records_are_the_same")
    }  # fmt: skip
    assert found(judged(lake, ("2026-11-20T08",))) == set()


def test_bronze_is_counted_by_the_rule_of_clocks(lake: Lake) -> None:
    """Records with a wrong, implausible or unreadable time belong to the hour in which they were received."""
    start = datetime(2026, 11, 20, 7, 10, tzinfo=UTC)
    times = [
        start + timedelta(seconds=301),  # ahead
        datetime(2025, 12, 31, tzinfo=UTC),  # behind: d1 is in service since 2026
        datetime(1970, 1, 1, tzinfo=UTC),
        datetime(2100, 1, 1, tzinfo=UTC),
        None,
    ]
    for measured_at in times:
        row = lake.refuse(H7, 0, "not_json", measured_at=measured_at, received_at=start)
        row["event_at"] = start
    ok = [
        (start + timedelta(seconds=300), "d1"),  # within the skew of an ordinary clock
        (datetime(2026, 11, 20, 7, tzinfo=UTC), "d1"),
        (datetime(2025, 12, 31, 7, tzinfo=UTC), "nobody"),  # the registry does not know it, so it cannot be behind
    ]
    for measured_at, device_id in ok:
        lake.refuse(H7 if measured_at.year == 2026 else "2025-12-31T07", 0, "not_json", model_id=None,
                    measured_at=measured_at, received_at=start, device_id=device_id)  # fmt: skip
    judgement = judged(lake, (H7, "2025-12-31T07"))
    assert not {name for _, _, name in found(judgement)} & {"every_record_is_there", "records_are_the_same"}


def test_bronze_that_silver_has_not_come_to_is_left_out(lake: Lake) -> None:
    """A record that a later tick will bring is not missing now."""
    lake.message(H6, 40, ingest_id=11)
    assert judged(lake).held_hours == ()


def test_late_records_are_found_whenever_they_came(lake: Lake) -> None:
    """A record counts in its own hour, once, even when it was received weeks later in an hour that is judged too."""
    row = lake.refuse(H6, 40, "not_json", received_at=datetime(2026, 12, 20, tzinfo=UTC))
    assert judged(lake).held_hours == ()
    assert judged(lake, (H6, "2026-12-20T00")).held_hours == ()
    lake.rejected.remove(row)
    assert judged(lake).held_hours == (H6,)


def test_staleness_is_judged_of_the_newest_slice(lake: Lake) -> None:
    """Where a model declares a limit, the newest slice is held once its readings stop; older slices are left alone."""
    model = lake.models[THERMOSTAT]
    fast = replace(model, quality=replace(model.quality, max_staleness_s=600))
    other = replace(model, model_id="dtmi:lakehouse:other;1", table="silver.others")
    lake.models = {THERMOSTAT: fast}
    assert judged(lake, newest=NEXT_DAY).held_hours == ()
    inputs = lake.write()
    # another kind of device, in a table of its own, is still heard of at 00:50
    others = Lake(lake.settings, {other.model_id: other})
    others.bronze, others.devices = lake.bronze, lake.devices
    row = others.read(NEXT_DAY, 50, model_id=other.model_id)
    lake.bronze, lake.models = others.bronze, {THERMOSTAT: fast, other.model_id: other}
    versions = inputs | others.write()
    judgement = judge_silver(
        Run(lake.settings, lake.models, "run", NOW), [H6, NEXT_DAY], versions,
        bronze_version=lake.version("bronze.telemetry"), up_to_ingest_id=10, newest_slice=NEXT_DAY,
    )  # fmt: skip
    assert row["offset"] == 90
    assert found(judgement) == {(THERMOSTATS, NEXT_DAY, "is_fresh")}
    assert "1,260 s older than the newest in the lake (limit 600 s)" in messages(judgement)


# -- gold: what is broken in hour 06 (the second of three), and what must be found


def change(table: str, **values: Any) -> Callable[[Candidate], None]:
    def apply(made: Candidate) -> None:
        _of_six(made.rows[table]).update(values)

    return apply


def repeat(table: str) -> Callable[[Candidate], None]:
    def apply(made: Candidate) -> None:
        made.rows[table].append(dict(_of_six(made.rows[table])))

    return apply


def drop_hour(*tables: str) -> Callable[[Candidate], None]:
    def apply(made: Candidate) -> None:
        for table in tables:
            made.rows[table] = [row for row in made.rows[table] if row["event_hour"] != 6]

    return apply


def drop_first(table: str) -> Callable[[Candidate], None]:
    def apply(made: Candidate) -> None:
        del made.rows[table][0]

    return apply


def last_above_greatest(made: Candidate) -> None:
    row = _of_six(made.rows["device_minutes"])
    row["value_last"] = math.nextafter(row["value_max"], math.inf)


def silent(times: int = 1, **changes: object) -> Callable[[Candidate], None]:
    """The stretch between the candidate's days, which is silent indeed, then changed."""

    def apply(made: Candidate) -> None:
        row = {"device_id": "d1", "hour_at": slice_start(H7), "until_at": slice_start(NEXT_DAY), "expected_count": 1020}
        made.rows["device_silences"] += [row | changes] * times

    return apply


def _of_six(rows: list[Row]) -> Row:
    """The row of hour 06, or of day 20 or of anything that is not sliced."""
    return next((row for row in rows if row["event_hour"] == 6), rows[0]) if "event_hour" in rows[0] else rows[0]


LATER = datetime(2026, 11, 20, 8, tzinfo=UTC)
MINUTES, HOURS, DAYS = "gold.device_minutes", "gold.device_hours", "gold.device_days"
SITES, COMPLETE, LATEST, DEVICES = "gold.site_days", "gold.device_completeness", "gold.device_latest", "gold.devices"
PLACES, CALENDAR = "gold.sites", "gold.calendar"
SILENCES = "gold.device_silences"
# which checks fail is asked of one table; a fault in one often shows in the next, which is as it should be
GOLD_CASES: list[tuple[str, str, str, Callable[[Candidate], None]]] = [
    (MINUTES, H6, "keys_are_unique", repeat("device_minutes")),
    (MINUTES, H6, "required_columns_are_filled", change("device_minutes", unit=None)),
    (MINUTES, H6, "rows_lie_in_their_slice", change("device_minutes", minute_at=LATER)),
    (MINUTES, H6, "has_rows", drop_hour("device_minutes")),
    (MINUTES, H6, "reconciles_with_silver", drop_hour("device_minutes")),
    (MINUTES, H6, "reconciles_with_silver", change("device_minutes", reading_count=2)),
    (MINUTES, H6, "reconciles_with_silver", change("device_minutes", metric_name="humidity")),
    (MINUTES, H6, "counts_are_positive", change("device_minutes", reading_count=0)),
    (MINUTES, H6, "values_are_ordered", change("device_minutes", value_min=30.0)),
    (MINUTES, H6, "values_are_ordered", change("device_minutes", value_mean=99.0)),
    (MINUTES, H6, "values_are_ordered", change("device_minutes", value_last=-1.0)),
    (MINUTES, H6, "values_are_ordered", last_above_greatest),
    (MINUTES, H6, "values_are_finite", change("device_minutes", value_mean=float("nan"))),
    (MINUTES, H6, "values_are_in_range", change("device_minutes", value_max=900.0)),
    (HOURS, H6, "keys_are_unique", repeat("device_hours")),
    (HOURS, H6, "required_columns_are_filled", change("device_hours", value_p50=None)),
    (HOURS, H6, "rows_lie_in_their_slice", change("device_hours", hour_at=LATER)),
    (HOURS, H6, "has_rows", drop_hour("device_hours")),
    (HOURS, H6, "reconciles_with_silver", change("device_hours", reading_count=29)),
    (HOURS, H6, "counts_are_positive", change("device_hours", reading_count=-1)),
    (HOURS, H6, "values_are_ordered", change("device_hours", value_p50=26.5)),
    (HOURS, H6, "values_are_finite", change("device_hours", value_p95=float("inf"))),
    (HOURS, H6, "values_are_in_range", change("device_hours", value_min=-41.0)),
    (HOURS, H6, "agrees_with_minutes", change("device_hours", value_min=19.0)),
    (HOURS, H6, "agrees_with_minutes", drop_hour("device_minutes")),
    (COMPLETE, H6, "keys_are_unique", repeat("device_completeness")),
    (COMPLETE, H6, "required_columns_are_filled", change("device_completeness", late_count=None)),
    (COMPLETE, H6, "rows_lie_in_their_slice", change("device_completeness", hour_at=LATER)),
    (COMPLETE, H6, "has_rows", drop_hour("device_completeness")),
    (COMPLETE, H6, "reconciles_with_silver", change("device_completeness", received_count=31)),
    (COMPLETE, H6, "counts_fit_together", change("device_completeness", missing_count=29)),
    (COMPLETE, H6, "counts_fit_together", change("device_completeness", late_count=31)),
    (COMPLETE, H6, "counts_fit_together", change("device_completeness", rejected_count=-1)),
    (DAYS, DAY, "keys_are_unique", repeat("device_days")),
    (DAYS, DAY, "required_columns_are_filled", change("device_days", value_max=None)),
    (DAYS, DAY, "rows_lie_in_their_slice", change("device_days", day_date=datetime(2026, 11, 21).date())),
    (DAYS, DAY, "has_rows", drop_first("device_days")),
    (DAYS, DAY, "counts_are_positive", change("device_days", reading_count=0)),
    (DAYS, DAY, "values_are_ordered", change("device_days", value_p95=19.0)),
    (DAYS, DAY, "values_are_finite", change("device_days", value_last=float("-inf"))),
    (DAYS, DAY, "values_are_in_range", change("device_days", value_max=86.0)),
    (DAYS, DAY, "agrees_with_hours", change("device_days", reading_count=59)),
    (SITES, DAY, "keys_are_unique", repeat("site_days")),
    (SITES, DAY, "required_columns_are_filled", change("site_days", site_id=None)),
    (SITES, DAY, "rows_lie_in_their_slice", change("site_days", day_date=datetime(2026, 11, 21).date())),
    (SITES, DAY, "has_rows", drop_first("site_days")),
    (SITES, DAY, "counts_are_positive", change("site_days", device_count=0)),
    (SITES, DAY, "values_are_ordered", change("site_days", value_mean=0.0)),
    (SITES, DAY, "values_are_finite", change("site_days", value_p50=float("nan"))),
    (SITES, DAY, "values_are_in_range", change("site_days", value_min=-50.0)),
    (SITES, DAY, "agrees_with_local_hours", change("site_days", reading_count=61)),
    (SILENCES, "all", "keys_are_unique", silent(2)),
    (SILENCES, "all", "required_columns_are_filled", silent(expected_count=None)),
    (SILENCES, "all", "is_silent", silent(hour_at=slice_start(H6))),
    (SILENCES, "all", "is_silent", silent(until_at=slice_start(NEXT_DAY) + HOUR)),
    (SILENCES, "all", "counts_fit_together", silent(expected_count=-1)),
    (SILENCES, "all", "counts_fit_together", silent(until_at=slice_start(H7))),
    (SILENCES, "all", "counts_fit_together", silent(reporting_interval_s=60)),
    (LATEST, "all", "keys_are_unique", repeat("device_latest")),
    (LATEST, "all", "required_columns_are_filled", change("device_latest", value_last=None)),
    (LATEST, "all", "rows_lie_in_their_slice", change("device_latest", event_hour=99)),
    (LATEST, "all", "rows_lie_in_their_slice", change("device_latest", event_date=LATER.date() + timedelta(days=7))),
    (LATEST, "all", "values_are_finite", change("device_latest", value_last=float("nan"))),
    (LATEST, "all", "values_are_in_range", change("device_latest", value_last=86.0)),
    (LATEST, "all", "covers_the_minutes", drop_first("device_latest")),
    (LATEST, "all", "covers_the_minutes", change("device_latest", event_at=LATER)),
    (DEVICES, "all", "keys_are_unique", repeat("devices")),
    (DEVICES, "all", "required_columns_are_filled", change("devices", status=None)),
    (DEVICES, "all", "covers_the_registry", drop_first("devices")),
    (PLACES, "all", "keys_are_unique", repeat("sites")),
    (PLACES, "all", "required_columns_are_filled", change("sites", zone=None)),
    (PLACES, "all", "covers_the_registry", drop_first("sites")),
    (CALENDAR, "all", "keys_are_unique", repeat("calendar")),
    (CALENDAR, "all", "required_columns_are_filled", change("calendar", week_date=None)),
    (CALENDAR, "all", "days_follow_each_other", change("calendar", ends_at=LATER)),
    (CALENDAR, "all", "days_follow_each_other", change("calendar", hours_in_day=23.0)),
]  # fmt: skip


@pytest.fixture(scope="module")
def good(
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Good]:
    """The good lake, its silver versions and one connection: gold is judged of them many times."""
    home = tmp_path_factory.mktemp("good")
    lake = Lake(Settings(home=home, lake_uri=str(home / "lake")))
    for slice_ in (H5, H6, NEXT_DAY):
        lake.fill(slice_)
    inputs = lake.write()
    with connect(lake.settings) as connection:
        yield lake, inputs, connection


@pytest.mark.parametrize(
    ("table", "slice_", "check", "spoil"), GOLD_CASES, ids=[f"{t}-{c}-{i}" for i, (t, _, c, _) in enumerate(GOLD_CASES)]
)
def test_gold_checks_catch_what_they_are_for(
    good: Good,
    table: str,
    slice_: str,
    check: str,
    spoil: Callable[[Candidate], None],
) -> None:
    """Each fault is found by its check, in the slice where it is and in no other one of its table."""
    lake, inputs, connection = good
    made = Candidate(lake, [H5, H6, NEXT_DAY], [DAY, "2026-11-21"], inputs)
    spoil(made)
    connection.execute(f"ATTACH '{made.write()}' AS candidate (READ_ONLY)")
    gold = Gold(connection, lake.settings, lake.models, read_plan(connection))
    gold.prepare()
    declared = next(t for t in GOLD_TABLES if t.name == table)
    failures = failures_of(gold_suite(declared), gold.profile(declared))
    connection.execute("DETACH candidate")
    assert check in {failure.expectation for failure in failures[slice_]}
    assert {failing for failing in failures if failures[failing]} == {slice_}


HELD_INSIDE = [(LATEST, "all", "nothing_held_inside"), (DEVICES, "all", "nothing_held_inside")]


def test_unsliced_tables_must_not_hold_rows_of_held_hours(lake: Lake) -> None:
    """What a held hour left in the unsliced tables is found, and a rebuild is asked for."""
    made = candidate(lake)
    newest = next(row for row in made.rows["device_hours"] if row["event_hour"] == 0)
    newest["value_p50"] = -1.0
    made.rows["devices"][0]["last_event_at"] = made.rows["device_latest"][0]["event_at"]
    judgement = judged_gold(made)
    assert set(HELD_INSIDE) <= found(judgement)
    assert judgement.held_hours == (NEXT_DAY,)
    assert judgement.must_rebuild


def test_hours_that_silver_holds_are_held_in_gold_too(lake: Lake) -> None:
    """An hour that only silver fails, found when silver was judged at the same inputs, must leave the unsliced tables
    as well; that of other inputs, or of an hour outside the plan, changes nothing."""
    made = candidate(lake)
    made.rows["devices"][0]["last_event_at"] = made.rows["device_latest"][0]["event_at"]
    failure = Failure("rejected_share", "reason", 0.5, 0.1, "half of it was rejected")

    def fail(slice_: str, version: str) -> None:
        verdict = Verdict(THERMOSTATS, slice_, version, False, (failure,), 3, "digest", "run", NOW)
        record_verdicts(lake.settings, [verdict])

    fail(NEXT_DAY, input_version({**made.inputs, THERMOSTATS: 99}))
    fail(H7, input_version(made.inputs))
    assert found(judged_gold(made)) == set()
    fail(NEXT_DAY, input_version(made.inputs))
    assert found(judged_gold(made)) == set(HELD_INSIDE)


def test_a_held_older_hour_asks_for_no_rebuild(lake: Lake) -> None:
    """An hour that left nothing in the unsliced tables is held by itself."""
    made = candidate(lake)
    _of_six(made.rows["device_hours"])["value_p50"] = -1.0
    judgement = judged_gold(made)
    assert judgement.held_hours == (H6,)
    assert not judgement.must_rebuild


def test_every_check_has_a_case(lake: Lake) -> None:
    """No check of any suite is without a case above that it catches; those by kind have a file of their own."""
    suites = [gold_suite(table) for table in (*HOURLY, *DAILY, *WHOLE) if table.kind is None]
    suites += [slice_suite(), reading_suite(lake.reading_table, lake.models.values())]
    suites += [registry_suite(table) for table in UNSLICED_SILVER]
    declared = {(suite.table, check.name) for suite in suites for check in suite.checks}
    caught = {(table, name) for _, expected in SILVER_CASES for table, _, name in expected}
    caught |= {(table, name) for table, _, name, _ in GOLD_CASES} | {(table, name) for table, _, name in HELD_INSIDE}
    assert declared == caught


def test_a_candidate_that_lacks_a_table_is_refused(lake: Lake) -> None:
    """A half-built candidate is not judged at all."""
    made = candidate(lake)
    path = made.write()
    with duckdb.connect(str(path)) as connection:
        connection.execute("ALTER TABLE gold.device_hours DROP COLUMN value_p95")
    with pytest.raises(StepError, match=r"candidate for gold\.device_hours has the columns"):
        judge_gold(Run(lake.settings, lake.models, "run", NOW), path)


def test_days_add_up_over_hours_published_earlier(lake: Lake) -> None:
    """A day whose other hours were published before is held to those hours at their published version."""
    first = candidate(lake)
    run = Run(lake.settings, lake.models, "r1", NOW)
    judge_silver(run, first.hours, first.inputs, bronze_version=lake.version("bronze.telemetry"), up_to_ingest_id=10)
    judged_gold(first)
    published = publish(run, first.path, code_version="1")
    lake.fill(H7)
    upon = {name: published.tables[name] for name in (table.name for table in BUILT_UPON)}
    second = Candidate(lake, [H7], [DAY], lake.write(), upon)
    assert found(judged_gold(second)) == set()
    second.rows["device_days"][0]["reading_count"] = 30
    assert (DAYS, DAY, "agrees_with_hours") in found(judged_gold(second))


def test_a_release_carries_on_to_the_next_judgement(lake: Lake) -> None:
    """Once let pass, a slice with the same findings passes at the next input version too; with new ones it does not."""
    many_rejected(lake)
    assert judged(lake).held_hours == (H6,)
    release(lake.settings, H6, "sensor swap", "kim", NOW)
    assert latest_failures(lake.settings) == []
    again = judged(lake)
    assert again.held_hours == ()
    (verdict,) = (v for v in again.verdicts if v.released_by)
    assert (verdict.table, verdict.slice, verdict.failures != ()) == (THERMOSTATS, H6, True)
    lake.refuse(H6, 50, "not_json")
    assert judged(lake).held_hours == (H6,)


def test_verdicts_are_stored_for_the_versions_judged(lake: Lake) -> None:
    """What judging returns is what is stored, under the versions that were read."""
    judgement = judged(lake)
    (version,) = {verdict.input_version for verdict in judgement.verdicts}
    stored = verdicts_at(lake.settings, version)
    assert {key: replace(v, verdict_id="") for key, v in stored.items()} == {
        (v.table, v.slice): v for v in judgement.verdicts
    }
    assert passing(lake.settings, THERMOSTATS, [H5, H7], version) == {H5}


def test_a_profile_column_that_is_missing_fails_every_slice() -> None:
    """A profile that cannot answer a check passes nothing."""
    frame = pd.DataFrame({"slice": [H5, H6], "rows": [1, 1]})
    failures = failures_of(gold_suite(DEVICE_MINUTES), frame)
    assert all(len(failures[slice_]) == len(gold_suite(DEVICE_MINUTES).checks) for slice_ in (H5, H6))
    assert "could not be judged" in failures[H5][0].message
