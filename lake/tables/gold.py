"""Gold: the figures that are gated and published.

Belongs here: its tables: what a row is about, in which slices they are built and published, and what must add up.
"""

from datetime import timedelta

from lake.slices import HOUR
from lake.tables.contracts import AddsUp, Period, optional, required
from lake.tables.gold_kinds import CARRYING, COUNTER_SITE_DAYS, KIND_TABLES
from lake.tables.gold_parts import (
    A_METRIC,
    EVENT_DATE,
    EVENT_SLICE,
    EXTREMES,
    LAST,
    METRIC,
    OF_SILVER,
    SITE_DAY,
    gold_table,
)

_A_MOMENT = timedelta(microseconds=1)
_VALUES = (*EXTREMES, *required(("value_mean", "double", "Arithmetic mean")))
_PERCENTILES = required(
    ("value_p50", "double", "Median, interpolated between readings"),
    ("value_p95", "double", "95th percentile, interpolated between readings"),
)

DEVICE_MINUTES = gold_table(
    "device_minutes",
    "device, metric, unit and minute with readings",
    (*METRIC, *required(("minute_at", "timestamp", "Start of the minute")), *EVENT_SLICE, *_VALUES, *LAST),
    (*A_METRIC, "minute_at"),
    Period("minute_at", timedelta(minutes=1)),
    "hour",
    adds_up=(OF_SILVER,),
)
DEVICE_HOURS = gold_table(
    "device_hours",
    "device, metric, unit and hour with readings",
    (*METRIC, *required(("hour_at", "timestamp", "Start of the hour")), *EVENT_SLICE, *_VALUES, *LAST,
     *required(("last_event_at", "timestamp", "event_at of value_last")), *_PERCENTILES),
    (*A_METRIC, "hour_at"),
    Period("hour_at", HOUR),
    "hour",
    adds_up=(OF_SILVER,
             AddsUp("agrees_with_minutes", "{observed:hour} of a device and metric that the minutes contradict",
                    A_METRIC, DEVICE_MINUTES.name)),
)  # fmt: skip
DEVICE_DAYS = gold_table(
    "device_days",
    "device, metric, unit and day with readings",
    (*METRIC, *required(("day_date", "date", "The UTC day")), *EVENT_DATE, *_VALUES, *LAST, *_PERCENTILES),
    (*A_METRIC, "day_date"),
    Period("day_date", timedelta(days=1)),
    "day",
    adds_up=(
        AddsUp(
            "agrees_with_hours",
            "{observed:day} of a device and metric that the hours contradict",
            A_METRIC,
            DEVICE_HOURS.name,
        ),
    ),
)
SITE_DAYS = gold_table(
    "site_days",
    "site, metric, unit and day with readings",
    (
        *SITE_DAY,
        *required(("device_count", "bigint", "Devices with readings")),
        *_VALUES,
        *_PERCENTILES,
    ),
    ("site_id", "metric_name", "unit", "day_date"),
    Period("day_date", timedelta(days=1)),
    "day",
    adds_up=(
        AddsUp(
            "agrees_with_local_hours",
            "{observed:metric} of a site that the hours of its local day contradict",
            ("site_id", "metric_name", "unit"),
            DEVICE_HOURS.name,
        ),
    ),
)
DEVICE_COMPLETENESS = gold_table(
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
    Period("hour_at", HOUR),
    "hour",
)
DEVICE_SILENCES = gold_table(
    "device_silences",
    "device and stretch of hours in which it was in service and no device sent anything",
    (
        *required(("device_id", "string", "The device")),
        *optional(
            ("model_id", "string", "Its model at the start of the stretch, or when it came into service"),
            ("site_id", "string", "Where it stood at the start of the stretch"),
        ),
        *required(
            ("hour_at", "timestamp", "Start of its first hour"),
            ("until_at", "timestamp", "End of its last hour; a change in the registry ends a stretch, too"),
            ("expected_count", "bigint", "Readings due in it, all of which are missing"),
        ),
        *optional(
            ("due_from_at", "timestamp", "Readings are due then, and every reporting_interval_s; null if none are"),
            ("reporting_interval_s", "int", "Seconds between them"),
        ),
    ),
    ("device_id", "hour_at"),
    Period("hour_at", HOUR),
)
DEVICE_LATEST = gold_table(
    "device_latest",
    "device, metric and unit ever measured",
    (*METRIC, *required(("event_at", "timestamp", "When the newest value was measured")), *EVENT_SLICE, *LAST),
    A_METRIC,
    Period("event_at", _A_MOMENT),
)
DEVICES = gold_table(
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
    Period("last_event_at", _A_MOMENT),
)

SITES = gold_table(
    "sites",
    "site that was declared or that a device stands at",
    (
        *required(("site_id", "string", "The site")),
        *optional(("name", "string", "What people call it")),
        *required(("zone", "string", "The time zone that its days follow: its own, else its parent's, else UTC")),
        *optional(("parent_id", "string", "The site that it is a part of")),
        *required(
            ("path", "string", "The sites from the topmost one down to it, as /plant/hall/line"),
            ("is_declared", "boolean", "False when it is only named by devices"),
        ),
    ),
    ("site_id",),
    None,
)
CALENDAR = gold_table(
    "calendar",
    "day of a time zone, for zones of sites and UTC, in the years that have readings",
    (
        *required(
            ("zone", "string", "The time zone, as Europe/Berlin"),
            ("day_date", "date", "The local day"),
            ("starts_at", "timestamp", "Its first moment"),
            ("ends_at", "timestamp", "Its end, the first moment of the next one"),
            ("hours_in_day", "double", "Its length: 24, or 23 or 25 when clocks are set; 23.5 and 24.5 occur"),
            ("is_dst_change", "boolean", "True when clocks are set in it, so that it does not have 24 hours"),
            ("week_date", "date", "The Monday of its week"),
            ("month_date", "date", "The first day of its month"),
        ),
    ),
    ("zone", "day_date"),
    None,
)

PLACES = (SITES, CALENDAR)
"""Tables of places and days, in which no reading counts."""
GOLD_TABLES = (
    DEVICE_MINUTES,
    DEVICE_HOURS,
    DEVICE_DAYS,
    SITE_DAYS,
    DEVICE_COMPLETENESS,
    DEVICE_SILENCES,
    DEVICE_LATEST,
    DEVICES,
    *PLACES,
    *KIND_TABLES,
)
"""All tables of gold."""
BUILT_UPON = (DEVICE_HOURS, DEVICE_LATEST, *CARRYING)
"""The tables of which a build reads what was published before."""

OF_LOCAL_DAYS = (SITE_DAYS, COUNTER_SITE_DAYS)
"""The tables of days that follow the zone of their site."""

UNSLICED = "all"
HOURLY = tuple(t for t in GOLD_TABLES if t.sliced_by == "hour")
DAILY = tuple(t for t in GOLD_TABLES if t.sliced_by == "day")
WHOLE = tuple(t for t in GOLD_TABLES if t.sliced_by is None)
