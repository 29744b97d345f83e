"""Weeks and months of sites: views over published days.

Belongs here: the SQL of those views and what their columns mean. They have what days add up to: counts, extremes and
the mean. Percentiles do not add up, so they have none: `gold.site_days` has those of a day.
"""

from collections.abc import Callable
from dataclasses import dataclass

from lake.tables.contracts import Column, optional, required
from lake.tables.gold import CALENDAR, DEVICE_COMPLETENESS, SITE_DAYS

NEEDS = (SITE_DAYS.name, CALENDAR.name, DEVICE_COMPLETENESS.name)


@dataclass(frozen=True)
class SitePeriod:
    """A view: its name, the column of its period and what that says, the SQL of the days that the period has, and what
    one row is per."""

    name: str
    period: str
    says: str
    days: str
    grain: str

    @property
    def key(self) -> tuple[str, ...]:
        """The columns that name a row."""
        return "site_id", "metric_name", "unit", self.period

    @property
    def columns(self) -> tuple[Column, ...]:
        """Its columns, in their order."""
        of_days = {column.name: column for column in SITE_DAYS.columns}
        return (
            of_days["site_id"], of_days["metric_name"], of_days["unit"],
            *required((self.period, "date", self.says), ("zone", "string", "The time zone of its days"),
                      ("day_count", "bigint", "Days with readings"), ("days_in_period", "bigint", "Days that it has"),
                      ("is_complete", "boolean", "True when each day has readings and gold covers all of it")),
            of_days["reading_count"], of_days["value_min"], of_days["value_max"],
            *optional(("value_mean", "double", "Mean of the readings, to the rounding of the means of days")),
        )  # fmt: skip

    def select(self, source: Callable[[str], str] = str) -> str:
        """Its rows; `source` gives what to select from for a table by its name.

        The mean is summed in sorted order, to the same bits however the days lie in files.
        """
        period = self.period
        return f"""WITH covered AS (
            SELECT min(hour_at) AS first_at, max(hour_at) + INTERVAL 1 HOUR AS end_at
            FROM {source(DEVICE_COMPLETENESS.name)}
        ), periods AS (
            SELECT zone, {period}, {self.days} AS days_in_period, min(starts_at) AS starts_at, max(ends_at) AS ends_at
            FROM {source(CALENDAR.name)} GROUP BY zone, {period}
        ), site_days AS (
            SELECT * REPLACE (coalesce(zone, 'UTC') AS zone) FROM {source(SITE_DAYS.name)}
        )
        SELECT d.site_id, d.metric_name, d.unit, {period}, zone, count(*) AS day_count,
            any_value(p.days_in_period) AS days_in_period,
            count(*) = any_value(p.days_in_period) AND any_value(p.starts_at >= covered.first_at)
                AND any_value(p.ends_at <= covered.end_at) AS is_complete,
            sum(d.reading_count)::BIGINT AS reading_count, min(d.value_min) AS value_min, max(d.value_max) AS value_max,
            greatest(min(d.value_min), least(max(d.value_max),
                list_sum(list_sort(list(d.value_mean * d.reading_count))) / sum(d.reading_count))) AS value_mean
        FROM site_days AS d JOIN {source(CALENDAR.name)} AS c USING (zone, day_date)
            JOIN periods AS p USING (zone, {period}), covered
        GROUP BY d.site_id, d.metric_name, d.unit, {period}, zone"""


# the calendar has whole years, which cut weeks and no month
SITE_WEEKS = SitePeriod(
    "gold.site_weeks", "week_date", "The Monday of the week", "7", "site, metric, unit and week with readings"
)
SITE_MONTHS = SitePeriod(
    "gold.site_months", "month_date", "The first day of the month", "count(*)",
    "site, metric, unit and month with readings",
)  # fmt: skip
SITE_PERIODS = (SITE_WEEKS, SITE_MONTHS)
