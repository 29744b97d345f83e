"""Gold by kind of telemetry: counters, states and gauges.

Belongs here: the tables of which docs/guide/kinds.md states the rules. They stand in the list `GOLD_TABLES` of `gold`.
"""

from datetime import timedelta

from lake.slices import HOUR
from lake.tables.contracts import AddsUp, Period, optional, required
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

_ENDS = (
    *required(("first_event_at", "timestamp", "event_at of value_first"),
              ("last_event_at", "timestamp", "event_at of value_last")),
    *optional(("carried_value", "double", "Value of the newest reading before the hour, within the carry limit"),
              ("carried_at", "timestamp", "event_at of carried_value")),
)  # fmt: skip
_RATE = (
    *optional(
        ("increase_per_h", "double", "Its rate by hour of covered_s, of kwh in kw, l in l_h; null when that is 0")
    ),
    *required(
        ("reset_count", "bigint", "Times that it began at 0 again, out of turn"),
        ("rollover_count", "bigint", "Times that it went over its declared maximum to 0"),
    ),
)
_INCREASE = (
    *required(
        ("increase", "double", "How much it has grown since the reading before the period; see docs/guide/kinds.md"),
        (
            "covered_s",
            "double",
            "Seconds in which it did: from the reading before, or the first, to the last",
        ),
    ),
    *_RATE,
)
_COUNTS = ("increase", "covered_s", "reset_count", "rollover_count")
COUNTER_MINUTES = gold_table(
    "counter_minutes",
    "device, counter, unit and minute with readings",
    (
        *METRIC,
        *required(("minute_at", "timestamp", "Start of the minute")),
        *EVENT_SLICE,
        *EXTREMES,
        *LAST,
        *optional(
            ("carried_value", "double", "Value of the newest reading before the minute, within the carry limit"),
            ("carried_at", "timestamp", "event_at of carried_value"),
        ),
        *_INCREASE,
    ),
    (*A_METRIC, "minute_at"),
    Period("minute_at", timedelta(minutes=1)),
    "hour",
    adds_up=(OF_SILVER,),
    kind="counter",
)
COUNTER_HOURS = gold_table(
    "counter_hours",
    "device, counter, unit and hour with readings",
    (*METRIC, *required(("hour_at", "timestamp", "Start of the hour")), *EVENT_SLICE, *EXTREMES,
     *required(("value_first", "double", "Value of the oldest reading of the hour")), *LAST,
     *_ENDS,
     *_INCREASE),
    (*A_METRIC, "hour_at"),
    Period("hour_at", HOUR),
    "hour",
    adds_up=(OF_SILVER,
             AddsUp("agrees_with_minutes", "{observed:hour} of a device and counter that the minutes contradict",
                    A_METRIC, COUNTER_MINUTES.name, _COUNTS)),
    kind="counter",
)  # fmt: skip
COUNTER_DAYS = gold_table(
    "counter_days",
    "device, counter, unit and day with readings",
    (*METRIC, *required(("day_date", "date", "The UTC day")), *EVENT_DATE, *EXTREMES, *LAST, *_INCREASE),
    (*A_METRIC, "day_date"),
    Period("day_date", timedelta(days=1)),
    "day",
    adds_up=(
        AddsUp(
            "agrees_with_hours",
            "{observed:day} of a device and counter that the hours contradict",
            A_METRIC,
            COUNTER_HOURS.name,
            _COUNTS,
        ),
    ),
    kind="counter",
)
COUNTER_SITE_DAYS = gold_table(
    "counter_site_days",
    "site, counter, unit and local day with readings",
    (
        *SITE_DAY,
        *required(
            ("device_count", "bigint", "Devices with readings"),
            ("reading_count", "bigint", "Readings in the period"),
            ("increase", "double", "What its devices have grown by in the hours in which they stood there"),
            ("covered_s", "double", "Seconds in which any of them did; time that several cover counts once"),
        ),
        *_RATE,
    ),
    ("site_id", "metric_name", "unit", "day_date"),
    Period("day_date", timedelta(days=1)),
    "day",
    adds_up=(
        AddsUp(
            "agrees_with_local_hours",
            "{observed:counter} of a site that the hours of its local day contradict",
            ("site_id", "metric_name", "unit"),
            COUNTER_HOURS.name,
            ("increase", "reset_count", "rollover_count"),
        ),
    ),
    kind="counter",
)
_STATE = required(("state", "string", "The state; 'true' or 'false' of a boolean"))
_IN_STATE = required(
    ("reading_count", "bigint", "Readings in the period that say so"),
    ("duration_s", "double", "Seconds of the period in this state"),
    ("entered_count", "bigint", "Transitions into it from another state"),
    ("is_last", "boolean", "True for the newest state up to the end of the period"),
    ("is_carried", "boolean", "True where nothing came in the period: the state is that of a reading before it"),
)
STATE_HOURS = gold_table(
    "state_hours",
    "device, metric, unit, state and hour in which it was in it",
    (*METRIC, *_STATE, *required(("hour_at", "timestamp", "Start of the hour")), *EVENT_SLICE, *_IN_STATE,
     *required(("last_event_at", "timestamp", "event_at of the newest reading up to the end of the hour")),
     *optional(("carried_at", "timestamp", "event_at of the reading before the hour in whose state it begins"))),
    (*A_METRIC, "state", "hour_at"),
    Period("hour_at", HOUR),
    "hour",
    adds_up=(OF_SILVER,),
    kind="state",
)  # fmt: skip
STATE_DAYS = gold_table(
    "state_days",
    "device, metric, unit, state and day in which it was in it",
    (*METRIC, *_STATE, *required(("day_date", "date", "The UTC day")), *EVENT_DATE, *_IN_STATE),
    (*A_METRIC, "state", "day_date"),
    Period("day_date", timedelta(days=1)),
    "day",
    adds_up=(
        AddsUp(
            "agrees_with_hours",
            "{observed:day} of a device, metric and state that the hours contradict",
            (*A_METRIC, "state"),
            STATE_HOURS.name,
            ("duration_s", "entered_count"),
        ),
    ),
    kind="state",
)

_SPANS = (
    *required(("integral", "double", "Value by time, of power the energy, of a flow the volume; docs/guide/kinds.md"),
              ("integral_unit", "string", "Unit of integral: w -> wh, l_min -> l, degc -> degc_hours"),
              ("covered_s", "double", "Seconds of integral: between readings not further apart than the carry limit")),
    *optional(("time_weighted_mean", "double", "The mean of the value over covered_s; null when that is 0")),
    *required(("value_stddev", "double", "Standard deviation of the readings, of all that there are (population)")),
)  # fmt: skip
GAUGE_HOURS = gold_table(
    "gauge_hours",
    "device, gauge, unit and hour with readings",
    (*METRIC, *required(("hour_at", "timestamp", "Start of the hour")), *EVENT_SLICE, *EXTREMES,
     *required(("value_first", "double", "Value of the oldest reading of the period")), *LAST,
     *_ENDS,
     *_SPANS),
    (*A_METRIC, "hour_at"),
    Period("hour_at", HOUR),
    "hour",
    adds_up=(OF_SILVER,),
    kind="gauge",
)  # fmt: skip
GAUGE_DAYS = gold_table(
    "gauge_days",
    "device, gauge, unit and day with readings",
    (*METRIC, *required(("day_date", "date", "The UTC day")), *EVENT_DATE, *EXTREMES,
     *required(("value_first", "double", "Value of the oldest reading of the period")), *LAST, *_SPANS),
    (*A_METRIC, "day_date"),
    Period("day_date", timedelta(days=1)),
    "day",
    adds_up=(
        AddsUp(
            "agrees_with_hours",
            "{observed:day} of a device and gauge that the hours contradict",
            A_METRIC,
            GAUGE_HOURS.name,
            ("integral", "covered_s"),
        ),
    ),
    kind="gauge",
)  # fmt: skip

KIND_TABLES = (
    COUNTER_MINUTES, COUNTER_HOURS, COUNTER_DAYS, COUNTER_SITE_DAYS, STATE_HOURS, STATE_DAYS, GAUGE_HOURS, GAUGE_DAYS,
)  # fmt: skip
"""All of these tables."""
CARRYING = (COUNTER_HOURS, STATE_HOURS, GAUGE_HOURS)
"""The tables of hours whose rows begin with a reading of an hour before."""
