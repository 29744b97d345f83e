"""Ranges of a topic's offsets: what a tick reads, and what can no longer be read.

Belongs here: arithmetic on offsets that bronze has and that the broker has, and the errors where they do not fit.
Asking the broker is `kafka_offsets`, reading `spark_records` and `local_records`, the commit `bronze_ingest`.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from ingestion.kafka_offsets import Span
from runtime.errors import LandingZoneError

Offsets = dict[int, int]
"""Kafka partition -> offset."""


@dataclass(frozen=True)
class OffsetRange:
    """What one bronze commit reads of a topic: from `start` (inclusive) to `end` (exclusive), a partition."""

    topic: str
    start: Offsets
    end: Offsets

    @property
    def width(self) -> int:
        """Offsets in the range, as many as records or more."""
        return sum(self.end[p] - self.start[p] for p in self.end)

    @property
    def ingest_id(self) -> int:
        """Grows with every commit that brings records, and follows from the offsets alone."""
        return sum(self.end.values())


def next_range(topic: str, committed: Offsets, available: Mapping[int, tuple[int, int]]) -> OffsetRange:
    """What to read next. A partition that bronze has not seen starts at the oldest offset there is.

    Raises LandingZoneError when the broker no longer has offsets that bronze needs, or has fewer than bronze holds:
    going on would lose or repeat records.
    """
    start, end = {}, {}
    for partition, (oldest, high) in available.items():
        begin = committed.get(partition, oldest)
        if begin < oldest:
            raise LandingZoneError(
                f"Kafka topic {topic}, partition {partition}: offsets {begin} to {oldest - 1} are gone from the broker "
                f"(up to {oldest - begin} records), and bronze does not have them. Restore them, or accept the gap "
                f"with `lakehouse ingest --accept-gap`."
            )
        if begin > high:
            raise LandingZoneError(
                f"Kafka topic {topic}, partition {partition} ends at offset {high}, but bronze holds records up to "
                f"{begin - 1}: the topic was created anew or this is another broker. Point the lakehouse at the broker "
                f"it began with, or at an empty lake."
            )
        start[partition], end[partition] = begin, high
    missing = sorted(set(committed) - set(available))
    if missing:
        raise LandingZoneError(
            f"Kafka topic {topic} no longer has partitions {missing}, which bronze has read: this is another topic."
        )
    return OffsetRange(topic, start, end)


def losses(committed: Offsets, available: Mapping[int, Span]) -> dict[int, Span]:
    """The offsets, a partition, that bronze has not read and the broker no longer has.

    Of a partition that bronze has never read these are all before the oldest one.
    """
    starts = {p: committed.get(p, 0) for p in available}
    return {p: (starts[p], oldest) for p, (oldest, _) in available.items() if starts[p] < oldest}
