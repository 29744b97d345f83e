"""Silences: stretches of hours in which no device sent anything, between hours with records.

Belongs here: pure arithmetic on the hours with records. A silence is stated as a range, whatever its length: it has no
slice, no verdict and no row an hour. What was due in it is worked out in dbt's `device_silences`.
"""

from collections.abc import Iterable
from datetime import timedelta
from itertools import pairwise

from lake.slices import HOUR, slice_of, slice_start, slices_between

# A silence of the whole lake is stated up to this long after the last hour with records; without a limit one recording
# from years ago would have something missing in every hour since then.
MAX_SILENCE = timedelta(days=31)


def silences_amid(with_records: Iterable[str]) -> list[tuple[str, str]]:
    """First silent slice and the one after the last of each silence, in order: it ends with the next hour with records,
    or after MAX_SILENCE."""
    found = []
    starts = [(slice_, slice_start(slice_)) for slice_ in sorted(with_records)]
    for (_, before), (after, end) in pairwise(starts):
        first, limit = before + HOUR, before + HOUR + MAX_SILENCE
        if first < end:
            found.append((slice_of(first), after if end <= limit else slice_of(limit)))
    return found


def silent_hours(with_records: Iterable[str]) -> list[str]:
    """Every hour of the silences, as publications of before gold had silences list them."""
    return [
        s
        for first, end in silences_amid(with_records)
        for s in slices_between(first, slice_of(slice_start(end) - HOUR))
    ]
