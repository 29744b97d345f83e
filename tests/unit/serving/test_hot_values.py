"""What the hot path told last, by revision."""

from datetime import UTC, datetime

from serving.hot.hot_values import HotValues

SERIES = ("d1", "temperature", "degc")
MINUTE = datetime(2026, 11, 20, 5, 3, tzinfo=UTC)


def window(revision: int, mean: float, *, is_final: bool = False) -> dict[str, object]:
    """A result of the minute's window."""
    return {"window": "device_minutes", "device_id": "d1", "metric_name": "temperature", "unit": "degc",
            "window_start": "2026-11-20T05:03:00Z", "revision": revision, "is_final": is_final, "value_mean": mean,
            "value_min": mean, "value_max": mean, "value_last": mean}  # fmt: skip


def test_the_greatest_revision_of_a_minute_is_kept() -> None:
    """Results that are told again or out of order change nothing; a final one of the same revision does."""
    hot = HotValues()
    for told in (window(2, 20.0), window(1, 10.0), window(2, 20.0, is_final=True)):
        hot.take_window(told)
    (minute,) = hot.minutes(SERIES)
    assert (minute.minute_at, minute.revision, minute.is_final, minute.figures[0]) == (MINUTE, 2, True, 20.0)


def test_other_windows_and_what_is_no_result_are_left_out() -> None:
    """Only minutes are kept, and of those only what names its series and its start."""
    hot = HotValues()
    hot.take_window(window(1, 1.0) | {"window": "site_hours"})
    hot.take_window(window(1, 1.0) | {"window_start": "soon"})
    hot.take_window(window(1, 1.0) | {"device_id": None})
    assert hot.minutes(SERIES) == []


def test_the_newest_value_of_each_series_has_its_revision() -> None:
    """A series has one newest value, whose revision is its offset in the topic."""
    hot = HotValues()
    body = {"device_id": "d1", "metric_name": "temperature", "unit": "degc", "value": 1.0}
    hot.take_latest(body, 4)
    hot.take_latest(body | {"value": 2.0}, 9)
    hot.take_latest({"device_id": "d1"}, 10)
    assert [(each["value"], each["revision"]) for each in hot.newest_of("d1")] == [(2.0, 9)]
    assert hot.revision == 9
