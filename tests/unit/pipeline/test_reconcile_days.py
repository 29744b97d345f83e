"""Days of sites are reconciled by the local day of each site."""

import duckdb
import pytest

from pipeline.gold.declared_sites import DeclaredSites
from pipeline.proof.reconcile_days import site_days
from transforms.places import Site

DELHI = DeclaredSites((Site("delhi", None, "Asia/Kolkata", None, "/delhi"),), ("Asia/Kolkata", "UTC"))
MINUTES = """
    SELECT site_id, 'temperature' AS metric_name, 'degc' AS unit, event_date, event_date + minute_at AS minute_at,
        reading_count
    FROM (VALUES ('delhi', DATE '2026-11-20', TIME '18:29', 3), ('delhi', DATE '2026-11-20', TIME '18:30', 4),
        ('north', DATE '2026-11-20', TIME '23:59', 5), (NULL, DATE '2026-11-21', TIME '00:00', 6)
    ) AS minutes(site_id, event_date, minute_at, reading_count)"""


def days(*rows: tuple[str, str, int]) -> str:
    """Rows of gold.site_days."""
    values = ", ".join(f"('{site}', DATE '{day}', {count})" for site, day, count in rows)
    return f"""SELECT *, 'temperature' AS metric_name, 'degc' AS unit
        FROM (VALUES {values}) AS days(site_id, day_date, reading_count)"""


RIGHT = [
    ("delhi", "2026-11-20", 3),
    ("delhi", "2026-11-21", 4),
    ("north", "2026-11-20", 5),
    ("unknown", "2026-11-21", 6),
]


@pytest.mark.parametrize(
    ("rows", "left_out", "found"),
    [
        (RIGHT, (), (18, 18, 0)),
        ([("delhi", "2026-11-20", 7), *RIGHT[2:]], (), (18, 18, 2)),  # cut by the day of UTC: the sum is right
        ([RIGHT[0], ("delhi", "2026-11-21", 5), *RIGHT[2:]], (), (18, 19, 1)),
        (RIGHT[2:], (), (18, 11, 2)),
        ([RIGHT[1], RIGHT[3]], ("2026-11-20",), (10, 10, 0)),
    ],
    ids=["as they are", "by UTC", "one too many", "none of a site", "a held day"],
)
def test_days_are_those_of_the_zone(
    rows: list[tuple[str, str, int]], left_out: tuple[str, ...], found: tuple[int, int, int]
) -> None:
    """A minute counts for the local day of its site, to the half hour; a day that counts others differs by itself."""
    with duckdb.connect() as connection:
        connection.execute("SET TimeZone = 'UTC'")
        assert site_days(connection, DELHI, MINUTES, days(*rows), left_out) == found


def test_without_zones_hours_say_enough() -> None:
    """While UTC is the only zone rows are placed by their date, and need no minute."""
    hours = MINUTES.replace(", event_date + minute_at AS minute_at", "")
    with duckdb.connect() as connection:
        by_date = days(("delhi", "2026-11-20", 7), *RIGHT[2:])
        assert site_days(connection, DeclaredSites(), hours, by_date, ()) == (18, 18, 0)
