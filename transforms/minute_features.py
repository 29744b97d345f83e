"""Minute features: what a model sees of a device's minute, as SQL over minutes of gold and of the hot path alike.

Belongs here: the one declaration of features, and the device's usual figures, which they are measured against. So what
a model is trained on and what it scores cannot differ. Training and scoring are in `streams.scoring`.

A relation of minutes has the columns MINUTE_COLUMNS. What is usual is kept by device, metric, unit and UTC hour of the
day, robustly: medians, and median deviations as scale, which some bad minutes do not move.
"""

import hashlib

from lake.slices import HOUR_MICROS
from lake.sql_text import Query, Relation
from transforms.windows import Window

MINUTE_COLUMNS = {
    "device_id": "VARCHAR",
    "metric_name": "VARCHAR",
    "unit": "VARCHAR",
    "minute_at": "TIMESTAMP WITH TIME ZONE",
    "reading_count": "BIGINT",
    "value_min": "DOUBLE",
    "value_max": "DOUBLE",
    "value_mean": "DOUBLE",
    "value_last": "DOUBLE",
}
"""What features may be made of: in gold.device_minutes and in the window device_minutes by the same names."""

USUAL_KEY = ("device_id", "metric_name", "unit", "hour_number")
USUAL_COLUMNS = (*USUAL_KEY, "usual_mean", "usual_scale", "usual_range", "range_scale", "minute_count")

# 1.4826 median deviations are a standard deviation where values are distributed normally
_SIGMA = 1.4826
_HOUR = f"(epoch_us(minute_at) // {HOUR_MICROS}) % 24"

FEATURES = {
    "level": "(value_mean - usual_mean) / usual_scale",
    "low": "(value_min - usual_mean) / usual_scale",
    "high": "(value_max - usual_mean) / usual_scale",
    "range": "(value_max - value_min - usual_range) / range_scale",
}
"""Feature -> SQL over a minute and what is usual for its device, metric, unit and hour; in scales, so that one model
fits every metric."""

SCORES = Window(
    name="scores",
    kind="tumbling",
    size_s=60,
    by=("device_id", "metric_name", "unit"),
    select=dict.fromkeys(
        ("score", "threshold", "is_unusual", *FEATURES, "usual_mean", "usual_scale", "model_version", "model_digest",
         "publication"),
        "",
    ),
)  # fmt: skip
"""Scores as results of a window, which rules may be over; its figures are what the scorer says, not SQL."""

# what lies farther out is as unusual as can be, and a 32-bit number keeps its digits
_MOST = 50.0


def features_of(minutes: Relation, usual: Relation) -> Query:
    """SQL for the features of minutes, with all columns of both; a minute for which nothing is usual has no row."""
    features = ", ".join(
        f"least({_MOST}, greatest(-{_MOST}, {sql}))::FLOAT AS {name}" for name, sql in FEATURES.items()
    )
    return Query(f"""
        SELECT *, {features}
        FROM (SELECT *, {_HOUR} AS hour_number FROM {minutes}) m
        JOIN {usual} u USING ({", ".join(USUAL_KEY)})""")


def usual_of(minutes: Relation) -> Query:
    """SQL for USUAL_COLUMNS, what is usual by the given minutes."""
    by = "device_id, metric_name, unit"
    return Query(f"""
        WITH hourly AS (SELECT {by}, {_HOUR} AS hour_number, median(value_mean) AS usual_mean, count(*) AS minute_count
                        FROM {minutes} GROUP BY ALL),
        residuals AS (SELECT m.*, m.value_mean - h.usual_mean AS residual, value_max - value_min AS span
                      FROM (SELECT *, {_HOUR} AS hour_number FROM {minutes}) m JOIN hourly h
                      USING ({by}, hour_number)),
        scales AS (SELECT {by}, {_SIGMA} * median(abs(residual)) AS mean_scale, median(span) AS usual_range,
                       {_SIGMA} * mad(span) AS span_scale, 1e-3 * greatest(median(abs(value_mean)), 1e-3) AS least_scale
                   FROM residuals GROUP BY ALL)
        SELECT {by}, hour_number, usual_mean, greatest(mean_scale, least_scale) AS usual_scale, usual_range,
            greatest(span_scale, least_scale) AS range_scale, minute_count
        FROM hourly JOIN scales USING ({by}) ORDER BY ALL""")


def features_digest() -> str:
    """What tells one declaration of features from another."""
    return hashlib.sha256(f"{features_of(Relation('m'), Relation('u'))}{usual_of(Relation('m'))}".encode()).hexdigest()[
        :16
    ]
