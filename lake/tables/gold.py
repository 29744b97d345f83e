"""Gold: the figures that are gated and published.

Belongs here: its tables, and which of them are sliced by hour, by day or not at all.
"""

from collections.abc import Iterable

from lake.tables.contracts import Column, Table, optional, required

_METRIC = (
    *required(
        ("device_id", "string", "The device that measured"),
        ("metric_name", "string", "The telemetry's name in its model; component.telemetry for a component"),
        ("unit", "string", "Unit of the value columns, as in column suffixes; '1' for a plain number"),
    ),
    *optional(
        ("model_id", "string", "DTMI of the model of the newest reading of the period"),
        ("site_id", "string", "Where the device stood at the start of the hour"),
    ),
)
_VALUES = (
    *required(("reading_count", "bigint", "Readings in the period")),
    *required(
        ("value_min", "double", "Smallest value"),
        ("value_max", "double", "Largest value"),
        ("value_mean", "double", "Arithmetic mean"),
    ),
)
_LAST = required(("value_last", "double", "Value of the newest reading by event_at, then by offset"))
_PERCENTILES = required(
    ("value_p50", "double", "Median, interpolated between readings"),
    ("value_p95", "double", "95th percentile, interpolated between readings"),
)
_EVENT_DATE = required(("event_date", "date", "UTC date of the period"))
_EVENT_SLICE = (*_EVENT_DATE, *required(("event_hour", "int", "UTC hour of the period, 0 to 23")))


def _gold(name: str, grain: str, columns: Iterable[Column], key: tuple[str, ...], *partition_by: str) -> Table:
    return Table(f"gold.{name}", grain, tuple(columns), key, "delta-rs", partition_by)


DEVICE_MINUTES = _gold(
    "device_minutes",
    "device, metric, unit and minute with readings",
    (*_METRIC, *required(("minute_at", "timestamp", "Start of the minute")), *_EVENT_SLICE, *_VALUES, *_LAST),
    ("device_id", "metric_name", "unit", "minute_at"),
    "event_date",
)
DEVICE_HOURS = _gold(
    "device_hours",
    "device, metric, unit and hour with readings",
    (*_METRIC, *required(("hour_at", "timestamp", "Start of the hour")), *_EVENT_SLICE, *_VALUES, *_LAST,
     *required(("last_event_at", "timestamp", "event_at of value_last")), *_PERCENTILES),
    ("device_id", "metric_name", "unit", "hour_at"),
    "event_date",
)  # fmt: skip
DEVICE_DAYS = _gold(
    "device_days",
    "device, metric, unit and day with readings",
    (*_METRIC, *required(("day_date", "date", "The UTC day")), *_EVENT_DATE, *_VALUES, *_LAST, *_PERCENTILES),
    ("device_id", "metric_name", "unit", "day_date"),
    "event_date",
)
SITE_DAYS = _gold(
    "site_days",
    "site, metric, unit and day with readings",
    (
        *required(
            ("site_id", "string", "Where the devices stood at the start of each hour; 'unknown' without one"),
            ("metric_name", "string", "The telemetry's name in its model"),
            ("unit", "string", "Unit of the value columns"),
            ("day_date", "date", "The UTC day"),
            ("event_date", "date", "The UTC day, as partition"),
            ("device_count", "bigint", "Devices with readings"),
        ),
        *_VALUES,
        *_PERCENTILES,
    ),
    ("site_id", "metric_name", "unit", "day_date"),
    "event_date",
)
DEVICE_COMPLETENESS = _gold(
    "device_completeness",
    "device and hour in which it was in service or heard of",
    (
        *required(("device_id", "string", "The device")),
        *optional(
            ("model_id", "string", "Its model at the start of the hour, or when it came into service"),
            ("site_id", "string", "Where it stood at the start of the hour"),
        ),
        *required(
            ("hour_at", "timestamp", "Start of the hour"),
            ("event_date", "date", "UTC date of the hour"),
            ("event_hour", "int", "UTC hour, 0 to 23"),
            ("expected_count", "bigint", "Readings due: the reporting times while in service and not in maintenance"),
            ("received_count", "bigint", "Readings accepted, also from components and with a wrong clock"),
            ("late_count", "bigint", "Accepted readings that came later than the model's lateness limit"),
            ("clock_flagged_count", "bigint", "Accepted readings counted at received_at since the clock was wrong"),
            ("duplicate_count", "bigint", "Records rejected as repeats, conflicts included"),
            ("rejected_count", "bigint", "Records rejected for any other reason"),
            ("missing_count", "bigint", "expected_count less the distinct measured_at with a right clock, at least 0"),
        ),
    ),
    ("device_id", "hour_at"),
    "event_date",
)
DEVICE_LATEST = _gold(
    "device_latest",
    "device, metric and unit ever measured",
    (*_METRIC, *required(("event_at", "timestamp", "When the newest value was measured")), *_EVENT_SLICE, *_LAST),
    ("device_id", "metric_name", "unit"),
)
DEVICES = _gold(
    "devices",
    "device in the registry",
    (
        *required(
            ("device_id", "string", "The device"),
            ("status", "string", "'in_service', 'maintenance' or 'retired'"),
            ("in_service_at", "timestamp", "When it first came into service"),
        ),
        *optional(
            ("model_id", "string", "DTMI of its model"),
            ("site_id", "string", "Where it stands"),
            ("reporting_interval_s", "int", "Seconds between readings"),
            ("last_event_at", "timestamp", "Its newest published reading; null when there is none"),
        ),
        *required(("valid_from", "timestamp", "Since when this record holds")),
    ),
    ("device_id",),
)

GOLD_TABLES = (DEVICE_MINUTES, DEVICE_HOURS, DEVICE_DAYS, SITE_DAYS, DEVICE_COMPLETENESS, DEVICE_LATEST, DEVICES)

UNSLICED = "all"
HOURLY = tuple(t for t in GOLD_TABLES if "event_hour" in t.column_names and t.partition_by)
DAILY = tuple(t for t in GOLD_TABLES if "day_date" in t.column_names)
WHOLE = tuple(t for t in GOLD_TABLES if not t.partition_by)
