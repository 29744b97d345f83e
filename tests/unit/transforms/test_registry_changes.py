"""Which times a change of the registry touches."""

from datetime import UTC, datetime
from typing import Any

from transforms.registry_changes import changes, merged


def at(hour: int) -> datetime:
    return datetime(2026, 1, 1, hour, tzinfo=UTC)


def record(start: int, site: str = "a", device: str = "d", model: str = "m", since: int = 0) -> dict[str, Any]:
    return {
        "device_id": device,
        "valid_from": at(start),
        "status": "in_service",
        "in_service_at": at(since),
        "model_id": model,
        "site_id": site,
        "reporting_interval_s": 60,
    }


def test_a_new_device_touches_everything_since_it_came_into_service() -> None:
    """A registration is an open interval from its start and is judged anew."""
    (change,) = changes([], [record(3, since=3)])
    assert (change.intervals, change.is_new, change.is_judged_anew) == (((at(3), None),), True, True)


def test_a_move_touches_only_the_time_after_it() -> None:
    """What was before a move stays as it was, though its record is now closed; judging does not read the site."""
    (change,) = changes([record(0)], [record(0), record(5, site="b")])
    assert (change.intervals, change.is_judged_anew) == (((at(5), None),), False)


def test_a_late_move_touches_only_the_time_until_the_next_one() -> None:
    """A record that comes late, between two known ones, touches just its own period."""
    before = [record(0), record(8, site="c")]
    (change,) = changes(before, [record(0), record(5, site="b"), record(8, site="c")])
    assert change.intervals == ((at(5), at(8)),)


def test_an_earlier_start_of_service_is_judged_anew() -> None:
    """in_service_at decides which clocks are wrong, so its change puts the device's records in doubt."""
    (change,) = changes([record(4, since=4)], [record(2, since=2)])
    assert change.is_judged_anew
    assert not change.is_new
    assert change.intervals == ((at(2), None),)


def test_another_model_is_judged_anew() -> None:
    """From the change on, and also when it is only said to have come earlier or later than was known."""
    one = [record(0, model="m"), record(6, model="n")]
    (change,) = changes([record(0, model="m")], one)
    assert (change.intervals, change.is_judged_anew, change.is_new) == (((at(6), None),), True, False)
    (earlier,) = changes(one, [record(0, model="m"), record(4, model="n")])
    assert (earlier.intervals, earlier.is_judged_anew) == (((at(4), at(6)),), True)
    (first,) = changes([record(0, model="m")], [record(0, model="n")])
    assert (first.intervals, first.is_judged_anew) == (((at(0), None),), True)


def test_the_same_model_again_is_not_judged_anew() -> None:
    """An event that names the model that the device has, or none, changes nothing of what is judged."""
    (again,) = changes([record(0)], [record(0), record(3, site="b")])
    assert not again.is_judged_anew
    nameless = record(3) | {"model_id": None}
    (none,) = changes([record(0)], [record(0), nameless])
    assert (none.intervals, none.is_judged_anew) == (((at(3), None),), False)
    # there and back is a change, though the last model is the first
    (back,) = changes([record(0)], [record(0), record(2, model="n"), record(4)])
    assert (back.intervals, back.is_judged_anew) == (((at(2), at(4)),), True)


def test_every_column_of_the_state_counts() -> None:
    """Status, interval and site place and count readings; where they differ the time is touched."""
    for name, value in (("status", "maintenance"), ("reporting_interval_s", 30), ("site_id", "b")):
        (change,) = changes([record(0)], [record(0), record(5) | {name: value}])
        assert change.intervals == ((at(5), None),), name


def test_changes_that_overlap_are_told_apart() -> None:
    """Two histories that differ in several places, and agree between them, touch those places alone; where they differ
    without a break, whatever the reasons, it is one."""
    before = [record(0), record(2, site="b"), record(4, site="a"), record(8, site="c")]
    after = [record(0), record(2, site="x"), record(4, site="a"), record(7, site="y"), record(8, site="z")]
    (change,) = changes(before, after)
    assert change.intervals == ((at(2), at(4)), (at(7), None))
    (ended,) = changes([record(0), record(3, site="b")], [record(0)])
    assert ended.intervals == ((at(3), None),)
    (gone,) = changes([record(2, since=2)], [])
    assert (gone.intervals, gone.is_judged_anew, gone.is_new) == (((at(2), None),), True, False)


def test_rows_may_come_in_any_order() -> None:
    """A history is ordered by when its records hold, not by how they are read."""
    rows = [record(0), record(5, site="b"), record(8, site="c")]
    assert changes(rows, list(reversed(rows))) == []


def test_the_same_history_is_no_change() -> None:
    """Equal histories, and other devices, are left out."""
    assert changes([record(0)], [record(0)]) == []
    assert [c.device_id for c in changes([record(0)], [record(0), record(0, device="e")])] == ["e"]


def test_touching_intervals_are_joined() -> None:
    """Overlapping and adjacent intervals become one; an open end swallows what follows."""
    assert merged([(at(5), at(6)), (at(1), at(3)), (at(3), at(4))]) == [(at(1), at(4)), (at(5), at(6))]
    assert merged([(at(1), None), (at(3), at(4))]) == [(at(1), None)]
    assert merged([(at(1), at(6)), (at(2), at(3))]) == [(at(1), at(6))]
    assert merged([(at(1), at(3)), (at(2), None)]) == [(at(1), None)]
    assert merged([(at(1), at(2)), (at(3), at(4))]) == [(at(1), at(2)), (at(3), at(4))]
    assert merged([(at(1), None), (at(1), at(2))]) == [(at(1), None)]
    assert merged([]) == []
