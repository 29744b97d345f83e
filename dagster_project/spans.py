"""Spans: how many of a run's slices one event of Dagster's speaks for.

Belongs here: grouping slices. An event takes Dagster some 4 ms and 10 kB, and a run may do years of hours: so a day's
worth of slices is told one by one, and more of them by spans that follow each other without a gap, or all at once
where there are many gaps. What was held is told one by one, whatever its number is (see `asset_checks`).
"""

import zlib
from base64 import b64decode, b64encode
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from dagster import JsonMetadataValue, MetadataValue

from lake.slices import slices_from, together

Slice = str | None
"""An hour, a day, or None for what is not sliced."""
MOST = 24
"""So many events a run and table."""


@dataclass(frozen=True)
class Span:
    """Slices from `first` to `last`, of which there are `count`, with `rows` rows; None is what has no slices.

    `which` says which of those between they are, where there are gaps; `is_about` that the rows are not counted.
    """

    first: Slice
    last: Slice
    count: int
    rows: int
    which: str = ""
    is_about: bool = False

    @property
    def metadata(self) -> dict[str, str | int | JsonMetadataValue]:
        """What an event on the span tells of it. The event's partition is `last`.

        Dagster plots every number by name: only what was counted of one slice is one, so that no curve mixes hours and
        years, and none has what other slices are counted in.
        """
        if self.count == 1:
            return {"rows_about": f"about {self.rows:,}"} if self.is_about else {"rows": self.rows}
        return {"rows_together": f"about {self.rows:,}" if self.is_about else f"{self.rows:,}", **_slices_of(self)}


def _slices_of(span: Span) -> dict[str, str | JsonMetadataValue]:
    # as JSON, since nobody reads it: the UI shows it on demand
    which = {"which_slices": JsonMetadataValue(span.which)} if span.which else {}
    return {"slices": f"{span.first} to {span.last}", "slice_count": f"{span.count:,}", **which}


def together_told(slices: Sequence[str]) -> dict[str, str | JsonMetadataValue]:
    """What one event on all of these slices, in order, tells of them, where their rows are not known any more."""
    return _slices_of(Span(slices[0], slices[-1], len(slices), 0, _packed(slices)))


def spans(rows: Mapping[Slice, int], slices: Iterable[Slice], about: frozenset[Slice] = frozenset()) -> list[Span]:
    """The slices in order, with their rows, as MOST spans at most. Hours and days do not come together. Of the slices
    in `about` the rows are not counted."""
    unsliced = [Span(None, None, 1, rows.get(None, 0))] if None in (wanted := set(slices)) else []
    ordered = sorted(slice_ for slice_ in wanted if slice_ is not None)
    if len(ordered) <= MOST:
        return unsliced + [Span(each, each, 1, rows.get(each, 0), is_about=each in about) for each in ordered]
    runs = list(together(ordered))
    groups: list[Sequence[str]] = runs if len(runs) <= MOST else [ordered]
    return unsliced + [
        Span(each[0], each[-1], len(each), sum(rows.get(s, 0) for s in each), _packed(each), not about.isdisjoint(each))
        for each in groups
    ]


def span_told(metadata: Mapping[str, MetadataValue[Any]]) -> str | None:
    """The slices that an event with this metadata speaks for, as one text; None where it speaks for its own alone."""
    if "slices" not in metadata:
        return None
    which = metadata["which_slices"].value if "which_slices" in metadata else ""
    return f"{metadata['slices'].value} {which}"


def slices_told(told: str) -> list[str]:
    """The slices in the text of `span_told`."""
    first, _, last, which = told.split(" ")
    every = slices_from(first, last)
    if not which:
        return list(every)
    bits = zlib.decompress(b64decode(which)).decode()
    return [slice_ for slice_, bit in zip(every, bits, strict=True) if bit == "1"]


def _packed(slices: Sequence[str]) -> str:
    """Which of the slices between the first and the last these are; empty for all of them."""
    every, told = slices_from(slices[0], slices[-1]), set(slices)
    if len(every) == len(slices):
        return ""
    return b64encode(zlib.compress("".join("01"[each in told] for each in every).encode())).decode()


def count_between(first: str, last: str) -> int:
    """How many slices there are from one to another, both included."""
    return len(slices_from(first, last))
