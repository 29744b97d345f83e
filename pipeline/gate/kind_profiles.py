"""Profiles of figures by kind: what no row of counters, states and gauges may say.

Belongs here: the aggregates over such rows that gold suites judge, and the checks on them. The rules that the figures
are made by stand in docs/guide/kinds.md.
"""

from collections.abc import Iterator, Mapping

from lake.sql_text import Query
from lake.tables.contracts import Table
from lake.tables.gold_kinds import (
    COUNTER_DAYS,
    COUNTER_HOURS,
    COUNTER_MINUTES,
    COUNTER_SITE_DAYS,
    GAUGE_DAYS,
    GAUGE_HOURS,
    STATE_DAYS,
    STATE_HOURS,
)

_CONTRADICTING = "contradicting"
# differences of readings are rounded; the largest of them bounds by how much
_SLACK = "1e-9 * greatest(1, abs(value_min), abs(value_max))"
_OF_INCREASES = (
    "increase < 0 OR covered_s < 0 OR reset_count < 0 OR rollover_count < 0",
    "reset_count + rollover_count > reading_count",
    "(increase_per_h IS NULL) <> (covered_s = 0)",
)
_OF_COUNTERS = (*_OF_INCREASES, f"abs(increase_per_h * covered_s / 3600 - increase) > {_SLACK}")
_OF_COUNTER_MINUTES = (
    *_OF_COUNTERS,
    "(carried_value IS NULL) <> (carried_at IS NULL) OR carried_at >= minute_at + INTERVAL 1 MINUTE",
    "covered_s > date_diff('microseconds', coalesce(carried_at, minute_at), minute_at + INTERVAL 1 MINUTE) / 1e6",
    f"reset_count + rollover_count = 0 AND abs(increase - (value_last - carried_value)) > {_SLACK}",
    f"reset_count + rollover_count = 0 AND increase + {_SLACK} < value_max - value_min",
)
_OF_COUNTER_SITE_DAYS = (
    *_OF_INCREASES,
    "abs(increase_per_h * covered_s / 3600 - increase) > 1e-9 * greatest(1, increase) OR NOT isfinite(increase)",
)
_OF_COUNTER_HOURS = (
    *_OF_COUNTERS,
    "(carried_value IS NULL) <> (carried_at IS NULL) OR carried_at >= hour_at OR first_event_at > last_event_at",
    "value_first NOT BETWEEN value_min AND value_max",
    "covered_s > date_diff('microseconds', coalesce(carried_at, hour_at), hour_at + INTERVAL 1 HOUR) / 1e6",
    "reset_count + rollover_count = 0 AND "
    f"abs(increase - (value_last - coalesce(carried_value, value_first))) > {_SLACK}",
    f"reset_count + rollover_count = 0 AND increase + {_SLACK} < value_max - value_min",
)
_OF_STATES = (
    "duration_s < 0 OR entered_count < 0 OR reading_count < 0 OR entered_count > reading_count",
    "is_carried AND reading_count > 0",
)
_OF_STATE_HOURS = (
    *_OF_STATES,
    "is_carried AND carried_at IS NULL OR carried_at >= hour_at OR last_event_at >= hour_at + INTERVAL 1 HOUR",
)
# in an hour, 1 of a flow by minute or second amounts to more than 1
_PER_HOUR = "CASE unit WHEN integral_unit || '_min' THEN 60 WHEN integral_unit || '_s' THEN 3600 ELSE 1 END"
_OF_GAUGES = (
    "covered_s < 0 OR value_stddev < 0",
    "(time_weighted_mean IS NULL) <> (covered_s = 0)",
    f"abs(time_weighted_mean * covered_s / 3600 - integral / {_PER_HOUR}) > {_SLACK} * greatest(1, covered_s / 3600)",
    f"value_stddev > (value_max - value_min) / 2 + {_SLACK}",  # no spread is wider than half of all at each end
    "value_first NOT BETWEEN value_min AND value_max",
)
_OF_GAUGE_HOURS = (
    *_OF_GAUGES,
    "(carried_value IS NULL) <> (carried_at IS NULL) OR carried_at >= hour_at OR first_event_at > last_event_at",
    "covered_s > date_diff('microseconds', coalesce(carried_at, first_event_at), last_event_at) / 1e6 + 1e-6",
    "time_weighted_mean NOT BETWEEN least(value_min, coalesce(carried_value, value_min)) - "
    f"{_SLACK} AND greatest(value_max, coalesce(carried_value, value_max)) + {_SLACK}",
)
_CONDITIONS: Mapping[str, tuple[str, ...]] = {
    COUNTER_MINUTES.name: _OF_COUNTER_MINUTES,
    COUNTER_HOURS.name: _OF_COUNTER_HOURS,
    COUNTER_DAYS.name: _OF_COUNTERS,
    COUNTER_SITE_DAYS.name: _OF_COUNTER_SITE_DAYS,
    STATE_HOURS.name: _OF_STATE_HOURS,
    STATE_DAYS.name: _OF_STATES,
    GAUGE_HOURS.name: _OF_GAUGE_HOURS,
    GAUGE_DAYS.name: _OF_GAUGES,
}
_SECONDS: Mapping[str, int] = {STATE_HOURS.name: 3600, STATE_DAYS.name: 86_400}
MESSAGES: Mapping[str, str] = {
    "counter": "{observed:row} whose increase contradicts the readings, or the reading carried in",
    "state": "{observed:row} of states whose seconds, transitions or readings contradict each other",
    "gauge": "{observed:row} of gauges whose figures contradict each other",
}
"""What a failing check of a table says, by kind."""


def kind_aggregates(table: Table) -> dict[str, str]:
    """The aggregates over `rows` of a table of figures by kind: how many rows contradict themselves."""
    conditions = _CONDITIONS.get(table.name)
    if conditions is None:
        return {}
    return {_CONTRADICTING: f"count(*) FILTER (WHERE {' OR '.join(f'({each})' for each in conditions)})"}


def kind_parts(table: Table) -> Iterator[tuple[str, Query]]:
    """CTEs (name, SQL) by `slice` over `rows`: devices and metrics that are in states for longer than the period."""
    if table.name in _SECONDS:
        yield (
            "filled",
            Query(f"""
            WITH overfull AS (
                SELECT slice, device_id, metric_name, unit FROM rows GROUP BY ALL
                HAVING sum(duration_s) > {_SECONDS[table.name]} + 1e-6 OR count(*) FILTER (WHERE is_last) <> 1
            )
            SELECT slice, count(*) AS overfull FROM overfull GROUP BY slice"""),
        )
