"""A device that moved: each site's key sees the time that it stood there, and no more."""

from collections.abc import Iterator
from datetime import date, datetime, timedelta
from typing import Any

import pytest

from lake.tables.contracts import Table
from lake.tables.gold import DEVICE_DAYS, DEVICE_HOURS, DEVICE_LATEST, DEVICE_MINUTES, DEVICES
from runtime.settings import Settings
from serving.access.api_keys import ApiKey
from serving.access.doors import Caller
from serving.access.scopes import parse_scopes
from serving.api.gold_routes import asked
from serving.api.series_routes import series
from serving.problems import Problem
from serving.snapshots import Snapshot
from tests.support.served_gold import START, newest_snapshot, publish, row

MOVED_AT = START + timedelta(hours=3)
SPAN = {"device_id": "d1", "metric_name": "temperature", "unit": None, "start": START, "aggregate": "mean",
        "end": START + timedelta(hours=6)}  # fmt: skip


def moved(table: Table, at: datetime, value: float) -> dict[str, Any]:
    """A row of d1, which stood in the north until it was moved."""
    return row(table, "d1", at, value) | {"site_id": "north" if at < MOVED_AT else "south"}


@pytest.fixture(scope="module")
def snapshot(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Snapshot]:
    """Six hours of a device that moves after three, and the day after."""
    home = tmp_path_factory.mktemp("moved")
    settings = Settings(home=home, lake_uri=str(home / "lake"))
    hours = [START + timedelta(hours=hour) for hour in (*range(6), 24)]
    publish(settings, 1, {
        DEVICE_MINUTES: [moved(DEVICE_MINUTES, at, at.hour) for at in hours],
        DEVICE_HOURS: [moved(DEVICE_HOURS, at, at.hour) for at in hours],
        DEVICE_DAYS: [moved(DEVICE_DAYS, at, 1) for at in (hours[0], hours[-1])],
        DEVICE_LATEST: [moved(DEVICE_LATEST, hours[-1], 0)],
        DEVICES: [moved(DEVICES, hours[-1], 0)],
    })  # fmt: skip
    with newest_snapshot(settings) as opened:
        yield opened


def who(*sites: str) -> Caller:
    """A caller of some sites, of all without one."""
    return Caller(ApiKey("id", "name", parse_scopes(["read"]), 10.0, START, None, None), sites or None)


def values(snapshot: Snapshot, caller: Caller, every: str, fill: str = "gap", **changes: Any) -> list[float | None]:
    """The points of the device's series."""
    answer = series(snapshot, caller, SPAN | {"every": every, "fill": fill} | changes)
    return list(answer.rows.column("value").to_pylist())


@pytest.mark.parametrize("every", ["1h", "1m"])
def test_a_series_holds_the_time_at_the_callers_sites(snapshot: Snapshot, every: str) -> None:
    """The north sees the hours before the move, the south those after, who has both or all sees all; other minutes
    have no reading."""

    def seen(caller: Caller) -> list[float | None]:
        return [value for value in values(snapshot, caller, every) if value is not None]

    assert seen(who("north")) == [0, 1, 2]
    assert seen(who("south")) == [3, 4, 5]
    assert seen(who("north", "south")) == seen(who()) == [0, 1, 2, 3, 4, 5]


def test_what_is_filled_in_comes_from_what_is_seen(snapshot: Snapshot) -> None:
    """The value before a gap is the last one that the caller sees, not that of another site."""
    assert values(snapshot, who("north"), "1h", "previous") == [0, 1, 2, 2, 2, 2]
    assert values(snapshot, who("south"), "1h", "previous") == [None, None, None, 3, 4, 5]


def test_a_day_of_two_sites_is_seen_by_who_sees_both(snapshot: Snapshot) -> None:
    """The day of the move shows in neither site's rows or series; the day after is the new site's."""
    days: dict[str, Any] = {"end": START + timedelta(days=2)}
    assert values(snapshot, who("south"), "1d", **days) == [None, 1]
    assert values(snapshot, who("north"), "1d", **days) == [None, None]
    assert values(snapshot, who("north", "south"), "1d", **days) == [1, 1]

    def rows(caller: Caller) -> list[date]:
        return list(
            asked(snapshot, caller, DEVICE_DAYS, "true", [], "ORDER BY day_date").column("day_date").to_pylist()
        )

    assert rows(who("north")) == []
    assert rows(who("south")) == [date(2026, 11, 19)]
    assert rows(who()) == [date(2026, 11, 18), date(2026, 11, 19)]


def test_who_sees_no_hour_is_told_of_no_series(snapshot: Snapshot) -> None:
    """A third site's key, and the old site's for the time after the move, get the answer for what does not exist."""
    asked_by: list[tuple[Caller, dict[str, Any]]] = [(who("west"), {}), (who("north"), {"start": MOVED_AT})]
    for caller, span in asked_by:
        with pytest.raises(Problem) as problem:
            values(snapshot, caller, "1h", **span)
        assert problem.value.status == 404
