"""Batches of the hot path are judged as silver judges them, and windows equal an oracle."""

import json
from collections import defaultdict
from datetime import UTC, datetime, timedelta
from typing import Any

import duckdb
import pyarrow as pa
import pytest
from confluent_kafka import Message as KafkaMessage
from hypothesis import given, settings
from hypothesis import strategies as st

from lake.models.catalog import BUILT_IN_MODELS, load_models
from streams.hot_outputs import AsOf, window_message
from streams.judged_batches import JudgedBatches
from streams.open_windows import OpenWindows, WindowResult
from transforms.windows import MINUTE, Kind, Window
from wire.envelope import ID, TelemetryEnvelope, rfc3339

START = datetime(2026, 11, 26, 12, tzinfo=UTC)
THERMOSTAT = "dtmi:lakehouse:thermostat;1"
DEVICES = ("d0", "d1")
_US = 1_000_000
_TIME = pa.timestamp("us", "UTC")
_FACTS = pa.schema(
    [
        ("registered_id", pa.string()),
        ("in_service_at", _TIME),
        ("models", pa.list_(pa.struct([("valid_from", _TIME), ("model_id", pa.string())]))),
    ]
)
_PLACES = pa.schema([("device_id", pa.string()), ("valid_from", _TIME), ("valid_to", _TIME), ("site_id", pa.string())])


class Record:
    """A record as confluent-kafka gives it: of its own class only the client can make any."""

    def __init__(
        self, device: str, identity: str, second: int, value: bytes, offset: int, received: int, partition: int = 0
    ) -> None:
        self._message = TelemetryEnvelope(device).message(identity, rfc3339(START + timedelta(seconds=second)), value)
        self._offset, self._received, self._partition = offset, received, partition

    def topic(self) -> str:
        return self._message.topic

    def key(self) -> bytes | None:
        return self._message.key

    def value(self) -> bytes:
        return self._message.value

    def headers(self) -> list[tuple[str, bytes]]:
        return self._message.headers

    def partition(self) -> int:
        return self._partition

    def offset(self) -> int:
        return self._offset

    def timestamp(self) -> tuple[int, int]:
        return 2, int(START.timestamp() + self._received) * 1000


def judged() -> tuple[duckdb.DuckDBPyConnection, JudgedBatches]:
    connection = duckdb.connect()
    connection.execute("SET TimeZone = 'UTC'; SET threads = 1")
    batches = JudgedBatches(connection, load_models([BUILT_IN_MODELS]))
    since = START - timedelta(days=9)
    model = [{"valid_from": since, "model_id": THERMOSTAT}]
    facts = [{"registered_id": d, "in_service_at": since, "models": model} for d in DEVICES]
    places = [{"device_id": d, "valid_from": since, "valid_to": None, "site_id": "north"} for d in DEVICES]
    batches.set_registry(pa.Table.from_pylist(facts, _FACTS), pa.Table.from_pylist(places, _PLACES))
    return connection, batches


def take(batches: JudgedBatches, *records: Record) -> Any:
    return batches.take([_as_kafka(record) for record in records])


def _as_kafka(record: Record) -> KafkaMessage:
    return record  # type: ignore[return-value]


def test_plans_prepared_on_empty_tables_see_what_comes() -> None:
    """DuckDB 1.5.5 plans an empty table to stay empty unless statistics are left out of plans; repeats count once."""
    _, batches = judged()
    record = Record("d0", "a", 0, b'{"temperature":21.5}', 0, 1)
    counts = take(batches, record, Record("d0", "a", 0, b'{"temperature":21.5}', 1, 1))
    assert (counts.readings, counts.refused, counts.repeats) == (1, 1, 1)
    counts = take(batches, Record("d0", "a", 0, b'{"temperature":21.5}', 2, 2), Record("dx", "b", 0, b"{}", 3, 2))
    assert (counts.readings, counts.refused, counts.repeats) == (0, 2, 1)


def test_without_that_setting_nothing_would_come() -> None:
    """The trap is real: the same statement without the setting answers as if its table were still empty."""
    connection = duckdb.connect()
    connection.execute("CREATE TABLE t (x INTEGER)")
    connection.execute("PREPARE p AS SELECT count(*) FROM t WHERE x > 0")
    connection.execute("INSERT INTO t VALUES (1)")
    assert connection.execute("EXECUTE p").fetchone() == (0,)


def planning_s(connection: duckdb.DuckDBPyConnection, statement: str) -> float:
    """What DuckDB spends on a plan for a statement, the least of five: its own account, since that of the process
    holds the work as well."""
    connection.execute("PRAGMA enable_profiling = 'no_output'")
    connection.execute(
        """PRAGMA custom_profiling_settings = '{"ALL_OPTIMIZERS": "true", "PHYSICAL_PLANNER": "true"}'"""
    )
    found: list[float] = []
    for _ in range(5):
        connection.execute("DELETE FROM records")
        connection.execute(statement).fetchall()
        told = json.loads(connection.get_profiling_information())
        found.append(told["all_optimizers"] + told["physical_planner"])
    connection.execute("PRAGMA disable_profiling")
    return min(found)


def test_judging_is_planned_once_and_not_for_each_batch() -> None:
    """The large statement costs a batch next to no planning; a table that is made meanwhile would have it planned
    each time, which is why statements are prepared when all tables are made."""
    connection, batches = judged()
    window = Window("w", "tumbling", 60, ("device_id",), {"n": "count(*)"})
    windows = OpenWindows(connection, 0, window, [0])
    take(batches, Record("d0", "a", 0, b'{"temperature":21.5}', 0, 1))
    batches.prepare()
    windows.prepare()
    planned_once = planning_s(connection, "EXECUTE judge_records")
    connection.execute("CREATE TABLE one_more (x INTEGER)")
    planned_each_time = planning_s(connection, "EXECUTE judge_records")
    assert planned_each_time > 10 * planned_once
    batches.prepare()
    assert planned_each_time > 10 * planning_s(connection, "EXECUTE judge_records")


def test_what_sql_cannot_vouch_for_is_judged_strictly() -> None:
    """A value of the wrong type is refused, one with an unknown name beside a good one is taken."""
    _, batches = judged()
    counts = take(
        batches,
        Record("d0", "a", 0, b'{"temperature":"warm"}', 0, 1),
        Record("d0", "b", 1, b'{"temperature":21.5,"mood":"good"}', 1, 1),
    )
    assert (counts.readings, counts.refused) == (1, 1)


def test_packs_are_taken_apart() -> None:
    """The messages of a list count one by one, also those that are looked at closely; the list itself is no reading."""
    _, batches = judged()
    pack = b'[{"temperature":20},{"temperature":21,"mood":"good"},{"temperature":"warm"}]'
    counts = take(batches, Record("d0", "a", 0, pack, 0, 1))
    assert (counts.readings, counts.refused, counts.repeats) == (2, 2, 0)
    assert take(batches, Record("d0", "a", 0, pack, 1, 2)).repeats == 2


def test_the_last_message_of_a_pack_is_the_newest() -> None:
    """Of a pack with one time the tenth message comes behind the ninth, as in gold; the list is handed back so too."""
    connection, batches = judged()
    pack = b"[%s]" % b",".join(b'{"temperature":%d}' % n for n in range(12))
    newest = "SELECT arg_max(value, arrival) FROM open_readings WHERE metric_name = 'temperature'"
    take(batches, Record("d0", "a", 0, pack, 0, 1))
    assert connection.execute(newest).fetchone() == (11.0,)
    taken = batches.taken()
    connection, again = judged()
    again.give_back([taken])
    assert connection.execute(newest).fetchone() == (11.0,)


def test_what_a_pack_had_is_a_repeat_when_it_comes_alone() -> None:
    """A message that counted in a pack counts no second time from a record of its own, in whichever batch."""
    _, batches = judged()
    assert take(batches, Record("d0", "a", 0, b'[{"temperature":20},{"temperature":21}]', 0, 1)).readings == 2
    counts = take(batches, Record("d0", "a#2", 0, b'{"temperature":21}', 1, 2))
    assert (counts.readings, counts.repeats) == (0, 1)


def test_what_is_forgotten_is_no_longer_kept() -> None:
    """Readings before a moment go, with their identities; the oldest offset that is kept is where to read again. It is
    looked up now and then, so it may be an older one meanwhile, and never a newer one."""
    _, batches = judged()
    take(batches, *(Record("d0", str(n), n, b'{"temperature":20}', n, n) for n in range(5)))
    assert batches.oldest_offsets([0, 1]) == {0: 0}
    batches.forget(int(START.timestamp() + 3) * _US)
    found = [batches.oldest_offsets([0]) for _ in range(40)]
    assert found[0] == {0: 0}
    assert found[-1] == {0: 3}
    batches.forget(int(START.timestamp() + 9) * _US)
    assert [batches.oldest_offsets([0]) for _ in range(40)][-1] == {}
    take(batches, Record("d0", "later", 9, b'{"temperature":20}', 9, 9))
    assert batches.oldest_offsets([0]) == {0: 9}


class Questions:
    """A connection that counts what it is asked."""

    def __init__(self, connection: duckdb.DuckDBPyConnection) -> None:
        self._connection, self.asked = connection, 0

    def execute(self, sql: str) -> duckdb.DuckDBPyConnection:
        self.asked += 1
        return self._connection.execute(sql)


def test_a_partition_in_which_nothing_is_kept_is_looked_up_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """At each commit after, neither it nor refused records of it make all that is kept be gone through again; what a
    batch brings it, or what is handed back, is there at the very next."""
    connection, batches = judged()
    reading = b'{"temperature":20}'
    take(batches, Record("d0", "a", 0, reading, 7, 1, partition=1))
    assert batches.oldest_offsets([0, 1]) == {1: 7}
    take(batches, Record("unknown", "b", 0, reading, 3, 1))
    questions = Questions(connection)
    monkeypatch.setattr(batches, "_connection", questions)
    assert [batches.oldest_offsets([0, 1]) for _ in range(9)] == [{1: 7}] * 9
    assert questions.asked == 0
    monkeypatch.undo()
    take(batches, Record("d0", "c", 1, reading, 4, 1))
    assert batches.oldest_offsets([0, 1]) == {0: 4, 1: 7}

    _, again = judged()
    assert again.oldest_offsets([0]) == {}
    again.give_back([batches.taken()])
    assert again.oldest_offsets([0]) == {0: 4}


def operators(connection: duckdb.DuckDBPyConnection, statement: str) -> list[dict[str, Any]]:
    """What a statement ran, with how many rows came of each."""
    ((_, text),) = connection.execute(f"EXPLAIN (ANALYZE, FORMAT JSON) {statement}").fetchall()
    found = [json.loads(text)]
    for operator in found:
        found += operator["children"]
    return found[1:]


def scanned(connection: duckdb.DuckDBPyConnection, statement: str, table: str) -> int:
    """The rows that a statement takes from a table."""
    return sum(
        each["operator_cardinality"]
        for each in operators(connection, statement)
        if str(each.get("extra_info", {}).get("Table", "")).endswith(table)
    )


def test_a_batch_costs_what_it_changes_and_not_what_is_held() -> None:
    """Of a quarter of a million readings from an hour before none is looked at when one comes: neither for the figures
    of its windows, nor as what it might repeat."""
    connection, batches = judged()
    each = Window("e", "each", 60, ("device_id",), {"step": "value - previous_value"})
    minute = Window("w", "tumbling", 60, ("device_id",), {"n": "count(*)"})
    windows = [OpenWindows(connection, number, window, [0]) for number, window in enumerate((minute, each))]
    batches.prepare()
    for window in windows:
        window.prepare()
    take(batches, Record("d0", "a", -3600, b'{"temperature":20}', 0, 1))
    for table, others in (("open_readings", ""), ("seen", ", message_id || i AS message_id")):
        at = "measured_at" if others else "event_at"
        connection.execute(f"""INSERT INTO {table} SELECT t.* REPLACE (
            {at} + to_microseconds(i) AS {at}{others}) FROM {table} t, range(250_000) r(i)""")
    take(batches, Record("d0", "b", 0, b'{"temperature":21}', 1, 2))
    (found,) = windows[0].update(int(START.timestamp()) * _US, 0, 0)
    assert (found.revision, found.figures) == (1, {"n": 1})
    (step,) = windows[1].update(int(START.timestamp()) * _US, 0, 0)
    assert step.figures == {"step": None}
    held = {"open_readings": ("EXECUTE figures_0", "EXECUTE figures_1"), "seen": ("EXECUTE find_repeats",)}
    for table, statements in held.items():
        for statement in statements:
            assert 1 <= scanned(connection, statement, table) <= 3, statement


def test_a_reading_of_years_ago_costs_its_own_minutes() -> None:
    """A batch with a reading of now and one of twenty years ago looks for these two minutes, and not for all between;
    both windows are told."""
    connection, batches = judged()
    tumbling = Window("w", "tumbling", 60, ("device_id",), {"n": "count(*)"})
    hopping = Window("h", "hopping", 120, ("device_id",), {"n": "count(*)"}, every_s=60)
    each = Window("e", "each", 60, ("device_id",), {"n": "value"})
    windows = [OpenWindows(connection, number, window, [0]) for number, window in enumerate((tumbling, hopping, each))]
    take(
        batches, Record("d0", "a", 0, b'{"temperature":20}', 0, 1), Record("d0", "b", 90, b'{"temperature":21}', 1, 91)
    )
    connection.execute("UPDATE new_readings SET event_at = event_at - INTERVAL 20 YEARS WHERE value = 20")
    connection.execute(f"DELETE FROM open_readings; INSERT INTO open_readings SELECT *, {MINUTE} FROM new_readings")
    then, now = int(START.replace(year=2006).timestamp()), int(START.timestamp())
    starts = ([then, now + 60], [then - 60, then, now, now + 60], [then, now + 90])
    for number, (window, expected, minutes) in enumerate(zip(windows, starts, (2, 6, 2), strict=True)):
        results = sorted(window.update(now * _US, 0, 0), key=lambda result: result.start_us)
        assert [result.start_us // _US for result in results] == expected
        (looked,) = (
            found for found in operators(connection, f"EXECUTE figures_{number}") if found["operator_name"] == "UNNEST"
        )
        assert looked["operator_cardinality"] == minutes, window.window.name


def test_what_was_judged_takes_no_more_room() -> None:
    """Forty batches of ten records leave those of the last sixteen at most, where DuckDB would keep all of them."""
    connection, batches = judged()
    for number in range(40):
        take(batches, *(Record("d0", f"{number}-{n}", n, b'{"temperature":20}', 10 * number + n, n) for n in range(10)))
    sizes = "SELECT estimated_size FROM duckdb_tables() WHERE table_name = ?"
    for table in ("batch", "records", "new_readings"):
        (size,) = connection.execute(sizes, [table]).fetchone() or (0,)
        assert 10 <= size <= 160, (table, size)


Event = tuple[str, int, int, int]
EVENTS = st.lists(
    st.tuples(st.sampled_from(DEVICES), st.integers(0, 59), st.integers(10, 30), st.integers(0, 40)), max_size=40
)


def final_windows(window: Window, events: list[Event], cuts: int) -> dict[Any, WindowResult]:
    """The last result a window of all that was told, with batches of `cuts` records."""
    connection, batches = judged()
    windows = OpenWindows(connection, 0, window, [0])
    told = 0
    results: dict[Any, WindowResult] = {}
    records = [
        Record(device, str(n), second, b'{"temperature":%d}' % value, n, 60 + n // 4)
        for n, (device, second, value, _) in enumerate(events)
    ]
    for begin in range(0, len(records), cuts):
        take(batches, *records[begin : begin + cuts])
        watermark = int(START.timestamp() + 60 + min(begin + cuts, len(records)) // 4) * _US
        found = list(windows.update(watermark, told, 0))
        results |= {(*result.keys.values(), result.start_us): result for result in found}
        told = watermark
    take(batches)
    found = list(windows.update(int(START.timestamp() + 9999) * _US, told, 0))
    return results | {(*result.keys.values(), result.start_us): result for result in found}


@settings(max_examples=15, deadline=None)
@given(EVENTS, st.integers(1, 13), st.sampled_from([(10, 10), (20, 5)]))
def test_windows_equal_an_oracle_however_batches_fall(events: list[Event], cuts: int, shape: tuple[int, int]) -> None:
    """Counts and extremes of tumbling and hopping windows are those of plain Python, and all are final in the end."""
    size, every = shape
    kind: Kind = "tumbling" if size == every else "hopping"
    window = Window("w", kind, size, ("device_id",), {"low": "min(value)", "high": "max(value)"}, every, lateness_s=5,
                    where="metric_name = 'temperature'")  # fmt: skip
    expected: dict[tuple[str, int], list[int]] = defaultdict(list)
    for device, second, value, _ in events:
        at = int(START.timestamp()) + second
        start = at // every * every
        while start > at - size:
            expected[device, start * _US].append(value)
            start -= every
    found = final_windows(window, events, cuts)
    assert {key: (result.revision, result.figures["low"], result.figures["high"]) for key, result in found.items()} == {
        key: (len(values), min(values), max(values)) for key, values in expected.items()
    }
    assert all(result.is_final for result in found.values())


def test_late_readings_are_left_out_where_the_window_says_so() -> None:
    """With `late: drop` a reading received after the window was final changes nothing; with `correct` it does."""
    for late, revisions in (("drop", [1, 1]), ("correct", [1, 1, 2])):
        connection, batches = judged()
        window = Window("w", "tumbling", 10, ("device_id",), {"n": "count(*)"}, lateness_s=5, late=late)  # type: ignore[arg-type]
        windows = OpenWindows(connection, 0, window, [0])
        told = int(START.timestamp()) * _US
        results = []
        for record, second in ((Record("d0", "a", 1, b'{"temperature":20}', 0, 2), 2), (None, 16),
                               (Record("d0", "b", 2, b'{"temperature":20}', 1, 17), 17)):  # fmt: skip
            take(batches, *([record] if record else []))
            watermark = int(START.timestamp() + second) * _US
            results += list(windows.update(watermark, told, 0))
            told = watermark
        assert [result.revision for result in results] == revisions
        assert [result.is_correction for result in results] == [False, False, True][: len(revisions)]


def test_sessions_and_readings_one_by_one() -> None:
    """A session ends after its gap; a window of each reading knows the one before and the first."""
    connection, batches = judged()
    session = Window("s", "session", 3600, ("device_id",), {"n": "count(*)"}, gap_s=10, lateness_s=0)
    each = Window(
        "e", "each", 60, ("device_id", "metric_name"), {"step": "value - previous_value", "first": "is_first"}
    )
    sessions, readings = OpenWindows(connection, 0, session, [0]), OpenWindows(connection, 1, each, [0])
    take(batches, *(Record("d0", str(s), s, b'{"temperature":%d}' % s, n, s) for n, s in enumerate((1, 5, 30))))
    now = int(START.timestamp() + 30) * _US
    assert sorted((r.revision, r.is_final) for r in sessions.update(now, 0, 0)) == [(1, False), (2, True)]
    assert sorted((r.start_us, r.figures["step"], r.figures["first"]) for r in readings.update(now, 0, 0)) == [
        (int(START.timestamp() + 1) * _US, None, True),
        (int(START.timestamp() + 5) * _US, 4.0, False),
        (int(START.timestamp() + 30) * _US, 25.0, False),
    ]


def test_readings_of_one_moment_have_identities_of_their_own() -> None:
    """Two metrics of a message, two messages of a pack and a message of the same time: told one by one, each is new to
    who knows identities, and the one before it is the same however often it is asked."""
    connection, batches = judged()
    steps = Window("steps", "each", 60, ("device_id",), {"step": "value - previous_value"})
    windows = OpenWindows(connection, 0, steps, [0])
    pack = b'[{"temperature":20,"humidity":1},{"temperature":22,"humidity":3}]'
    take(batches, Record("d0", "a", 1, pack, 0, 1), Record("d0", "b", 1, b'{"temperature":25}', 1, 1))
    results = list(windows.update(int(START.timestamp()) * _US, 0, 0))
    asof = AsOf(0, 0, {})
    identities = [dict(window_message(result, asof).headers)[ID] for result in results]
    assert len(set(identities)) == len(identities) == 5
    assert sorted(result.figures["step"] or 0.0 for result in results) == [-17.0, 0.0, 3.0, 19.0, 19.0]
