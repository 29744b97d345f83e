"""Stale slices and those that are to leave gold, over random histories of commits to silver.

The publication is played here: it takes what is stale and leaves out what is gone. What it then has must be what a
build of everything from the present silver would have.
"""

import json
import tempfile
from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime
from pathlib import Path
from unittest.mock import patch

from deltalake import CommitProperties, DeltaTable, write_deltalake
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from lake.records import publications
from lake.records.publications import Publication
from lake.slices import HOUR, runs_of, slice_of, slice_start
from lake.storage import delta
from lake.storage.locations import table_uri
from lake.tables.contracts import Table
from lake.tables.gold import DEVICE_COMPLETENESS, DEVICE_SILENCES
from lake.tables.silver import SILVER_DEVICES, SILVER_REJECTED
from pipeline.gold.stale import silver_versions, stale_slices
from runtime.settings import Settings
from tests.support.small_lake import Row, arrow_table

START = datetime(2026, 11, 20, 5, tzinfo=UTC)
# hours near each other, days apart, and a clock far ahead
HOURS = (0, 1, 2, 5, 9, 12, 21, 60, 2400)
SLICES = tuple(slice_of(START + hour * HOUR) for hour in HOURS)

_SLICE = st.sampled_from(SLICES)
_STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("arrive"), _SLICE, _SLICE),
        st.tuples(st.just("move"), _SLICE, _SLICE),
        st.tuples(st.just("name"), _SLICE, _SLICE),
        st.tuples(st.just("registry"), _SLICE, _SLICE),
        st.tuples(st.just("publish"), _SLICE, _SLICE),
    ),
    min_size=3,
    max_size=14,
)


class Played:
    """A silver of one table as records by slice, and a gold as what each published hour was made of."""

    def __init__(self, folder: Path) -> None:
        self.settings = Settings(home=folder, lake_uri=str(folder / "lake"))
        self.silver: dict[str, list[int]] = {}
        self.gold: dict[str, tuple[list[int], int]] = {}
        self.moves: dict[str, int] = {}
        self.number = 0
        self.is_by_hour = False
        self._write(SILVER_REJECTED, [], {"step": "made", "slices": []})
        self._write(SILVER_DEVICES, [], {"step": "made"})

    def arrive(self, slice_: str, _: str) -> None:
        """A record comes."""
        self.number += 1
        self.silver.setdefault(slice_, []).append(self.number)
        self._commit({slice_})

    def move(self, slice_: str, to: str) -> None:
        """The records of a slice are judged anew and count in another; the commit names both, there or not."""
        moved = self.silver.pop(slice_, [])
        if moved:
            self.silver.setdefault(to, []).extend(moved)
        self._commit({slice_, to})

    def name(self, slice_: str, to: str) -> None:
        """Slices are judged anew, which may have no record, and nothing comes of it."""
        self._commit({slice_, to})

    def registry(self, slice_: str, to: str) -> None:
        """A record of the registry changes over a time."""
        first, last = sorted((slice_, to))
        self.number += 1
        for hour in self.known():
            if first <= hour <= last:
                self.moves[hour] = self.number
        self._write(SILVER_DEVICES, [], {"step": "devices", "intervals": [[first, last]]})

    def publish(self, *_: str) -> None:
        """What is stale becomes gold, what is gone leaves it."""
        found = stale_slices(self.settings, {})
        for hour in found.hours:
            self.gold[hour] = (sorted(self.silver.get(hour, [])), self.moves.get(hour, 0))
        for hour in found.gone:
            del self.gold[hour]
        if found.hours:
            self._record(sorted(found.hours))

    def known(self) -> set[str]:
        """The hours that a build of everything has."""
        return set(self.silver)

    def full(self) -> dict[str, tuple[list[int], int]]:
        """What a build of everything is made of."""
        return {hour: (sorted(self.silver.get(hour, [])), self.moves.get(hour, 0)) for hour in self.known()}

    def _commit(self, slices: set[str]) -> None:
        rows = [_row(slice_, number) for slice_, numbers in self.silver.items() for number in numbers]
        self._write(SILVER_REJECTED, rows, {"step": "rebuild", "slices": runs_of(slices)})

    def _write(self, table: Table, rows: list[Row], metadata: Mapping[str, object]) -> int:
        uri = table_uri(self.settings, table.name)
        properties = CommitProperties(custom_metadata={"userMetadata": json.dumps(metadata)})
        write_deltalake(
            uri, arrow_table(table, rows), mode="overwrite", partition_by=list(table.partition_by) or None,
            commit_properties=properties,
        )  # fmt: skip
        return int(DeltaTable(uri).version())

    def _record(self, slices: list[str], pending: Sequence[str] = ()) -> None:
        rows = [
            {"device_id": "d", "hour_at": slice_start(hour), "event_date": _day(hour), "event_hour": int(hour[11:])}
            for hour in self.gold
        ]
        version = self._write(DEVICE_COMPLETENESS, rows, {"step": "publish"})
        tables = {DEVICE_COMPLETENESS.name: version} | ({} if self.is_by_hour else {DEVICE_SILENCES.name: 0})
        previous = publications.newest(self.settings)
        publications.record(
            self.settings,
            Publication(
                publication_id=1 if previous is None else previous.publication_id + 1,
                published_at=START, tables=tables,
                inputs=silver_versions(self.settings, {}), slices=tuple(slices), held=(), releases=(),
                first_slice=min(self.gold, default=""), last_slice=max(self.gold, default=""), models={},
                code_version="test", run_id="test", pending=tuple(runs_of(pending)),
            ),
        )  # fmt: skip


def _day(slice_: str) -> date:
    return slice_start(slice_).date()


def _row(slice_: str, number: int) -> Row:
    return {"topic": "telemetry", "partition": 0, "offset": number, "ingest_id": number, "reason": "not_json",
            "event_at": slice_start(slice_), "event_date": _day(slice_), "event_hour": int(slice_[11:])}  # fmt: skip


def play(folder: Path, steps: list[tuple[str, str, str]]) -> Played:
    """Do the steps, then publish."""
    played = Played(folder)
    for name, slice_, to in (*steps, ("publish", "", "")):
        getattr(played, name)(slice_, to)
    return played


@hypothesis_settings(max_examples=40)
@given(_STEPS)
def test_incremental_has_the_hours_of_a_full_build(steps: list[tuple[str, str, str]]) -> None:
    """Records come, move and go, the registry changes, commits name slices that nothing is in: what was published
    bit by bit is made of what a full build is made of, hour by hour, and then nothing is stale."""
    with tempfile.TemporaryDirectory() as folder:
        played = play(Path(folder), steps)
        assert played.gold == played.full()
        assert stale_slices(played.settings, {}).hours == {}


def test_a_slice_that_nothing_is_in_is_not_stale(tmp_path: Path) -> None:
    """A device whose clock is 100 days ahead has its records judged anew: the hour that it named has none, and neither
    that hour nor one before it is published."""
    near, far = SLICES[0], SLICES[-1]
    played = play(tmp_path, [("arrive", near, ""), ("publish", "", ""), ("name", near, far)])
    assert set(played.gold) == {near}


def test_hours_that_lost_their_records_leave_gold(tmp_path: Path) -> None:
    """At the end and between others: no record is left that a row of theirs could be about."""
    first, second, third = SLICES[0], SLICES[1], SLICES[4]
    steps = [("arrive", first, ""), ("arrive", second, ""), ("arrive", third, ""), ("publish", "", "")]
    played = play(tmp_path, [*steps, ("move", third, first)])
    assert played.gold == {first: ([1, 3], 0), second: ([2], 0)}
    played.move(second, SLICES[3])
    found = stale_slices(played.settings, {})
    assert found.emptied == found.gone == {second}


def test_each_log_is_opened_once(tmp_path: Path) -> None:
    """With a publication behind it and records, silences and registry changes after it: what is stale is told from
    one look at each table, so that all of it is of one state."""
    steps = [
        ("arrive", SLICES[0], ""),
        ("publish", "", ""),
        ("arrive", SLICES[4], ""),
        ("registry", SLICES[0], SLICES[4]),
    ]
    played = play(tmp_path, [*steps, ("publish", "", ""), ("arrive", SLICES[1], ""), ("move", SLICES[4], SLICES[0])])
    opened: list[str] = []

    def counted(uri: str, **options: object) -> DeltaTable:
        opened.append(uri)
        return DeltaTable(uri, **options)  # type: ignore[arg-type]

    played.arrive(SLICES[2], "")
    played.registry(SLICES[0], SLICES[1])
    with patch.object(delta, "DeltaTable", counted):
        assert len(stale_slices(played.settings, {}).hours) > 1
    assert {uri.rsplit("/", 1)[1] for uri in opened} >= {"publications", "rejected", "devices"}
    assert [uri for uri in set(opened) if opened.count(uri) > 1] == []


def test_rows_of_silent_hours_leave_gold_once(tmp_path: Path) -> None:
    """A publication of before silences were ranges has rows for their hours; the next one has none."""
    played = Played(tmp_path)
    played.is_by_hour = True
    played.arrive(SLICES[0], "")
    played.arrive(SLICES[2], "")
    played.gold[SLICES[1]] = ([], 0)
    played.publish()
    assert stale_slices(played.settings, {}).gone == {SLICES[1]}
    played.is_by_hour = False
    played.publish()
    assert set(played.gold) == {SLICES[0], SLICES[2]}
    assert stale_slices(played.settings, {}).hours == {}


def test_an_hour_that_was_left_and_lost_its_records_is_known_as_empty(tmp_path: Path) -> None:
    """A longer refresh did not come to it, and what it had counts in another hour now: its date is built without it."""
    played = Played(tmp_path)
    first, left = SLICES[0], SLICES[3]
    played.arrive(first, first)
    played.arrive(left, left)
    played.gold[first] = ([1], 0)
    played._record([first], pending=[left])
    played.move(left, first)
    found = stale_slices(played.settings, {})
    assert sorted(found.hours) == [first, left]
    assert found.gone == {left}
