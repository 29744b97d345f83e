"""The rule for wrong device clocks, at its edges."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import duckdb
import pytest

from lake.sql_text import Expression
from transforms.clock import clock_status, event_at, event_date, event_hour, is_plausible, is_wrong_unit

RECEIVED = datetime(2026, 11, 20, 5, 30, tzinfo=UTC)
SERVICE = datetime(2026, 11, 1, tzinfo=UTC)
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MEASURED, RECEIVED_AT, MOMENT = Expression("measured"), Expression("received"), Expression("moment")
MICROSECOND = timedelta(microseconds=1)
SINCE_EPOCH = RECEIVED - EPOCH


@pytest.fixture(scope="module")
def connection() -> Iterator[duckdb.DuckDBPyConnection]:
    """A database that tells times in UTC."""
    with duckdb.connect() as connection:
        connection.execute("SET TimeZone = 'UTC'")
        yield connection


def ask(connection: duckdb.DuckDBPyConnection, sql: str, **moments: datetime | str | None) -> object:
    """One expression over moments; a status is text."""
    kinds = {name: "VARCHAR" if name == "status" else "TIMESTAMPTZ" for name in moments}
    columns = ", ".join(f"${name}::{kind} AS {name}" for name, kind in kinds.items())
    row = connection.execute(f"SELECT {sql} FROM (SELECT {columns})", moments).fetchone()
    assert row is not None
    return row[0]


@pytest.mark.parametrize(
    ("measured", "status"),
    [
        (RECEIVED, "ok"),
        (RECEIVED + timedelta(seconds=300), "ok"),
        (RECEIVED + timedelta(seconds=300) + MICROSECOND, "ahead"),
        (RECEIVED + timedelta(days=100), "ahead"),
        (datetime(2099, 12, 31, 23, 59, 59, tzinfo=UTC), "ahead"),
        (SERVICE, "ok"),
        (SERVICE - MICROSECOND, "behind"),
        (datetime(2000, 1, 1, tzinfo=UTC), "behind"),
        # no clock at all: refused elsewhere, and counted when it was received
        (datetime(2000, 1, 1, tzinfo=UTC) - MICROSECOND, "ok"),
        (datetime(2100, 1, 1, tzinfo=UTC), "ok"),
        (EPOCH, "ok"),
        (None, "ok"),
        # seconds taken for milliseconds, and for microseconds
        (EPOCH + SINCE_EPOCH / 1_000, "wrong_unit"),
        (EPOCH + SINCE_EPOCH / 1_000_000, "wrong_unit"),
        (EPOCH + SINCE_EPOCH / 10_000, "ok"),
    ],
)
def test_the_status_of_a_clock(connection: duckdb.DuckDBPyConnection, measured: datetime | None, status: str) -> None:
    """Ahead after five minutes, behind before the service began, a wrong unit in 1970, and ok for all else."""
    sql = clock_status(MEASURED, RECEIVED_AT, Expression("service"))
    assert ask(connection, sql, measured=measured, received=RECEIVED, service=SERVICE) == status


def test_an_unknown_device_is_never_behind(connection: duckdb.DuckDBPyConnection) -> None:
    """Without a start of service there is nothing to be before; a clock may be ahead all the same."""
    sql = clock_status(MEASURED, RECEIVED_AT, Expression("service"))
    moments = {"received": RECEIVED, "service": None}
    assert ask(connection, sql, measured=SERVICE - timedelta(days=900), **moments) == "ok"
    assert ask(connection, sql, measured=RECEIVED + timedelta(hours=1), **moments) == "ahead"


@pytest.mark.parametrize(
    ("early", "is_wrong"),
    [
        (timedelta(0), True),
        (timedelta(days=11, hours=23), True),
        (timedelta(days=12, hours=1), False),
        (-timedelta(minutes=4), True),
        (-timedelta(minutes=20), False),
    ],
)
def test_how_far_a_scaled_time_may_be_from_reception(
    connection: duckdb.DuckDBPyConnection, early: timedelta, is_wrong: bool
) -> None:
    """Up to 12 days before, since whole seconds scale to that, and five minutes after."""
    measured = EPOCH + (RECEIVED - early - EPOCH) / 1_000
    sql = is_wrong_unit(MEASURED, RECEIVED_AT)
    assert ask(connection, sql, measured=measured, received=RECEIVED) is is_wrong


def test_no_time_is_neither_plausible_nor_in_a_wrong_unit(connection: duckdb.DuckDBPyConnection) -> None:
    """Null says false, so that a rule on it can be negated."""
    assert ask(connection, is_plausible(MEASURED), measured=None) is False
    assert ask(connection, is_wrong_unit(MEASURED, RECEIVED_AT), measured=None, received=RECEIVED) is False


@pytest.mark.parametrize(
    ("status", "measured", "counts_at"),
    [
        ("ok", RECEIVED - timedelta(days=9), RECEIVED - timedelta(days=9)),
        ("ahead", RECEIVED + timedelta(days=100), RECEIVED),
        ("behind", SERVICE - timedelta(days=1), RECEIVED),
        ("wrong_unit", EPOCH + SINCE_EPOCH / 1_000, RECEIVED),
        ("ok", EPOCH, RECEIVED),
        ("ok", None, RECEIVED),
    ],
)
def test_where_a_record_counts(
    connection: duckdb.DuckDBPyConnection, status: str, measured: datetime | None, counts_at: datetime
) -> None:
    """At the device's time when its clock is right and says a time, else when it was received."""
    sql = event_at(Expression("status"), MEASURED, RECEIVED_AT)
    assert ask(connection, sql, status=status, measured=measured, received=RECEIVED) == counts_at


def test_date_and_hour_are_of_utc(connection: duckdb.DuckDBPyConnection) -> None:
    """Cut from the microseconds, whatever zone the database shows times in."""
    connection.execute("SET TimeZone = 'Pacific/Auckland'")
    late = datetime(2026, 11, 20, 23, 59, 59, 999_999, tzinfo=UTC)
    for moment, day, hour in ((late, "2026-11-20", 23), (late + MICROSECOND, "2026-11-21", 0)):
        assert str(ask(connection, event_date(MOMENT), moment=moment)) == day
        assert ask(connection, event_hour(MOMENT), moment=moment) == hour
    connection.execute("SET TimeZone = 'UTC'")
