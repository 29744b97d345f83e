"""Rules on history: when a rule would have fired on readings that the lake has.

Belongs here: reading silver and running the rule over it, as it runs on what comes in: what is seen here is what would
have been told.
"""

from collections.abc import Iterator
from datetime import datetime

import duckdb

from lake.models.catalog import known_models, silver_tables
from lake.slices import HOUR_MICROS
from lake.sql_text import quoted, quoted_name
from lake.storage.delta import version_of
from lake.storage.duckdb_connection import connect, scan
from lake.storage.locations import table_uri
from lake.tables.silver import SILVER_DEVICES
from runtime.errors import UsageError
from runtime.settings import Settings
from streams.alarms import Alarms
from transforms.alert_rules import Rule
from transforms.packed import part_number
from transforms.windows import ARRIVAL, OPEN_COLUMNS
from wire.envelope import Message


def would_have_fired(settings: Settings, rule: Rule, start: datetime, end: datetime) -> Iterator[Message]:
    """The changes of alarms between two moments of event time, in their order. Raises UsageError.

    Only rules on readings can be asked of history.
    """
    if rule.over != "readings":
        raise UsageError(f"The rule {rule.name} is over {rule.over}: only rules on readings can be tested on history.")
    with connect(settings) as connection:
        # plans are prepared on empty tables (see `loop`)
        connection.execute("SET disabled_optimizers = 'statistics_propagation'")
        columns = ", ".join(f"{quoted_name(name)} {type_}" for name, type_ in OPEN_COLUMNS.items())
        connection.execute(f"CREATE TABLE new_readings ({columns})")
        alarms = Alarms(connection, [rule], {})
        for begin in _hours(start, end):
            connection.execute("DELETE FROM new_readings")
            _fill(connection, settings, max(begin, _us(start)), min(begin + HOUR_MICROS, _us(end)))
            yield from alarms.on_readings()
            yield from alarms.on_time(min(begin + HOUR_MICROS, _us(end)))


def _fill(connection: duckdb.DuckDBPyConnection, settings: Settings, start_us: int, end_us: int) -> None:
    """The readings of part of an hour, a row a metric."""
    models = known_models(settings)
    devices = version_of(settings, SILVER_DEVICES.name)
    if devices is None:
        return
    for name, table in silver_tables(models.values()).items():
        version = version_of(settings, name)
        if version is None:
            continue
        metrics = {
            telemetry.column: (model.metric_name(telemetry), telemetry.unit)
            for model in models.values()
            if model.table == table.name
            for telemetry in model.telemetry
            if telemetry.is_metric
        }
        source = scan(table_uri(settings, name), version)
        there = {row[0] for row in connection.execute(f"DESCRIBE FROM {source}").fetchall()}
        each = ", ".join(
            f"struct_pack(metric_name := {quoted(metric)}, unit := {quoted(unit)}, v := {quoted_name(column)}::DOUBLE)"
            for column, (metric, unit) in sorted(metrics.items())
            if column in there
        )
        if each:
            hour = start_us // HOUR_MICROS
            connection.execute(
                f"""INSERT INTO new_readings BY NAME
                WITH values_apart AS (
                    SELECT *, {part_number()} AS part_number, {ARRIVAL} AS arrival, unnest([{each}]) AS m
                    FROM {source} WHERE event_date = (DATE '1970-01-01' + {hour // 24}) AND event_hour = {hour % 24}
                        AND epoch_us(event_at) >= {start_us} AND epoch_us(event_at) < {end_us})
                SELECT w.device_id, p.site_id, w.model_id, component_name, m.metric_name, m.unit, event_at, received_at,
                    clock_status, message_id, w."partition", w."offset", m.v AS value, part_number,
                    arrival
                FROM values_apart w
                LEFT JOIN {scan(table_uri(settings, SILVER_DEVICES.name), devices)} p ON w.device_id = p.device_id
                    AND p.valid_from <= w.event_at AND (p.valid_to IS NULL OR w.event_at < p.valid_to)
                WHERE m.v IS NOT NULL"""
            )


def _hours(start: datetime, end: datetime) -> Iterator[int]:
    begin = _us(start) // HOUR_MICROS * HOUR_MICROS
    while begin < _us(end):
        yield begin
        begin += HOUR_MICROS


def _us(moment: datetime) -> int:
    return int(moment.timestamp() * 1_000_000)
