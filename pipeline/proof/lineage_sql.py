"""The SQL of tracing: a period, a moment and a typed value as SQL text, and rows as mappings.

Belongs here: spelling and fetching. Which rows belong together is decided in `pipeline.proof.lineage`.
"""

from datetime import UTC, date, datetime, timedelta
from typing import Any

from lake.reading.reader import Reader
from lake.slices import HOUR
from lake.sql_text import Expression, quoted
from runtime.errors import UsageError

Row = dict[str, Any]


def start_of(value: datetime | date | None) -> datetime | None:
    """The moment at which a day or a period begins."""
    if value is None or isinstance(value, datetime):
        return value
    return datetime.combine(value, datetime.min.time(), UTC)


def within(start: datetime, length: timedelta) -> Expression:
    """SQL for the readings of a period; the date stands alone, as delta_scan skips files by it."""
    moments = f"event_at >= {timestamp(start)} AND event_at < {timestamp(start + length)}"
    hour = f" AND event_hour = {start.astimezone(UTC).hour}" if length <= HOUR else ""
    return Expression(f"event_date = DATE '{start.astimezone(UTC).date()}'{hour} AND {moments}")


def within_local_day(row: Row) -> Expression:
    """SQL for the readings of a row of `gold.site_days`; one of before sites had zones is about the UTC day."""
    start: datetime = row["starts_at"] or datetime.combine(row["day_date"], datetime.min.time(), UTC)
    end = start + HOUR * float(row["hours_in_day"] or 24)
    terms = [*dates_near(row["event_date"]), f"event_at >= {timestamp(start)}", f"event_at < {timestamp(end)}"]
    return Expression(" AND ".join(terms))


def local_day_of(moment: datetime) -> Expression:
    """SQL for the rows of `gold.site_days` whose day the moment lies in."""
    start = "coalesce(starts_at, event_date::TIMESTAMPTZ)"
    length = f"to_microseconds((coalesce(hours_in_day, 24) * {HOUR // timedelta(microseconds=1)})::BIGINT)"
    at = timestamp(moment)
    terms = [*dates_near(moment.astimezone(UTC).date()), f"{start} <= {at}", f"{start} + {length} > {at}"]
    return Expression(" AND ".join(terms))


def dates_near(day: date) -> tuple[str, str]:
    """SQL for the date and those beside it, which a local day may have a part of; files are skipped by it."""
    return f"event_date >= DATE '{day - timedelta(days=1)}'", f"event_date <= DATE '{day + timedelta(days=1)}'"


def rows_of(reader: Reader, sql: str) -> list[Row]:
    """The rows of one statement, each by its columns' names. Raises QueryError."""
    result = reader.run(reader.statements(sql)[0])
    names = [column[0] for column in result.description or ()]
    return [dict(zip(names, row, strict=True)) for row in result.fetchall()]


def columns_of(reader: Reader, table: str) -> list[str]:
    """The columns that a table has, which may be fewer than are declared now."""
    return [
        column[0] for column in reader.run(reader.statements(f"SELECT * FROM {table} LIMIT 0")[0]).description or ()
    ]


def literal(name: str, kind: str, text: str) -> Expression:
    """What a person typed for a column of this Spark type. Raises UsageError."""
    try:
        if kind == "timestamp":
            moment = datetime.fromisoformat(text)
            return timestamp(moment if moment.tzinfo else moment.replace(tzinfo=UTC))
        if kind == "date":
            return Expression(f"DATE '{date.fromisoformat(text)}'")
        if kind in ("int", "bigint"):
            return Expression(str(int(text)))
        if kind == "double":
            return Expression(repr(float(text)))
    except ValueError as error:
        raise UsageError(f"{name} is a {kind}, and {text!r} is none.") from error
    return Expression(quoted(text))


def timestamp(moment: datetime) -> Expression:
    """A moment, in UTC."""
    return Expression(f"TIMESTAMPTZ '{moment.astimezone(UTC).isoformat()}'")
