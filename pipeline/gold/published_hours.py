"""Published hours: the hours and silences that readers find in gold, asked of gold itself.

Belongs here: these looks. One reads two columns of all of a table, so it is for when hours have gone
from silver, which commits say, and not for every refresh; the other is for when retention has taken hours out.
"""

from lake.records.publications import Publication
from lake.slices import slice_at
from lake.storage.duckdb_connection import connect, scan
from lake.storage.locations import table_uri
from lake.tables.contracts import Table
from lake.tables.gold import DEVICE_COMPLETENESS, DEVICE_SILENCES
from runtime.settings import Settings


def published_hours(settings: Settings, publication: Publication, table: Table = DEVICE_COMPLETENESS) -> set[str]:
    """The hours of which a publication has rows of a table by hour: of completeness, those with a device in service or
    heard of."""
    version = publication.tables.get(table.name)
    return set() if version is None else hours_of(settings, version, table)


def hours_of(settings: Settings, version: int, table: Table = DEVICE_COMPLETENESS) -> set[str]:
    """The hours that a version of a table by hour has rows of."""
    with connect(settings) as connection:
        source = scan(table_uri(settings, table.name), version)
        found = connection.sql(f"SELECT DISTINCT event_date, event_hour FROM {source}").fetchall()
    return {slice_at(day, hour) for day, hour in found}


def published_silences(settings: Settings, publication: Publication, before: str) -> list[tuple[str, str]]:
    """The silences of a publication that begin before a slice, up to it: first slice and the one after the last."""
    version = publication.tables.get(DEVICE_SILENCES.name)
    if version is None:
        return []
    with connect(settings) as connection:
        source = scan(table_uri(settings, DEVICE_SILENCES.name), version)
        # moments as texts: DuckDB would want pytz to give them to Python
        ends = ", ".join(f"strftime({name}, '%Y-%m-%dT%H')" for name in ("hour_at", "until_at"))
        rows = connection.sql(f"SELECT DISTINCT {ends} FROM {source} ORDER BY ALL").fetchall()
    merged: list[tuple[str, str]] = []
    for first, end in rows:
        if first >= before:
            break
        # stretches of a silence meet where the registry changes; between two silences lies an hour with records
        if merged and first <= merged[-1][1]:
            merged[-1] = (merged[-1][0], max(merged[-1][1], min(end, before)))
        else:
            merged.append((first, min(end, before)))
    return merged
