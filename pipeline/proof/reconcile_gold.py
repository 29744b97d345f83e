"""Gold against silver and against the manifest: readings by metric, whole days, completeness.

Belongs here: counting published gold at its pinned versions, and working out from a manifest's messages and devices
which completeness they imply. What must agree is said in `reconcile`.

Hours that are held now are left out on both sides: what readers see of them, if anything, is from before.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

import duckdb
import pyarrow as pa

from device_sim.manifest import ManifestSummary
from lake.local_days import UTC_ZONE, days_touched
from lake.models.catalog import Model, silver_tables
from lake.models.kind_columns import kind_columns
from lake.reading.silent_hours import completeness_source
from lake.records.publications import Publication
from lake.slices import FIRST_IMPLAUSIBLE_YEAR, FIRST_PLAUSIBLE_YEAR, HOUR_MICROS, predicate
from lake.sql_text import quoted
from lake.storage.delta import version_of
from lake.storage.duckdb_connection import scan
from lake.storage.locations import table_uri
from lake.tables.gold import DEVICE_COMPLETENESS, GOLD_TABLES
from lake.tables.silver import SILVER_SITES
from pipeline.gate.profiles import hour_number
from pipeline.gold.declared_sites import DeclaredSites, current_zones, declared_sites
from pipeline.proof.reconcile_days import site_days
from pipeline.proof.reconcile_messages import Difference
from runtime.settings import Settings
from wire.envelope import TELEMETRY_TOPIC

COMPLETENESS = (
    "expected_count", "received_count", "missing_count", "late_count", "clock_flagged_count", "duplicate_count",
    "rejected_count",
)  # fmt: skip
"""The counts of `gold.device_completeness` that are compared."""

_SUMS = ", ".join(f"coalesce(sum({column}), 0)::BIGINT" for column in COMPLETENESS)

# the device hours that differ, for FROM
_PAIRED = "implied FULL JOIN counted USING (device_id, hour) WHERE " + " OR ".join(
    f"coalesce(implied.{column}, 0) <> coalesce(counted.{column}, 0)" for column in COMPLETENESS
)


@dataclass(frozen=True)
class GoldCounts:
    """Counts of published gold, beside what they should be; `published` None is a lake without a publication.

    The connection has the tables of `reconcile_messages.Messages`.
    """

    connection: duckdb.DuckDBPyConnection
    settings: Settings
    models: Mapping[str, Model]
    published: Publication | None
    held_hours: Sequence[str]

    def by_metric(self, table: str) -> list[tuple[str, str, int, int]]:
        """(metric, unit, readings in silver, readings that `table` counts), by metric."""
        counted = {
            (metric, unit): int(n)
            for metric, unit, n in self._all(
                f"SELECT metric_name, unit, sum(reading_count) FROM ({self._gold(table)}) GROUP BY ALL"
            )
        }
        expected = self._silver_by_metric()
        metrics = sorted({*counted, *expected})
        return [(*metric, expected.get(metric, 0), counted.get(metric, 0)) for metric in metrics]

    def all_metrics(self, table: str) -> tuple[int, int]:
        """Readings of all metrics together: in silver, and counted in `table`."""
        found = self._all(f"SELECT coalesce(sum(reading_count), 0)::BIGINT FROM ({self._gold(table)})")
        return sum(self._silver_by_metric().values()), int(found[0][0])

    def days(self, table: str, hours: str) -> tuple[int, int]:
        """Readings that `hours`, a table, counts in days without a held hour, and those that the daily `table` does."""
        held = ", ".join(f"DATE {quoted(day)}" for day in sorted(self._held_days()))
        where = f"WHERE event_date NOT IN ({held})" if held else ""
        rows = self._all(f"""
            SELECT coalesce((SELECT sum(reading_count) FROM ({self._gold(hours)}) {where}), 0)::BIGINT,
                coalesce((SELECT sum(reading_count) FROM ({self._gold(table)}) {where}), 0)::BIGINT""")
        return int(rows[0][0]), int(rows[0][1])

    def site_days(self) -> tuple[int, int, int]:
        """The same of `gold.site_days` by the local days of sites, and how many of those, by metric, differ."""
        declared = self._declared()
        finer = "gold.device_hours" if current_zones(declared) == {UTC_ZONE} else "gold.device_minutes"
        days = self._gold("gold.site_days")
        return site_days(self.connection, declared, self._gold(finer), days, self._held_days())

    def of_kind(self, kind: str, table: str) -> tuple[int, int]:
        """Readings of a kind of telemetry outside of held hours: in silver, and counted in `table`."""
        columns: dict[str, list[str]] = {}
        for each in kind_columns(self.models.values()):
            if each.kind.name == kind:
                columns.setdefault(each.table, []).append(f'count("{each.column}")')
        where = f"WHERE NOT ({predicate(self.held_hours)})" if self.held_hours else ""
        expected = 0
        for name, counts in columns.items():
            version = version_of(self.settings, name)
            if version is not None:
                source = scan(table_uri(self.settings, name), version)
                expected += int(self._all(f"SELECT {' + '.join(counts)} FROM {source} {where}")[0][0])
        found = self._all(f"SELECT coalesce(sum(reading_count), 0)::BIGINT FROM ({self._gold(table)})")
        return expected, int(found[0][0])

    def counter_site_days(self) -> tuple[int, int, int]:
        """As `site_days`, of `gold.counter_site_days` by the minutes of counters."""
        minutes, days = self._gold("gold.counter_minutes"), self._gold("gold.counter_site_days")
        return site_days(self.connection, self._declared(), minutes, days, self._held_days())

    def _declared(self) -> DeclaredSites:
        inputs = {} if self.published is None else self.published.inputs
        return declared_sites(self.settings, inputs.get(SILVER_SITES.name))

    def _held_days(self) -> set[str]:
        """The dates of which gold has no new day: those, of any zone, that a held hour lies in."""
        return days_touched(self._declared().zones, self.held_hours)

    def published_of_held(self) -> int:
        """Readings that `gold.device_hours` counts in held hours, beyond what a publication before has left there."""
        if not self.held_hours or self.published is None or self.published.publication_id > 1:
            return 0
        source = self._gold("gold.device_hours", with_held=True)
        where = predicate(self.held_hours)
        return int(self._all(f"SELECT coalesce(sum(reading_count), 0)::BIGINT FROM ({source}) WHERE {where}")[0][0])

    def prepare_completeness(self, manifest: ManifestSummary) -> None:
        """Make the tables `implied` (what the manifest comes to) and `counted` (gold), by device and hour."""
        self._register_devices(manifest)
        late = "".join(f" WHEN {quoted(m.model_id)} THEN {m.quality.late_after_s}" for m in self.models.values())
        held = ", ".join(str(hour_number(hour)) for hour in self.held_hours) or "NULL"
        is_plausible = f"year(measured_at) >= {FIRST_PLAUSIBLE_YEAR} AND year(measured_at) < {FIRST_IMPLAUSIBLE_YEAR}"
        self.connection.execute(f"""
            CREATE OR REPLACE TEMP TABLE implied AS
            WITH placed AS MATERIALIZED (
                SELECT device_id, expected_fate, expected_clock_status = 'ok' AS is_ok, CASE model_id{late} END AS
                    late_after_s, epoch_us(received_at) AS received_us, epoch_us(measured_at) AS measured_us,
                    if(is_ok AND coalesce({is_plausible}, false), measured_us, received_us) // {HOUR_MICROS} AS hour
                FROM messages WHERE topic = {quoted(TELEMETRY_TOPIC)}
            ), heard AS (
                SELECT device_id, hour, count(*) AS received_count,
                    count(*) FILTER (WHERE is_ok AND received_us - measured_us > late_after_s * 1000000) AS late_count,
                    count(*) FILTER (WHERE NOT is_ok) AS clock_flagged_count,
                    count(DISTINCT measured_us) FILTER (WHERE is_ok) AS heard_count
                FROM placed WHERE expected_fate = 'reading' GROUP BY ALL
            ), refused AS (
                SELECT device_id, hour, count(*) FILTER (WHERE expected_fate IN ('duplicate', 'conflict'))
                        AS duplicate_count,
                    count(*) FILTER (WHERE expected_fate NOT IN ('duplicate', 'conflict')) AS rejected_count
                FROM placed SEMI JOIN devices_of_manifest USING (device_id)
                WHERE expected_fate <> 'reading' GROUP BY ALL
            ), due AS ({self._due_sql()})
            SELECT device_id, hour, coalesce(expected_count, 0) AS expected_count,
                coalesce(received_count, 0) AS received_count,
                greatest(coalesce(expected_count, 0) - coalesce(heard_count, 0), 0) AS missing_count,
                coalesce(late_count, 0) AS late_count, coalesce(clock_flagged_count, 0) AS clock_flagged_count,
                coalesce(duplicate_count, 0) AS duplicate_count, coalesce(rejected_count, 0) AS rejected_count
            FROM due FULL JOIN heard USING (device_id, hour) FULL JOIN refused USING (device_id, hour)
            WHERE hour NOT IN (SELECT unnest([{held}]::BIGINT[])) OR {held == "NULL"}""")
        gold = self._gold("gold.device_completeness")
        self.connection.execute(f"""
            CREATE OR REPLACE TEMP TABLE counted AS
            SELECT device_id, epoch_us(hour_at) // {HOUR_MICROS} AS hour, {", ".join(COMPLETENESS)} FROM ({gold})""")

    def completeness(self) -> list[tuple[int, int]]:
        """(what the manifest comes to, what gold counts) for each of COMPLETENESS, in total."""
        implied, counted = (self._all(f"SELECT {_SUMS} FROM {table}")[0] for table in ("implied", "counted"))
        return list(zip(implied, counted, strict=True))

    def differing_hours(self) -> int:
        """Device hours of which any count is not what the manifest comes to; totals alone could cancel out."""
        return int(self._all(f"SELECT count(*) FROM {_PAIRED}")[0][0])

    def differences(self, limit: int) -> list[Difference]:
        """The first of those device hours."""
        words = {
            side: ", ".join(f"'{c.removesuffix('_count')} ' || coalesce({side}.{c}, 0)" for c in COMPLETENESS)
            for side in ("implied", "counted")
        }
        rows = self._all(f"""
            SELECT device_id || ' ' || strftime(make_timestamp(hour * {HOUR_MICROS}), '%Y-%m-%dT%H'),
                concat_ws(', ', {words["implied"]}), concat_ws(', ', {words["counted"]})
            FROM {_PAIRED} ORDER BY hour, device_id LIMIT {limit}""")
        return [Difference("gold", *row) for row in rows]

    def _due_sql(self) -> str:
        """Reporting times by device and hour, in the hours that completeness covers, without maintenance."""
        if self.published is None or not self.published.first_slice:
            return "SELECT NULL::VARCHAR AS device_id, NULL::BIGINT AS hour, 0::BIGINT AS expected_count WHERE false"
        first, last = hour_number(self.published.first_slice), hour_number(self.published.last_slice)
        return f"""
            WITH due AS (
                SELECT device_id, unnest(range(in_service_us, {(last + 1) * HOUR_MICROS}, interval_us)) AS due_us
                FROM devices_of_manifest
            )
            SELECT device_id, due_us // {HOUR_MICROS} AS hour, count(*) AS expected_count
            FROM due WHERE due_us >= {first * HOUR_MICROS} AND NOT EXISTS (
                FROM maintenance WHERE maintenance.device_id = due.device_id
                    AND due_us >= starts_us AND due_us < ends_us)
            GROUP BY ALL"""

    def _register_devices(self, manifest: ManifestSummary) -> None:
        devices, periods = [], []
        for device in manifest.devices:
            interval_us = int(device["reporting_interval_s"]) * 1_000_000
            devices.append((device["device_id"], _micros(device["in_service_at"]), interval_us))
            for start, end in device["periods"].get("maintenance", []):
                periods.append((device["device_id"], _micros(start), _micros(end)))
        for name, rows, columns in (
            ("devices_of_manifest", devices, ("device_id", "in_service_us", "interval_us")),
            ("maintenance", periods, ("device_id", "starts_us", "ends_us")),
        ):
            types = (pa.string(), pa.int64(), pa.int64())
            arrays = [pa.array([row[i] for row in rows], type_) for i, type_ in enumerate(types)]
            self.connection.register(name, pa.table(dict(zip(columns, arrays, strict=True))))

    def _silver_by_metric(self) -> dict[tuple[str, str], int]:
        """Values in silver outside of held hours, by metric and unit."""
        counts: dict[tuple[str, str], int] = {}
        where = f"WHERE NOT ({predicate(self.held_hours)})" if self.held_hours else ""
        for name in silver_tables(self.models.values()):
            version = version_of(self.settings, name)
            metrics = {t.column: (t.metric_name, t.unit) for m in self.models.values() if m.table == name
                       for t in m.telemetry if t.is_metric}  # fmt: skip
            if version is None or not metrics:
                continue
            columns = ", ".join(f'count("{column}")' for column in metrics)
            row = self._all(f"SELECT {columns} FROM {scan(table_uri(self.settings, name), version)} {where}")[0]
            for metric, n in zip(metrics.values(), row, strict=True):
                if n:
                    counts[metric] = counts.get(metric, 0) + int(n)
        return counts

    def _gold(self, table: str, with_held: bool = False) -> str:
        """SQL for a gold table as readers see it, without held hours; no rows before it is published."""
        version = None if self.published is None else self.published.tables.get(table)
        if version is None:
            counts = ", ".join(f"NULL::BIGINT AS {name}" for name in ("reading_count", *COMPLETENESS))
            return (
                "SELECT NULL::VARCHAR AS device_id, NULL::VARCHAR AS metric_name, NULL::VARCHAR AS unit, "
                "NULL::VARCHAR AS site_id, NULL::DATE AS event_date, NULL::DATE AS day_date, "
                f"NULL::TIMESTAMPTZ AS minute_at, NULL::TIMESTAMPTZ AS hour_at, {counts} WHERE false"
            )
        pinned = {} if self.published is None else self.published.tables
        source: str = scan(table_uri(self.settings, table), version)
        if table == DEVICE_COMPLETENESS.name:
            source = completeness_source(
                self.settings, pinned, lambda name: scan(table_uri(self.settings, name), pinned[name])
            )
        is_hourly = any(each.name == table and each.sliced_by == "hour" for each in GOLD_TABLES)
        if not self.held_hours or with_held or not is_hourly:
            return f"SELECT * FROM {source}"
        return f"SELECT * FROM {source} WHERE NOT ({predicate(self.held_hours)})"

    def _all(self, sql: str) -> list[tuple]:  # type: ignore[type-arg]  # each caller declares its row
        return self.connection.sql(sql).fetchall()


def _micros(text: str) -> int:
    return round(datetime.fromisoformat(text).timestamp() * 1_000_000)
