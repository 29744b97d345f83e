"""Silences: the ranges between hours with records, and when their hours are to leave gold."""

from pipeline.gold.silences import MAX_SILENCE, silences_amid, silent_hours

FIRST, NEXT, LAST = "2026-01-01T05", "2026-01-01T09", "2026-06-01T00"


def test_a_silence_ends_with_records_or_in_time() -> None:
    """Hours between two with records are silent, of a silence of months only the first 31 days."""
    short, long = ("2026-01-01T06", NEXT), ("2026-01-01T10", "2026-02-01T10")  # 31 days
    assert silences_amid({FIRST, NEXT, LAST}) == [short, long]
    assert silences_amid([]) == silences_amid([FIRST]) == silences_amid([FIRST, "2026-01-01T06"]) == []


def test_a_silence_of_just_the_longest_ends_with_records() -> None:
    """A record right after it ends it, and one an hour later does too, an hour that nothing is said of between them."""
    after = "2026-02-01T06"
    assert silences_amid([FIRST, after]) == [("2026-01-01T06", after)]
    assert silences_amid([FIRST, "2026-02-01T07"]) == [("2026-01-01T06", after)]


def test_its_hours_one_by_one() -> None:
    """For what states silences by hour."""
    hours = silent_hours({FIRST, NEXT, LAST})
    assert hours[:4] == ["2026-01-01T06", "2026-01-01T07", "2026-01-01T08", "2026-01-01T10"]
    assert len(hours) == 3 + MAX_SILENCE.days * 24
