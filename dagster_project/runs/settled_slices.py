"""Settled slices: what was told of slices long ago is told together, by one event of each asset.

Belongs here: making one of an asset's old events, in Dagster's SQLite files, whose layout is private to Dagster. Which
runs are forgotten, and when this is done, is said in `pruning`.

Without it Dagster's folder grows by the hours that there are, an event and a check's result an hour and asset. The
event that stays speaks for all of these slices (see `spanned_log`), so the UI goes on to show them as materialized; of
how many rows each had, and which run said so, it knows no more. The lake does.
"""

import json
from datetime import UTC, datetime
from itertools import groupby

from dagster import AssetMaterialization
from dagster._core.events import StepMaterializationData
from dagster._core.events.log import EventLogEntry
from dagster._core.storage.event_log import SqliteEventLogStorage
from dagster_shared.serdes import deserialize_value, serialize_value
from sqlalchemy import Connection, text

from dagster_project.runs.spanned_log import SPAN_TAG
from dagster_project.spans import slices_told, span_told, together_told

# but for the newest event of each asset, which says how that was at last
_TOLD = """SELECT log.id AS id, log.asset_key AS asset_key, log.partition AS partition, tag.value AS told
    FROM event_logs AS log LEFT JOIN asset_event_tags AS tag ON tag.event_id = log.id AND tag.key = :span
    WHERE log.dagster_event_type = 'ASSET_MATERIALIZATION' AND log.partition IS NOT NULL AND log.timestamp < :before
    AND log.id NOT IN (SELECT max(id) FROM event_logs WHERE dagster_event_type = 'ASSET_MATERIALIZATION'
        GROUP BY asset_key)
    ORDER BY log.asset_key, log.id"""
_GONE = "DELETE FROM event_logs WHERE id IN (SELECT value FROM json_each(:gone))"
_TAGS_GONE = "DELETE FROM asset_event_tags WHERE event_id IN (SELECT value FROM json_each(:gone))"
_TAG_GONE = "DELETE FROM asset_event_tags WHERE event_id = :id AND key = :span"
_TAG = """INSERT INTO asset_event_tags (event_id, asset_key, key, value, event_timestamp)
    SELECT id, asset_key, :span, :told, timestamp FROM event_logs WHERE id = :id"""
# a result that passed and is the only one of its slice; where one failed too, the newest of them goes on to be shown
_PASSED = """DELETE FROM asset_check_executions WHERE execution_status = 'SUCCEEDED' AND create_timestamp < :before
    AND id NOT IN (SELECT max(id) FROM asset_check_executions GROUP BY asset_key, check_name)
    AND NOT EXISTS (SELECT 1 FROM asset_check_executions AS other
        WHERE other.asset_key = asset_check_executions.asset_key
        AND other.check_name = asset_check_executions.check_name
        AND other.partition IS asset_check_executions.partition AND other.id <> asset_check_executions.id)"""


def settle(events: SqliteEventLogStorage, before: datetime) -> int:
    """Have one event of each asset speak for all that was told of it before a moment, and forget the checks that passed
    then; returns how many events went."""
    named = {"span": SPAN_TAG, "before": before.astimezone(UTC).replace(tzinfo=None).isoformat(" ", "microseconds")}
    gone: list[int] = []
    with events.index_connection() as connection:
        rows = connection.execute(text(_TOLD), named).fetchall()
        for _, of_asset in groupby(rows, key=lambda row: row.asset_key):
            *others, kept = of_asset
            if others:
                told = [kept, *others]
                slices = {s for row in told for s in (slices_told(row.told) if row.told else [row.partition])}
                _tell_together(connection, kept.id, sorted(slices))
                gone += [row.id for row in others]
        for statement in (_GONE, _TAGS_GONE):
            connection.execute(text(statement), {"gone": json.dumps(gone)})
        connection.execute(text(_PASSED), {"before": named["before"]})
    return len(gone)


def _tell_together(connection: Connection, event_id: int, slices: list[str]) -> None:
    """Make an event of one slice, or of some, that of `slices`."""
    query = text("SELECT event FROM event_logs WHERE id = :id")
    stored: str = connection.execute(query, {"id": event_id}).scalar_one()
    entry = deserialize_value(stored, EventLogEntry)
    made = entry.dagster_event
    assert made is not None
    once = made.step_materialization_data.materialization
    now = AssetMaterialization(once.asset_key, partition=once.partition, metadata=together_told(slices))
    changed = entry._replace(dagster_event=made._replace(event_specific_data=StepMaterializationData(now)))
    values = {"id": event_id, "span": SPAN_TAG, "told": span_told(now.metadata)}
    connection.execute(
        text("UPDATE event_logs SET event = :event WHERE id = :id"), {"id": event_id, "event": serialize_value(changed)}
    )
    connection.execute(text(_TAG_GONE), {"id": event_id, "span": SPAN_TAG})
    connection.execute(text(_TAG), values)
