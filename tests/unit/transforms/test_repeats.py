"""Which of several records with one identity is kept, and what the others are called."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import duckdb
import pytest

from lake.sql_text import Relation
from transforms.repeats import COLUMNS, IDENTITY, repeated_hashes, repeats

AT = datetime(2026, 11, 20, 5, tzinfo=UTC)


@pytest.fixture
def connection() -> Iterator[duckdb.DuckDBPyConnection]:
    """A database with an empty pool."""
    with duckdb.connect() as connection:
        connection.execute(
            "CREATE TABLE pool (table_name VARCHAR, source VARCHAR, message_id VARCHAR, measured_at TIMESTAMPTZ, "
            'ingest_id BIGINT, topic VARCHAR, "partition" INTEGER, "offset" BIGINT, payload_digest BIGINT)'
        )
        yield connection


def add(connection: duckdb.DuckDBPyConnection, offset: int, digest: int = 1, **changes: Any) -> None:
    """A valid record; its identity is the same unless a change says otherwise."""
    row = {"table_name": "silver.a", "source": "/devices/d", "message_id": "m", "measured_at": AT, "ingest_id": 10,
           "topic": "telemetry", "partition": 0} | changes  # fmt: skip
    connection.execute(f"INSERT INTO pool VALUES ({', '.join('?' * 9)})", [*row.values(), offset, digest])


def found(connection: duckdb.DuckDBPyConnection) -> list[tuple[Any, ...]]:
    """Offset, reason and what it repeats of each record that is not the first."""
    connection.execute(f"CREATE OR REPLACE TABLE hashes AS {repeated_hashes(Relation('pool'))}")
    sql = repeats(Relation("pool"), Relation("hashes"))
    return connection.sql(f'SELECT "offset", reason, repeats, detail FROM ({sql}) ORDER BY "offset"').fetchall()


def test_a_pool_has_what_repeats_are_told_by() -> None:
    """The columns that callers bring, in the order of the table here."""
    assert COLUMNS.split(", ")[:4] == ["table_name", *IDENTITY]


def test_the_first_is_kept(connection: duckdb.DuckDBPyConnection) -> None:
    """Of the same bytes the others are duplicates, of other bytes conflicts; each names the first."""
    for offset, digest in ((5, 1), (6, 1), (7, 2)):
        add(connection, offset, digest)
    assert found(connection) == [
        (6, "duplicate", "telemetry:0:5", "repeats telemetry:0:5"),
        (7, "conflict", "telemetry:0:5", "repeats telemetry:0:5"),
    ]


@pytest.mark.parametrize(
    "changes",
    [{"table_name": "silver.b"}, {"source": "/devices/e"}, {"message_id": "n"},
     {"measured_at": AT + timedelta(microseconds=1)}],
    ids=lambda changes: next(iter(changes)),
)  # fmt: skip
def test_another_identity_is_no_repeat(connection: duckdb.DuckDBPyConnection, changes: dict[str, Any]) -> None:
    """Source, id and time within a table are the identity: each of them tells two records apart."""
    add(connection, 5)
    add(connection, 6, **changes)
    assert found(connection) == []


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ({"ingest_id": 10, "offset": 9}, {"ingest_id": 11, "offset": 3}),
        ({"partition": 1, "offset": 9}, {"partition": 2, "offset": 3}),
        ({"offset": 3}, {"offset": 4}),
        ({"topic": "telemetry#1", "offset": 3}, {"offset": 4}),
        ({"topic": "telemetry#2"}, {"topic": "telemetry#10"}),
    ],
    ids=("ingest_id", "partition", "offset", "a pack before a record", "place in the pack"),
)
def test_the_order_is_what_bronze_recorded(
    connection: duckdb.DuckDBPyConnection, first: dict[str, Any], second: dict[str, Any]
) -> None:
    """The commit, then partition, offset and place in the pack; whichever was put into the pool first."""
    for changes in (second, first):
        offset = changes.get("offset", 1)
        add(connection, offset, **{name: value for name, value in changes.items() if name != "offset"})
    [(offset, reason, place, _)] = found(connection)
    kept = {"topic": "telemetry", "partition": 0, "offset": 1} | first
    assert (offset, reason) == (second.get("offset", 1), "duplicate")
    assert place == f"{kept['topic']}:{kept['partition']}:{kept['offset']}"


def test_records_alone_are_not_suspects(connection: duckdb.DuckDBPyConnection) -> None:
    """Only identities that come twice are looked at."""
    add(connection, 5)
    add(connection, 6, message_id="n")
    assert connection.sql(repeated_hashes(Relation("pool"))).fetchall() == []
    add(connection, 7)
    assert len(connection.sql(repeated_hashes(Relation("pool"))).fetchall()) == 1
