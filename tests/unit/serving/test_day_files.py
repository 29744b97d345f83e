"""A series that is read from the files of its days is that of the table, and of the publication's version alone."""

from collections.abc import Iterator
from datetime import timedelta
from itertools import product
from typing import Any

import pyarrow as pa
import pytest
from deltalake import write_deltalake

from lake.reading.day_files import DayFiles
from lake.records import publications
from lake.sql_text import Relation
from lake.storage.locations import table_uri
from lake.tables.gold import DEVICE_DAYS, DEVICE_HOURS, DEVICE_LATEST, DEVICE_MINUTES
from runtime.settings import Settings
from serving.access.api_keys import ApiKey
from serving.access.doors import Caller
from serving.access.scopes import parse_scopes
from serving.api.series_routes import series
from serving.snapshots import Snapshot
from tests.support.served_gold import START, newest_snapshot, publish, row

HOUR, DAY = timedelta(hours=1), timedelta(days=1)
KEY = ApiKey("id", "name", parse_scopes(["read"]), 10.0, START, None, None)
EVERY_SITE, NORTH, SOUTH = Caller(KEY, None), Caller(KEY, ("north",)), Caller(KEY, ("south",))


class NoFiles(DayFiles):
    """Knows none, so the table is asked."""

    def relation(self, name: str, days: range) -> Relation | None:
        """None."""
        return None


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """Four days of d1, which goes to the south on the second; a second publication has other hours of the same days,
    and files of the first are older than a column."""
    home = tmp_path_factory.mktemp("days")
    settings = Settings(home=home, lake_uri=str(home / "lake"))

    def rows(table: Any, offset: int) -> list[dict[str, Any]]:
        times = [START + hour * (DAY if table is DEVICE_DAYS else HOUR) for hour in range(offset, 96, 7)]
        times = [at for at in times if at < START + 4 * DAY]
        return [
            row(table, "d1", at, number / 3) | {"site_id": "north" if at < START + 30 * HOUR else "south"}
            for number, at in enumerate(times)
        ]

    for number, offset in ((1, 0), (2, 1)):
        found = {table: rows(table, offset) for table in (DEVICE_MINUTES, DEVICE_HOURS, DEVICE_DAYS)}
        publish(settings, number, found | {DEVICE_LATEST: rows(DEVICE_LATEST, 0)[-1:]})
    return settings


@pytest.fixture(scope="module")
def snapshot(settings: Settings) -> Iterator[Snapshot]:
    """The second of them."""
    with newest_snapshot(settings) as opened:
        yield opened


def points(snapshot: Snapshot, caller: Caller, every: str, hours: tuple[int, int], **ask: Any) -> pa.Table:
    """A series of d1, from one hour to another."""
    span = {"start": START + hours[0] * HOUR, "end": START + hours[1] * HOUR, "unit": None}
    return series(snapshot, caller, {"device_id": "d1", "metric_name": "temperature", "every": every,
                                     "fill": "gap", "aggregate": "mean"} | span | ask).rows  # fmt: skip


@pytest.mark.parametrize(("caller", "hours"), [
    (EVERY_SITE, (0, 24)), (EVERY_SITE, (5, 47)), (EVERY_SITE, (0, 96)), (NORTH, (0, 24)), (NORTH, (24, 30)),
    (SOUTH, (5, 47)), (SOUTH, (0, 96)),
])  # fmt: skip
def test_points_are_those_of_the_table(
    snapshot: Snapshot, monkeypatch: pytest.MonkeyPatch, caller: Caller, hours: tuple[int, int]
) -> None:
    """Of every resolution, figure and filling, to who sees one site or all; of a few days files are read, else the
    table."""
    asked = list(product(("1m", "15m", "1h", "6h", "1d"), (("last", "gap"), ("mean", "linear"))))
    read: list[bool] = []
    found_by = DayFiles.relation

    def watched(files: DayFiles, name: str, days: range) -> Relation | None:
        found = found_by(files, name, days)
        read.append(found is not None)
        return found

    monkeypatch.setattr(DayFiles, "relation", watched)
    found = [points(snapshot, caller, every, hours, aggregate=value, fill=fill) for every, (value, fill) in asked]
    assert set(read) == {hours != (0, 96)}
    monkeypatch.setattr(snapshot, "day_files", NoFiles(snapshot.settings, {}))
    assert found == [points(snapshot, caller, every, hours, aggregate=v, fill=f) for every, (v, f) in asked]


def test_each_publication_has_its_own_files(settings: Settings, snapshot: Snapshot) -> None:
    """Hours that came with the second are not in the first."""
    earlier = Snapshot(settings, publications.get(settings, 1))
    both = [points(each, EVERY_SITE, "1h", (0, 24))["value"].null_count for each in (earlier, snapshot)]
    earlier.close()
    assert both == [20, 16]


def test_files_older_than_a_column_are_read_as_the_table_has_them(settings: Settings) -> None:
    """A figure that their rows do not have is a gap, and one that they have is there."""
    uri = table_uri(settings, DEVICE_MINUTES.name)
    with newest_snapshot(settings) as opened:
        old = opened.ask(f"SELECT * EXCLUDE (value_last) FROM {DEVICE_MINUTES.name}")
        new = opened.ask(f"FROM {DEVICE_MINUTES.name}").slice(0, 0)
    write_deltalake(uri, old, mode="overwrite", schema_mode="overwrite", partition_by=["event_date"])
    write_deltalake(uri, new, mode="append", schema_mode="merge")
    publish(settings, 3, {DEVICE_LATEST: [row(DEVICE_LATEST, "d1", START, 1.0)], DEVICE_MINUTES: []})
    with newest_snapshot(settings) as opened:
        means, last = (points(opened, EVERY_SITE, "1m", (0, 24), aggregate=name)["value"] for name in ("mean", "last"))
        assert (len(means) - means.null_count, last.null_count) == (8, len(last))
