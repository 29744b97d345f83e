"""Times of recorded files: epochs, formats, RFC 3339, and local times where the clocks change."""

import json
import time
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from device_sim.recorded_times import LocalTimes, TimeReader
from runtime.errors import InputError
from tests.support.recordings import messages_of, replayer_of, times_of, written

BERLIN = ZoneInfo("Europe/Berlin")


def _walk(start: datetime, end: datetime, minutes: int, zone: ZoneInfo = BERLIN) -> list[tuple[datetime, datetime]]:
    """True moments and what a wall clock shows at each."""
    moments = []
    while start < end:
        moments.append((start, start.astimezone(zone).replace(tzinfo=None)))
        start += timedelta(minutes=minutes)
    return moments


NIGHT = _walk(datetime(2025, 10, 25, 22, tzinfo=UTC), datetime(2025, 10, 26, 3, tzinfo=UTC), 10)


def _resolved(walls: list[datetime], zone: ZoneInfo = BERLIN) -> list[datetime | None]:
    local = LocalTimes(zone)
    for line, wall in enumerate(walls):
        local.observe("d", line, wall)
    return [local.moment("d", line, wall) for line, wall in enumerate(walls)]


def test_the_doubled_hour_is_told_apart_by_order(tmp_path: Path) -> None:
    """Thirty readings of a night with 25 hours are six in each of five hours in UTC."""
    rows = "".join(f"{wall:%Y-%m-%d %H:%M:%S},1\n" for _, wall in NIGHT)
    messages = messages_of(written(tmp_path, "a.csv", f"time,temperature\n{rows}"), time_zone="Europe/Berlin")
    hours = [each[:13] for each in times_of(messages)]
    assert {hour: hours.count(hour) for hour in hours} == {
        f"2025-10-{day}T{hour}": 6 for day, hour in ((25, 22), (25, 23), (26, "00"), (26, "01"), (26, "02"))
    }


@pytest.mark.parametrize("minutes", [1, 7, 15, 30, 60])
@pytest.mark.parametrize("is_reversed", [False, True])
@pytest.mark.parametrize(
    "zone", ["Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "America/Havana", "America/St_Johns"]
)
def test_every_interval_and_both_directions_are_told_apart(minutes: int, is_reversed: bool, zone: str) -> None:
    """Whatever the zone and the interval, a file that goes on through the hour gives the true moments."""
    if minutes == 60 and zone == "Australia/Lord_Howe":
        return  # half an hour comes twice there, in which an hourly file has one row
    since, around, step = datetime(2025, 4, 1, tzinfo=UTC), timedelta(hours=6), timedelta(minutes=minutes)
    # the rows of half a day of a file that goes on since then
    first = since + ((_change(zone) - around - since) // step + 1) * step
    near = _walk(first, _change(zone) + around, minutes, ZoneInfo(zone))
    near = near[::-1] if is_reversed else near
    assert _resolved([wall for _, wall in near], ZoneInfo(zone)) == [moment for moment, _ in near]


def _change(zone: str) -> datetime:
    return {
        "Europe/Berlin": datetime(2025, 10, 26, 1, tzinfo=UTC),
        "America/New_York": datetime(2025, 11, 2, 6, tzinfo=UTC),
        "Australia/Lord_Howe": datetime(2025, 4, 5, 15, tzinfo=UTC),
        "America/Havana": datetime(2025, 11, 2, 5, tzinfo=UTC),
        # at a minute past midnight, which came twice
        "America/St_Johns": datetime(2006, 10, 29, 2, 31, tzinfo=UTC),
    }[zone]


def test_what_order_does_not_tell_is_refused_with_its_lines(tmp_path: Path) -> None:
    """A night whose second 02:xx was dropped, and one in no order, cannot be told; the hours around them can."""
    once = [pair for pair in NIGHT if not (pair[1].hour == 2 and pair[0].hour == 1)]
    text = "time,temperature\n" + "".join(f"{wall},1\n" for _, wall in once)
    check = replayer_of(written(tmp_path, "a.csv", text), time_zone="Europe/Berlin").check
    assert (check.rows, check.refused) == (18, 6)
    assert check.refusals[0] == (
        14,
        "2025-10-26 02:00:00 comes twice in Europe/Berlin, and the order of the rows does not tell which it is",
    )
    mixed = [wall for _, wall in NIGHT]
    mixed[12:24] = mixed[12:24][::2] + mixed[12:24][1::2]
    assert _resolved(mixed)[12:24] == [None] * 12


def test_the_missing_hour_is_refused(tmp_path: Path) -> None:
    """No clock in Berlin showed 02:30 on that day."""
    text = "time,temperature\n2025-03-30 01:30:00,1\n2025-03-30 02:30:00,2\n2025-03-30 03:30:00,3\n"
    replayer = replayer_of(written(tmp_path, "a.csv", text), time_zone="Europe/Berlin")
    assert [line for line, _ in replayer.check.refusals] == [3]
    assert [row[0].value for row in replayer.rows()] == [b'{"temperature":1}', b'{"temperature":3}']


def test_devices_and_names_have_an_order_each(tmp_path: Path) -> None:
    """Two devices in one file, row by row, do not confuse each other's hours; nor do a long file's names."""
    rows = "".join(f"{wall},{device},1\n" for _, wall in NIGHT for device in "ab")
    path = written(tmp_path, "a.csv", f"time,unit,temperature\n{rows}")
    replayer = replayer_of(path, device_column="unit", time_zone="Europe/Berlin")
    assert (replayer.check.rows, replayer.check.refused, replayer.check.again) == (60, 0, 0)
    rows = "".join(f"{wall},{name},1\n" for _, wall in NIGHT[::6] for name in ("temperature", "humidity"))
    path = written(tmp_path, "b.csv", f"time,name,value\n{rows}")
    replayer = replayer_of(path, pivot=("name", "value"), time_zone="Europe/Berlin")
    assert (replayer.check.rows, replayer.check.refused) == (10, 0)


def test_local_times_of_parquet_are_told_apart_too(tmp_path: Path) -> None:
    """A timestamp without a zone is a local time whatever file it is in; one with a zone needs no telling."""
    walls = [wall for _, wall in NIGHT]
    for type_, zone in ((pa.timestamp("us"), "Europe/Berlin"), (pa.timestamp("ns", "Europe/Berlin"), "UTC")):
        moments = walls if type_.tz is None else [moment for moment, _ in NIGHT]
        table = pa.table({"time": pa.array(moments, type_), "temperature": [1.0] * len(walls)})
        pq.write_table(table, tmp_path / "a.parquet")
        messages = messages_of(tmp_path / "a.parquet", time_zone=zone)
        assert times_of(messages) == [f"{moment:%Y-%m-%dT%H:%M}" for moment, _ in NIGHT]


@given(st.lists(st.integers(0, 400), min_size=1, max_size=40, unique=True), st.booleans())
def test_no_row_is_ever_put_into_the_wrong_hour(minutes: list[int], is_reversed: bool) -> None:
    """Of any rows in order each comes to its true moment, or is refused for lying in the doubled hour; where the rows
    step back in it, and there is something around it, all are told apart."""
    start = datetime(2025, 10, 25, 22, tzinfo=UTC)
    moments = sorted(start + timedelta(minutes=minute) for minute in minutes)[:: -1 if is_reversed else 1]
    walls = [moment.astimezone(BERLIN).replace(tzinfo=None) for moment in moments]
    found = _resolved(walls)
    for moment, wall, each in zip(moments, walls, found, strict=True):
        assert each == moment or (each is None and wall.hour == 2)
    steps_back = sum((b > a if is_reversed else b < a) for a, b in pairwise(walls) if a.hour == b.hour == 2)
    if steps_back and any(wall.hour != 2 for wall in walls):
        assert found == moments


@pytest.mark.parametrize(
    ("name", "text", "options"),
    [
        ("a.csv", "ts,temperature\n1736899200,20.5\n", {"time_unit": "s"}),
        ("a.csv", "ts,temperature\n1736899200.25,20.5\n", {"time_unit": "s"}),
        ("a.csv", "ts,temperature\n1736899200000,20.5\n", {"time_unit": "ms"}),
        ("a.jsonl", '{"ts": 1736899200000000, "temperature": 20.5}\n', {"time_unit": "us"}),
        ("a.jsonl", '{"ts": 1736899200000000001, "temperature": 20.5}\n', {"time_unit": "ns"}),
        ("a.csv", "ts,temperature\n15.01.2025 00:00,20.5\n", {"time_format": "%d.%m.%Y %H:%M"}),
        ("a.csv", "ts,temperature\n2025-01-15t01:00:00+01:00,20.5\n", {}),
        ("a.csv", "ts,temperature\n2025-01-15t00:00:00z,20.5\n", {}),
        ("a.csv", "ts;temperature\n2025-01-15;20,5\n", {"decimal_mark": ","}),
        ("a.csv", "ts;temperature\n1736899200,25;20,5\n", {"decimal_mark": ",", "time_unit": "s"}),
        ("a.csv", "ts;temperature\n1,7368992e9;20,5\n", {"decimal_mark": ",", "time_unit": "s"}),
    ],
)
def test_times_are_read_as_told(tmp_path: Path, name: str, text: str, options: dict[str, Any]) -> None:
    """Seconds to nanoseconds since 1970, and any format."""
    (message,) = messages_of(written(tmp_path, name, text), **options)
    assert times_of([message]) == ["2025-01-15T00:00"]
    assert message.value == b'{"temperature":20.5}'


@pytest.mark.parametrize(
    "text",
    [
        # numbers, of which Python's reader takes every two-hundredth as a time of the years 1577 to 1798
        "1712010112345", "1701122512000", "20250301120000000", "20250301-1200",
        # what RFC 3339 and ISO 8601 do not write between date, time and offset
        "2025-03-01T00:18:00+01:60", "2025-03-01T00:18:00+24:00", "2025-03-01T00:17:00.Z", "2025-03-01x00:18:00",
        "2025-03-01_00:16:00", "2025-03-01T00:10:00+01:00:60", "2025-03-01T24:00:00Z", "\uff12025-03-01T00:18:00Z",
        "2025-03-01T", "2025-03-01Z", "2025-03-01T00:12:00Zx",
    ],
)  # fmt: skip
def test_what_is_no_time_is_read_as_none(text: str) -> None:
    """A text that only resembles a time has no moment, so that nothing is sent with one that nobody wrote."""
    assert TimeReader().read(text) is None


@pytest.mark.parametrize(
    "text",
    [
        "2025-03-01T12:30:00Z", "2025-03-01t12:30:00z", "2025-03-01 13:30:00+01:00", "2025-03-01T12:30:00,0Z",
        "2025-03-01T12:30Z", "20250301T123000Z", "20250301 1330+0100", "2025-03-01T13:30:00+01", "2025-W09-6T12:30Z",
        "2025W096T123000.000000000Z", "2025-03-01 13:30:00 +0100", " 2025-03-01T12:30z ",
    ],
)  # fmt: skip
def test_iso_8601_is_read_in_both_forms(text: str) -> None:
    """Extended and basic, by the day of the month or of the week, and with a space before an offset."""
    assert TimeReader().read(text) == datetime(2025, 3, 1, 12, 30, tzinfo=UTC)


@given(st.integers(1577836800000, 1798761600000))
def test_no_epoch_is_read_as_a_date(millis: int) -> None:
    """Whatever the digits of a number since 1970, without a unit it is no time, in any unit that has so many."""
    for text in (str(millis), str(millis // 1000), f"{millis}123", f"{millis}123456", f"{millis / 1000}"):
        assert TimeReader().read(text) is None


@pytest.mark.parametrize(
    "text", ["1_736_899_200", "1.736.899.200", "1736899200.5", "\u0663", "nan", "1e300", "1e999999"]
)
def test_what_is_no_number_in_the_files_spelling_is_no_epoch(text: str) -> None:
    """A decimal mark is the file's, and digits are those of JSON; numbers beyond any calendar are no times."""
    assert TimeReader("s", None, ",").read(text) is None


def test_a_named_zone_is_utc_or_none() -> None:
    """`%Z` says UTC whatever --time-zone says, and no other name: which offset CST has, nobody knows."""
    reader = TimeReader(None, "%Y-%m-%d %H:%M %Z")
    for zone in ("UTC", "GMT", "utc"):
        assert reader.read(f"2025-03-01 00:10 {zone}") == datetime(2025, 3, 1, 0, 10, tzinfo=UTC)
    for zone in (*time.tzname, "CET", "CST"):
        if zone not in ("UTC", "GMT"):
            assert reader.read(f"2025-03-01 00:10 {zone}") is None
    assert TimeReader(None, "%Y %%Z").read("2025 %Z") == datetime(2025, 1, 1)


@pytest.mark.parametrize("zone", ["UTC", "America/New_York", "Europe/Berlin", "Pacific/Kiritimati"])
def test_times_at_the_ends_of_the_calendar_are_sent_as_they_stand(tmp_path: Path, zone: str) -> None:
    """What stands for "no date" is no time in any zone; the rows beside it are sent."""
    texts = ["9999-12-31 23:59:59", "0001-01-01 00:00:00", "2025-03-01 12:00:00"]
    path = written(tmp_path, "a.csv", "time,temperature\n" + "".join(f"{text},1\n" for text in texts))
    messages = messages_of(path, time_zone=zone)
    assert times_of(messages)[:2] == [text[:16] for text in texts[:2]]
    assert replayer_of(path, time_zone=zone).check.untimed == 2
    assert len(messages) == 3


def test_epochs_of_parquet_are_read_too(tmp_path: Path) -> None:
    """Whole numbers and floats."""
    for values in (pa.array([1736899200000], pa.int64()), pa.array([1736899200000.0])):
        pq.write_table(pa.table({"ts": values, "temperature": [20.5]}), tmp_path / "a.parquet")
        assert times_of(messages_of(tmp_path / "a.parquet", time_unit="ms")) == ["2025-01-15T00:00"]


@pytest.mark.parametrize(
    ("value", "unit"), [("1736899200", "s"), ("1736899200000", "ms"), ("1736899200000000", "us"), ("9" * 19, "ns")]
)
def test_a_file_without_a_readable_time_is_refused(tmp_path: Path, value: str, unit: str) -> None:
    """Nothing is sent, and the sentence says which option would read it."""
    for name, text in (("a.csv", f"ts,temperature\n{value},1\n"), ("a.jsonl", f'{{"ts": {value}, "temperature": 1}}')):
        with pytest.raises(InputError, match=f"give --time-unit {unit}.*Nothing was sent") as found:
            replayer_of(written(tmp_path, name, text))
        assert found.value.exit_code == 1


@pytest.mark.parametrize(
    ("cell", "options", "said"),
    [
        ("1736899200", {"time_unit": "ms"}, "read as 1970-01-21 02:28. It looks like a number .* give --time-unit s"),
        ("1736899200,5", {"time_unit": "ms", "decimal_mark": ","}, "read as 1970-01-21 .* give --time-unit s"),
        ("00:10", {"time_format": "%H:%M"}, "read as 1900-01-01 00:10. .* --time-format with year and day"),
        ("03-01 00:10", {"time_format": "%m-%d %H:%M"}, "read as 1900-03-01 00:10"),
        ("1970-01-01T00:00:05Z", {}, "read as 1970-01-01 00:00"),
    ],
)
def test_a_file_without_a_plausible_time_is_refused(
    tmp_path: Path, cell: str, options: dict[str, Any], said: str
) -> None:
    """Times that are read wrongly are said before messages that are all refused are sent; one right one is enough."""
    text = f"ts;temperature\n{cell};1\nnever;2\n"
    with pytest.raises(
        InputError, match=f"2000 to 2099: line 2 says '{cell}' in 'ts', which is {said}.*Nothing was sent"
    ):
        replayer_of(written(tmp_path, "a.csv", text), **options)
    if not options:
        check = replayer_of(written(tmp_path, "a.csv", f"{text}2025-01-15;3\n")).check
        assert (check.rows, check.untimed, check.implausible) == (3, 1, 1)


def test_times_of_parquet_that_python_has_not_are_sent_as_they_stand(tmp_path: Path) -> None:
    """A time beyond the year 9999 is none, and costs the file nothing; a zone that nobody knows changes no moment."""
    micros = [1736899200_000000, 10**18, None]
    for type_ in (pa.timestamp("us"), pa.timestamp("us", "UTC"), pa.timestamp("us", "Mars/Olympus")):
        moments = pa.array(micros, pa.int64()).cast(type_)
        pq.write_table(pa.table({"time": moments, "temperature": [1.0, 2.0, 3.0]}), tmp_path / "a.parquet")
        for zone in ("UTC", "Pacific/Kiritimati") if type_.tz else ("UTC",):
            messages = messages_of(tmp_path / "a.parquet", time_zone=zone)
            assert times_of(messages) == ["2025-01-15T00:00", str(10**18)[:16], ""]
    days = pa.array([20103, 5_000_000], pa.int32()).cast(pa.date32())
    pq.write_table(pa.table({"time": days, "temperature": [1.0, 2.0]}), tmp_path / "a.parquet")
    assert times_of(messages_of(tmp_path / "a.parquet")) == ["2025-01-15T00:00", "5000000 days since"[:16]]


@pytest.mark.parametrize("unit", ["s", "ms", "us", "ns"])
def test_times_within_parquet_objects_are_as_outside(tmp_path: Path, unit: str) -> None:
    """In a struct, a list, a map and a dictionary, of any unit and zone."""
    count = 1736899200 * {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}[unit]
    counts = pa.array([count], pa.int64())
    for zone in (None, "+05:30"):
        moments = counts.cast(pa.timestamp(unit, zone))
        nested = pa.struct(
            [("at", moments.type), ("all", pa.list_(moments.type)), ("by", pa.map_("string", moments.type))]
        )
        value = {"at": count, "all": [count, None], "by": [("a", count)]}
        plain = pa.struct([("at", pa.int64()), ("all", pa.list_(pa.int64())), ("by", pa.map_("string", pa.int64()))])
        table = {"time": moments.dictionary_encode(), "temperature": pa.array([value], plain).cast(nested)}
        pq.write_table(pa.table(table), tmp_path / "a.parquet")
        (message,) = messages_of(tmp_path / "a.parquet")
        text = "2025-01-15T00:00:00" + ("+00:00" if zone else "")
        assert times_of([message]) == ["2025-01-15T00:00"]
        expected = {"temperature": {"at": text, "all": [text, None], "by": {"a": text}}}
        assert json.loads(message.value) == expected
