"""Spans in Dagster's event log: the UI asks it of partitions, and it tells of each that a span speaks for.

Belongs here: noting which slices an event speaks for, in Dagster's own table of tags, and looking there when partitions
are asked for. An event of a span is stored once, whatever it speaks for (see `dagster_project.spans`). So the pages
of assets show a history as materialized, and the page of an hour amid it shows the event of its span.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any

from dagster import AssetKey, DagsterEventType, EventRecordsFilter
from dagster._core.events.log import EventLogEntry
from dagster._core.storage.event_log import SqliteEventLogStorage
from dagster._core.storage.event_log.schema import AssetEventTagsTable, SqlEventLogStorageTable
from sqlalchemy import Select, or_, select

from dagster_project.spans import slices_told, span_told

SPAN_TAG = "lakehouse/slices"
_TAGS, _EVENTS = AssetEventTagsTable.c, SqlEventLogStorageTable.c


class SpannedEventLogStorage(SqliteEventLogStorage):
    """Dagster's SQLite event log, which knows that a materialization may speak for many partitions."""

    def _tags_for_asset_event(self, event: EventLogEntry) -> Mapping[str, str]:
        tags = super()._tags_for_asset_event(event)
        made = event.dagster_event
        if made is None or not made.is_step_materialization or not made.partition:
            return tags
        told = span_told(made.step_materialization_data.materialization.metadata)
        return tags if told is None else {**tags, SPAN_TAG: told}

    def get_materialized_partitions(
        self, asset_key: AssetKey, before_cursor: int | None = None, after_cursor: int | None = None
    ) -> set[str]:
        """Those that were told one by one, and those that spans speak for."""
        partitions: set[str] = super().get_materialized_partitions(asset_key, before_cursor, after_cursor)
        for event_id, slices in self._spans(asset_key):
            if event_id > (after_cursor or 0) and (before_cursor is None or event_id < before_cursor):
                partitions.update(slices)
        return partitions

    def _apply_filter_to_query(
        self, query: Any, event_records_filter: EventRecordsFilter, *further: Any, **named: Any
    ) -> Any:
        wanted, asset_key = event_records_filter.asset_partitions, event_records_filter.asset_key
        if wanted and asset_key and event_records_filter.event_type is DagsterEventType.ASSET_MATERIALIZATION:
            query = query.where(or_(_EVENTS.partition.in_(wanted), _EVENTS.id.in_(self._spans_of(asset_key, wanted))))
            event_records_filter = event_records_filter._replace(asset_partitions=None)
        return super()._apply_filter_to_query(query, event_records_filter, *further, **named)

    def _spans_of(self, asset_key: AssetKey, partitions: Collection[str]) -> list[int]:
        return [event_id for event_id, slices in self._spans(asset_key) if not slices.isdisjoint(partitions)]

    def _spans(self, asset_key: AssetKey) -> Iterator[tuple[int, set[str]]]:
        """The events that speak for many partitions, each with those."""
        query: Select[Any] = (
            select(_TAGS.event_id, _TAGS.value)
            .join(SqlEventLogStorageTable, _EVENTS.id == _TAGS.event_id)
            .where(_TAGS.asset_key == asset_key.to_string(), _TAGS.key == SPAN_TAG)
        )
        query = self._add_assets_wipe_filter_to_query(query, self._get_assets_details([asset_key]), [asset_key])
        with self.index_connection() as connection:
            rows: Sequence[Any] = connection.execute(query).fetchall()
        for event_id, told in rows:
            yield int(event_id), set(slices_told(str(told)))
