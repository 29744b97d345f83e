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


def test_the_same_history_is_no_change() -> None:
    """Equal histories, and other devices, are left out."""
    assert changes([record(0)], [record(0)]) == []
    assert [c.device_id for c in changes([record(0)], [record(0), record(0, device="e")])] == ["e"]


def test_touching_intervals_are_joined() -> None:
    """Overlapping and adjacent intervals become one; an open end swallows what follows."""
    assert merged([(at(5), at(6)), (at(1), at(3)), (at(3), at(4))]) == [(at(1), at(4)), (at(5), at(6))]
    assert merged([(at(1), None), (at(3), at(4))]) == [(at(1), None)]
