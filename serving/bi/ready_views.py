"""Ready views: what a dashboard begins with, as questions of gold.

Belongs here: their SQL and what they say of themselves. Each reads views of gold, so each is of one publication and of
its reader's sites.
"""

from lake.tables.contracts import Column, optional
from lake.tables.gold import DEVICE_COMPLETENESS, DEVICE_HOURS, DEVICES
from serving.bi.postgres_tables import CONTROL, NEWEST, View

READY = "ready"

_COUNTS = ("expected_count", "received_count", "late_count", "duplicate_count", "rejected_count", "missing_count")
_COMPLETE = "CASE WHEN sum(expected_count) > 0 THEN 1 - sum(missing_count)::float8 / sum(expected_count)::float8 END"


def _columns(table_columns: tuple[Column, ...], *names: str) -> tuple[Column, ...]:
    return tuple(column for column in table_columns if column.name in names)


READY_VIEWS = (
    View(
        f"{READY}.publication",
        f"SELECT publication_id, published_at, first_slice, last_slice, copied_at FROM {CONTROL}.publications "
        f"WHERE publication_id = {NEWEST}",
        "One row: the publication that gold, wide and ready show now",
        optional(
            ("publication_id", "bigint", "Its number: `lakehouse verify` and `trace` take it"),
            ("published_at", "timestamp", "When it was published"),
            ("first_slice", "string", "The first hour that it covers"),
            ("last_slice", "string", "The last hour that it covers"),
            ("copied_at", "timestamp", "When it came here"),
        ),
    ),
    View(
        f"{READY}.completeness_days",
        "SELECT event_date AS day_date, site_id, model_id, count(DISTINCT device_id) AS device_count, "
        + ", ".join(f"sum({name})::bigint AS {name}" for name in _COUNTS)
        + f", {_COMPLETE} AS complete_ratio FROM {DEVICE_COMPLETENESS.name} GROUP BY event_date, site_id, model_id",
        "One row per UTC day, site and model: what was due and what came",
        (
            *_columns(DEVICE_COMPLETENESS.columns, "site_id", "model_id", *_COUNTS),
            *optional(
                ("day_date", "date", "The UTC day"),
                ("device_count", "bigint", "Devices that were in service or heard of"),
                ("complete_ratio", "double", "Share of the readings due that came, 0 to 1; null when none was due"),
            ),
        ),
    ),
    View(
        f"{READY}.hours_with_completeness",
        "SELECT h.*, c.expected_count, c.missing_count, c.clock_flagged_count, CASE WHEN c.expected_count > 0 "
        "THEN 1 - c.missing_count::float8 / c.expected_count::float8 END AS complete_ratio "
        f"FROM {DEVICE_HOURS.name} h LEFT JOIN {DEVICE_COMPLETENESS.name} c USING (device_id, hour_at)".replace(
            "h.*", ", ".join(f"h.{name}" for name in DEVICE_HOURS.column_names)
        ),
        "One row per device, metric, unit and hour, with how complete the hour is: can the figure be trusted?",
        (
            *DEVICE_HOURS.columns,
            *_columns(DEVICE_COMPLETENESS.columns, "expected_count", "missing_count", "clock_flagged_count"),
            *optional(("complete_ratio", "double", "Share of the readings due that came, 0 to 1; null without")),
        ),
    ),
    View(
        f"{READY}.silent_hours",
        f"SELECT device_id, site_id, model_id, hour_at, expected_count FROM {DEVICE_COMPLETENESS.name} "
        "WHERE expected_count > 0 AND missing_count = expected_count",
        "One row per device and hour in which readings were due and none came",
        _columns(DEVICE_COMPLETENESS.columns, "device_id", "site_id", "model_id", "hour_at", "expected_count"),
    ),
    View(
        f"{READY}.devices_now",
        "SELECT d.device_id, d.site_id, d.model_id, d.status, d.reporting_interval_s, d.last_event_at, "
        f"extract(epoch FROM now() - d.last_event_at)::float8 AS silent_s FROM {DEVICES.name} d",
        "One row per device in the registry, with how long it has been silent",
        (
            *_columns(DEVICES.columns, "device_id", "site_id", "model_id", "status", "reporting_interval_s",
                      "last_event_at"),
            *optional(("silent_s", "double", "Seconds since its newest published reading, by this server's clock")),
        ),
    ),
)  # fmt: skip
