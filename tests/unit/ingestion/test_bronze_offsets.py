"""Which offsets a tick reads, and when it stops instead."""

import pytest

from ingestion.offset_ranges import next_range
from runtime.errors import LandingZoneError


def test_a_tick_reads_from_the_committed_offset_to_the_last_stable_one() -> None:
    """Committed partitions go on where bronze ended; a new partition starts at its oldest offset."""
    offsets = next_range("telemetry", {0: 5}, {0: (0, 9), 1: (3, 4)})
    assert (offsets.start, offsets.end, offsets.width, offsets.ingest_id) == ({0: 5, 1: 3}, {0: 9, 1: 4}, 5, 13)


def test_offsets_that_the_broker_no_longer_has_stop_the_tick() -> None:
    """Retention past our offset is an error that names the gap, not a quiet jump."""
    with pytest.raises(LandingZoneError, match=r"partition 0: offsets 5 to 7 are gone .*up to 3 records"):
        next_range("telemetry", {0: 5}, {0: (8, 20)})


def test_a_topic_that_ends_before_our_offset_stops_the_tick() -> None:
    """A topic created anew starts at 0; reading it as if it went on would lose what it holds."""
    with pytest.raises(LandingZoneError, match="created anew"):
        next_range("telemetry", {0: 5}, {0: (0, 4)})


def test_a_missing_partition_stops_the_tick() -> None:
    """Kafka never removes partitions, so a topic with fewer is another topic."""
    with pytest.raises(LandingZoneError, match=r"no longer has partitions \[1\]"):
        next_range("telemetry", {0: 5, 1: 2}, {0: (0, 6)})


def test_nothing_new_is_an_empty_range() -> None:
    """At the high watermark there is nothing to read."""
    assert next_range("telemetry", {0: 5}, {0: (0, 5)}).width == 0
