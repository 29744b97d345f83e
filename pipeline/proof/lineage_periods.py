"""Tracing weeks and months of sites: the days that they add up, and those that a day counts in.

Belongs here: what differs for these views from tables of gold. The rest is in `pipeline.proof.lineage`.
"""

from datetime import timedelta

from lake.reading.reader import Reader
from lake.reading.site_periods import NEEDS, SITE_PERIODS, SitePeriod
from lake.sql_text import quoted
from lake.tables.gold import CALENDAR, SITE_DAYS
from pipeline.proof.lineage_sql import Row, rows_of

_OF_A_SITE = ("site_id", "metric_name", "unit")


def days_of(reader: Reader, view: SitePeriod, row: Row) -> list[Row]:
    """The rows of `gold.site_days` that a week or month adds up, in their order."""
    columns = ", ".join(f"d.{name}" for name in SITE_DAYS.column_names)
    return rows_of(
        reader,
        f"SELECT {columns} FROM {SITE_DAYS.name} AS d JOIN {CALENDAR.name} AS c "
        "ON c.day_date = d.day_date AND c.zone = coalesce(d.zone, 'UTC') "
        f"WHERE {_same_site(row, 'd.')} AND c.zone = {quoted(row['zone'])} "
        f"AND c.{view.period} = DATE '{row[view.period]}' ORDER BY d.day_date",
    )


def periods_with(reader: Reader, day: Row) -> list[tuple[str, Row]]:
    """The week and the month that a row of `gold.site_days` counts in, each with its view's name."""
    if not set(NEEDS) <= set(reader.existing()):
        return []  # a publication of before there was a calendar
    begins = {
        "week_date": day["day_date"] - timedelta(days=day["day_date"].weekday()),
        "month_date": day["day_date"].replace(day=1),
    }
    zone = quoted(day["zone"] or "UTC")
    return [
        (view.name, row)
        for view in SITE_PERIODS
        for row in rows_of(
            reader,
            f"SELECT * FROM {view.name} WHERE {_same_site(day)} AND zone = {zone} "
            f"AND {view.period} = DATE '{begins[view.period]}'",
        )
    ]


def _same_site(row: Row, of: str = "") -> str:
    return " AND ".join(f"{of}{name} = {quoted(row[name])}" for name in _OF_A_SITE)
