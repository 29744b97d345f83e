"""Figures of a mailed report: what is asked of one publication.

Belongs here: questions and their results in plain types. How they look is in `mail`, pictures in `pictures`.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import pyarrow as pa

from lake.slices import HOUR, slice_start
from lake.tables.gold import DEVICE_COMPLETENESS, DEVICE_HOURS
from runtime.errors import StepError
from serving.report.subscriptions import Subscription
from serving.snapshots import Snapshot

_NO_SITE = "no site"
_MOST_SILENT = 10


@dataclass(frozen=True)
class SiteCompleteness:
    """What was due at a site and what of it is missing."""

    site_id: str
    devices: int
    expected: int
    missing: int

    @property
    def complete_pct(self) -> float | None:
        """None when nothing was due."""
        return 100 * (1 - self.missing / self.expected) if self.expected else None


@dataclass(frozen=True)
class SiteFigures:
    """A metric at a site over the whole span; `hourly` is its mean in each hour of the span, None without readings."""

    site_id: str
    devices: int
    readings: int
    low: float
    mean: float
    high: float
    hourly: tuple[float | None, ...]


@dataclass(frozen=True)
class MetricFigures:
    """A metric at its sites."""

    name: str
    unit: str
    sites: tuple[SiteFigures, ...]


@dataclass(frozen=True)
class MailFigures:
    """All that a mail tells, from `start` to before `end`; `complete_hourly` is the share of what was due in each hour,
    in percent, None when nothing was."""

    publication_id: int
    published_at: datetime
    start: datetime
    end: datetime
    completeness: tuple[SiteCompleteness, ...]
    complete_hourly: tuple[float | None, ...]
    metrics: tuple[MetricFigures, ...]
    silent: tuple[tuple[str, str, int], ...]
    held: tuple[str, ...]
    figures_csv: pa.Table
    completeness_csv: pa.Table

    @property
    def hours(self) -> list[datetime]:
        """The start of each hour."""
        return [self.start + HOUR * number for number in range(int((self.end - self.start) / HOUR))]

    @property
    def complete_pct(self) -> float | None:
        """Of all sites together; None when nothing was due."""
        expected, missing = sum(s.expected for s in self.completeness), sum(s.missing for s in self.completeness)
        return SiteCompleteness("", 0, expected, missing).complete_pct


def mail_figures(snapshot: Snapshot, subscription: Subscription) -> MailFigures:
    """The figures of a report. Raises StepError for a publication without hours."""
    publication = snapshot.publication
    if not publication.last_slice:
        raise StepError(f"Publication {publication.publication_id} has no hours yet, so there is nothing to report.")
    end = slice_start(publication.last_slice) + HOUR
    start = end - timedelta(days=subscription.days)
    asked = _Asked(snapshot, subscription.sites, start, end)
    metrics = subscription.metrics or asked.main_metric()
    return MailFigures(
        publication_id=publication.publication_id,
        published_at=publication.published_at,
        start=start,
        end=end,
        completeness=asked.completeness(),
        complete_hourly=asked.complete_hourly(),
        metrics=tuple(MetricFigures(name, unit, asked.metric(name, unit)) for name, unit in metrics),
        silent=asked.silent(),
        held=tuple(sorted({each["slice"] for each in publication.held if _is_within(each["slice"], start, end)})),
        figures_csv=asked.figures_by_day(metrics),
        completeness_csv=asked.completeness_by_day(),
    )


class _Asked:
    """Questions of one span and its sites."""

    def __init__(self, snapshot: Snapshot, sites: Sequence[str] | None, start: datetime, end: datetime) -> None:
        self._snapshot, self._start = snapshot, start
        self._hours = int((end - start) / HOUR)
        self._where = "hour_at >= ? AND hour_at < ?"
        self._values: list[Any] = [start, end]
        if sites is not None:
            self._where += " AND site_id IN (SELECT unnest(?))"
            self._values.append(list(sites))

    def _ask(self, sql: str, *more: Any) -> pa.Table:
        return self._snapshot.ask(sql, [*self._values, *more])

    def main_metric(self) -> tuple[tuple[str, str], ...]:
        sql = f"""SELECT metric_name, unit FROM {DEVICE_HOURS.name} WHERE {self._where} GROUP BY metric_name, unit
            ORDER BY count(DISTINCT device_id) DESC, metric_name = 'temperature' DESC, metric_name, unit LIMIT 1"""
        return tuple((row["metric_name"], row["unit"]) for row in self._ask(sql).to_pylist())

    def completeness(self) -> tuple[SiteCompleteness, ...]:
        sql = f"""SELECT coalesce(site_id, '{_NO_SITE}') AS site, count(DISTINCT device_id) AS devices,
                sum(expected_count)::BIGINT AS expected, sum(missing_count)::BIGINT AS missing
            FROM {DEVICE_COMPLETENESS.name} WHERE {self._where} GROUP BY site ORDER BY site"""
        rows = self._ask(sql).to_pylist()
        return tuple(SiteCompleteness(r["site"], r["devices"], r["expected"], r["missing"]) for r in rows)

    def complete_hourly(self) -> tuple[float | None, ...]:
        sql = f"""SELECT hour_at, 100 * (1 - sum(missing_count) / sum(expected_count)) AS pct
            FROM {DEVICE_COMPLETENESS.name} WHERE {self._where} GROUP BY hour_at HAVING sum(expected_count) > 0"""
        found: list[float | None] = [None] * self._hours
        for row in self._ask(sql).to_pylist():
            found[int((row["hour_at"] - self._start) / HOUR)] = row["pct"]
        return tuple(found)

    def metric(self, name: str, unit: str) -> tuple[SiteFigures, ...]:
        chosen = f"FROM {DEVICE_HOURS.name} WHERE {self._where} AND metric_name = ? AND unit = ?"
        mean = "sum(value_mean * reading_count) / sum(reading_count)"
        sql = f"""SELECT coalesce(site_id, '{_NO_SITE}') AS site, hour_at, {mean} AS mean {chosen} GROUP BY ALL"""
        by_site: dict[str, list[float | None]] = {}
        for row in self._ask(sql, name, unit).to_pylist():
            place = int((row["hour_at"] - self._start) / HOUR)
            by_site.setdefault(row["site"], [None] * self._hours)[place] = row["mean"]
        sql = f"""SELECT coalesce(site_id, '{_NO_SITE}') AS site, count(DISTINCT device_id) AS devices,
                sum(reading_count)::BIGINT AS readings, min(value_min) AS low, {mean} AS mean, max(value_max) AS high
            {chosen} GROUP BY site ORDER BY site"""
        return tuple(
            SiteFigures(
                r["site"], r["devices"], r["readings"], r["low"], r["mean"], r["high"], tuple(by_site[r["site"]])
            )
            for r in self._ask(sql, name, unit).to_pylist()
        )

    def silent(self) -> tuple[tuple[str, str, int], ...]:
        sql = f"""SELECT device_id, coalesce(site_id, '{_NO_SITE}') AS site, count(*) AS hours
            FROM {DEVICE_COMPLETENESS.name}
            WHERE {self._where} AND expected_count > 0 AND missing_count = expected_count
            GROUP BY ALL ORDER BY hours DESC, device_id LIMIT {_MOST_SILENT}"""
        return tuple((row["device_id"], row["site"], row["hours"]) for row in self._ask(sql).to_pylist())

    def figures_by_day(self, metrics: Sequence[tuple[str, str]]) -> pa.Table:
        sql = f"""SELECT event_date AS day_date, site_id, device_id, metric_name, unit,
                sum(reading_count)::BIGINT AS reading_count, min(value_min) AS value_min,
                sum(value_mean * reading_count) / sum(reading_count) AS value_mean, max(value_max) AS value_max
            FROM {DEVICE_HOURS.name} WHERE {self._where} AND metric_name || ' ' || unit IN (SELECT unnest(?))
            GROUP BY ALL ORDER BY ALL"""
        return self._ask(sql, [f"{name} {unit}" for name, unit in metrics])

    def completeness_by_day(self) -> pa.Table:
        sql = f"""SELECT event_date AS day_date, site_id, device_id, sum(expected_count)::BIGINT AS expected_count,
                sum(received_count)::BIGINT AS received_count, sum(missing_count)::BIGINT AS missing_count,
                sum(late_count)::BIGINT AS late_count, sum(rejected_count)::BIGINT AS rejected_count
            FROM {DEVICE_COMPLETENESS.name} WHERE {self._where} GROUP BY ALL ORDER BY ALL"""
        return self._ask(sql)


def _is_within(slice_: str, start: datetime, end: datetime) -> bool:
    first = slice_start(slice_ if "T" in slice_ else f"{slice_}T00") if slice_[:1].isdigit() else start
    return start <= first < end
