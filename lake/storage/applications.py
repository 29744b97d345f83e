"""Applications: under which names our steps note in Delta's log how far they have come.

Belongs here: the names. They stand in the logs of lakes: a step that took another one would begin anew.
"""

from enum import StrEnum


class App(StrEnum):
    """A step as Delta's `txn` action names it; what its transactions count stands beside each."""

    INGEST = "ingest"
    """Sums of a topic's offsets, in a table of bronze."""
    UNPACK = "unpack"
    """`ingest_id` up to which packs are taken apart, in bronze's telemetry."""
    TELEMETRY = "telemetry"
    """`ingest_id` up to which telemetry is judged, in silver."""
    LIFECYCLE = "lifecycle"
    """`ingest_id` up to which lifecycle records are judged, in silver."""
    REJUDGE = "rejudge"
    """Versions of `silver.devices` whose changes silver has followed, in `silver.rejected`."""
