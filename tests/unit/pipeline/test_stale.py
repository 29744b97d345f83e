"""Stale slices: the silences between hours with records, and which of them are not in the books yet."""

from dataclasses import replace
from datetime import UTC, datetime

from lake.records.publications import Publication
from lake.slices import slices_between
from pipeline.gold.stale import MAX_SILENCE, _silences, silences_between

FIRST, NEXT, LAST = "2026-01-01T05", "2026-01-01T09", "2026-06-01T00"
RECORDS = frozenset((FIRST, NEXT, LAST))
SHORT = slices_between("2026-01-01T06", "2026-01-01T08")
LONG = slices_between("2026-01-01T10", "2026-02-01T09")  # 31 days after NEXT
PUBLISHED = Publication(
    1, datetime(2026, 6, 1, tzinfo=UTC), {}, {}, (), (), (), FIRST, LAST, {}, "1", "run"
)  # fmt: skip


def test_a_silence_ends_with_records_or_in_time() -> None:
    """Hours between two with records are silent, of a silence of months only the first 31 days."""
    assert silences_between(RECORDS) == SHORT + LONG
    assert len(LONG) == MAX_SILENCE.days * 24
    assert silences_between([]) == silences_between([FIRST]) == []


def test_before_a_publication_every_silence_is_new() -> None:
    """Nothing is in the books yet."""
    assert _silences(RECORDS, (), None) == {*SHORT, *LONG}


def test_a_silence_is_done_again_when_an_hour_that_ends_it_was_touched() -> None:
    """All of it, and no other; the hour with records after a silence of months does not end it."""
    assert _silences(RECORDS, (), PUBLISHED) == set()
    assert _silences(RECORDS, {FIRST}, PUBLISHED) == set(SHORT)
    assert _silences(RECORDS, {NEXT}, PUBLISHED) == {*SHORT, *LONG}
    assert _silences(RECORDS, {LAST}, PUBLISHED) == set()


def test_silent_hours_outside_of_the_books_are_new() -> None:
    """What a publication covers begins or ends amid a silence."""
    until = replace(PUBLISHED, last_slice=LONG[9])
    assert _silences(RECORDS, (), until) == set(LONG[10:])
    since = replace(PUBLISHED, first_slice=SHORT[1])
    assert _silences(RECORDS, (), since) == {SHORT[0]}
