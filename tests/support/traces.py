"""Traces of all that gold has: for each table and view a row, down to its readings and up again.

Belongs here: what must hold of a trace whatever the table is. Which readings a row should have is for a test to say.
"""

from collections.abc import Mapping
from typing import Any

from lake.models.catalog import Model
from lake.reading.comforts import comforts
from lake.reading.reader import open_reader
from lake.tables.gold import DEVICE_SILENCES, DEVICES, GOLD_TABLES, PLACES
from pipeline.proof.lineage import RowTrace, trace_message, trace_row
from pipeline.proof.lineage_sql import rows_of
from runtime.settings import Settings

NO_READING_COUNTS = (DEVICES.name, DEVICE_SILENCES.name, *(table.name for table in PLACES))


def views_of_gold(models: Mapping[str, Model]) -> list[str]:
    """The views beside gold's tables that have figures of their own."""
    return [each.name for each in comforts(models.values()).values() if each.columns and each.name.startswith("gold.")]


def assert_all_is_traced(settings: Settings, models: Mapping[str, Model]) -> None:
    """Each table and view of gold has a row; its last leads to as many readings as it says, and each of these to it."""
    names = [*(table.name for table in GOLD_TABLES), *views_of_gold(models)]
    with open_reader(settings, models) as reader:
        last = {name: rows_of(reader, f"SELECT * FROM {name} ORDER BY ALL DESC LIMIT 1") for name in names}
    assert [name for name, rows in last.items() if not rows] == []
    ups: dict[tuple[Any, ...], list[tuple[str, dict[str, Any]]]] = {}
    for name, (row,) in last.items():
        traced = trace_row(settings, models, name, _key(row, name))
        assert traced.row == row, name
        assert traced.verdicts, name
        assert all(verdict["is_passing"] for verdict in traced.verdicts), name
        if name in NO_READING_COUNTS:
            continue
        readings = _readings(settings, models, traced)
        carried = len(readings) - int(row.get("reading_count", row.get("received_count", 1)) or 0)
        assert carried in ((0, 1) if name.startswith(("gold.counter", "gold.gauge", "gold.state")) else (0,)), name
        for each in readings:
            place = (each["topic"], each["partition"], each["offset"])
            if place not in ups:
                ups[place] = list(trace_message(settings, models, *place).gold)
            assert (name, row) in ups[place], name


def _readings(settings: Settings, models: Mapping[str, Model], traced: RowTrace) -> tuple[dict[str, Any], ...]:
    """The readings of a row; of a week or month those of its days."""
    table = "gold.site_days"
    days = (trace_row(settings, models, table, _key(day, table)) for day in traced.days)
    return traced.readings or tuple(reading for day in days for reading in day.readings)


def _key(row: Mapping[str, Any], name: str) -> dict[str, str]:
    """All that names the row, as a person types it."""
    declared = {table.name: table.key for table in GOLD_TABLES}
    key = declared.get(name, ("site_id", "metric_name", "unit", "week_date", "month_date"))
    return {column: str(row[column]) for column in key if column in row}
