"""Published hours: the hours that readers find in gold, asked of gold itself.

Belongs here: that one look. It reads two columns of all of `gold.device_completeness`, so it is for when hours have
gone from silver, which commits say, and not for every refresh.
"""

from lake.records.publications import Publication
from lake.slices import slice_at
from lake.storage.duckdb_connection import connect, scan
from lake.storage.locations import table_uri
from lake.tables.gold import DEVICE_COMPLETENESS
from runtime.settings import Settings


def published_hours(settings: Settings, publication: Publication) -> set[str]:
    """The hours of which a publication has completeness: those with a device in service or heard of."""
    version = publication.tables.get(DEVICE_COMPLETENESS.name)
    return set() if version is None else hours_of(settings, version)


def hours_of(settings: Settings, version: int) -> set[str]:
    """The hours that a version of `gold.device_completeness` has rows of."""
    with connect(settings) as connection:
        source = scan(table_uri(settings, DEVICE_COMPLETENESS.name), version)
        found = connection.sql(f"SELECT DISTINCT event_date, event_hour FROM {source}").fetchall()
    return {slice_at(day, hour) for day, hour in found}
