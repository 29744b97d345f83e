"""Profiles of figures by kind: which rows of gauges contradict themselves, by the unit of their integral."""

import duckdb
import pytest

from lake.tables.contracts import Table
from lake.tables.gold_kinds import GAUGE_DAYS, GAUGE_HOURS
from pipeline.gate.kind_profiles import kind_aggregates

_ROW = (
    "SELECT 1.0 AS value_min, 3.0 AS value_max, 1.0 AS value_first, 0.5 AS value_stddev, 1800 AS covered_s, "
    "2.0 AS time_weighted_mean, NULL::DOUBLE AS carried_value, NULL::TIMESTAMPTZ AS carried_at, "
    "TIMESTAMPTZ '2026-11-20 05:00:00Z' AS hour_at, TIMESTAMPTZ '2026-11-20 05:00:00Z' AS first_event_at, "
    "TIMESTAMPTZ '2026-11-20 05:30:00Z' AS last_event_at"
)


@pytest.mark.parametrize("table", [GAUGE_HOURS, GAUGE_DAYS])
@pytest.mark.parametrize(
    ("unit", "integral_unit", "integral", "contradicting"),
    [
        ("w", "wh", 1.0, 0), ("m3_h", "m3", 1.0, 0), ("l_min", "l", 60.0, 0), ("kg_s", "kg", 3600.0, 0),
        ("degc_s", "degc_s_hours", 1.0, 0),
        ("l_min", "l", 1.0, 1), ("l_min", "l_min_hours", 60.0, 1), ("kg_s", "kg", 60.0, 1), ("m3_h", "m3", 60.0, 1),
    ],
)  # fmt: skip
def test_an_integral_is_in_its_unit(
    table: Table, unit: str, integral_unit: str, integral: float, contradicting: int
) -> None:
    """A mean of 2 over half an hour is 1 by hour, 60 by minute and 3600 by second, and nothing else."""
    (aggregate,) = kind_aggregates(table).values()
    row = f"{_ROW}, '{unit}' AS unit, '{integral_unit}' AS integral_unit, {integral}::DOUBLE AS integral"
    assert duckdb.sql(f"SELECT {aggregate} FROM ({row})").fetchone() == (contradicting,)
