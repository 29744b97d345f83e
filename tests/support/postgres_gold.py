"""Gold by hand, published slice by slice, and PostgreSQL over it.

Belongs here: publishing rows in the place of those before, and a server of a home. What is asked belongs in tests.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

from lake.records import publications
from lake.records.publications import Publication
from lake.storage.delta import replace
from lake.tables.contracts import Table
from runtime.ports import free_port
from runtime.settings import Settings
from serving.bi.postgres_server import PostgresServer
from tests.support.served_gold import START, rows_of
from tests.support.small_lake import arrow_table


def publish_hours(settings: Settings, number: int, hours: int) -> None:
    """Publish the first hours of a day anew, with the number of the publication as every value."""
    publish_in_place(settings, number, rows_of(hours, float(number)), f"event_hour < {hours}")


def publish_in_place(
    settings: Settings, number: int, rows: Mapping[Table, Sequence[Mapping[str, Any]]], hours: str
) -> None:
    """Publish rows in the place of those of the day that fit the condition, and of all where a table has no hours."""
    before = publications.newest(settings)
    tables = {} if before is None else dict(before.tables)
    for table, each in rows.items():
        day = None if table.sliced_by is None else f"event_date = DATE '{START.date()}'"
        where = f"{day} AND {hours}" if table.sliced_by == "hour" else day
        made = arrow_table(table, list(map(dict, each)))
        tables[table.name] = replace(settings, table, made.to_reader, where, {})
    record(settings, number, tables)


def record(settings: Settings, number: int, tables: Mapping[str, int]) -> None:
    """Pin versions by a publication."""
    at = START + timedelta(days=number)
    publications.record(
        settings,
        Publication(number, at, tables, {}, (), (), (), "2026-11-18T00", "2026-11-18T09", {}, "1", f"r{number}"),
    )


@contextmanager
def postgres_of(settings: Settings) -> Iterator[PostgresServer]:
    """The home's server, until the block ends."""
    server = PostgresServer(settings, free_port())
    server.start()
    try:
        yield server
    finally:
        server.stop()
