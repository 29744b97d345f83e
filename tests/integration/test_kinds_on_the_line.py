"""Figures by kind on the real line: bronze to published gold, late data at the boundary of an hour, and the proofs.

What the SQL makes of whatever history is in `test_kind_figures`; here it is that the parts work together.
"""

import json
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from pyspark.sql import SparkSession

from lake.models.catalog import known_models
from lake.reading.reader import open_reader
from lake.records import publications
from lake.slices import slice_of
from lake.storage.delta import open_table
from lake.storage.locations import table_uri
from lake.tables.gold import GOLD_TABLES
from pipeline.gold.gold_refresh import Outcome, refresh_gold
from pipeline.gold.stale import stale_slices
from pipeline.proof.lineage import trace_message, trace_row
from pipeline.proof.lineage_sql import rows_of
from pipeline.proof.verification import verify
from pipeline.run import Run
from runtime.settings import Settings
from tests.support.kinds_oracle import Reading, counter_hours, counter_minutes, counter_steps, gauge_hours
from tests.support.kinds_sql import LIMIT, MAXIMUM, MODEL, plant_models
from tests.support.landing import registered, run_tick, send
from tests.support.traces import assert_all_is_traced, views_of_gold
from wire.envelope import Message, TelemetryEnvelope, rfc3339

START = (datetime.now(UTC) - timedelta(days=2)).replace(hour=5, minute=0, second=0, microsecond=0)
H0, H1, H2, H3 = (slice_of(START + timedelta(hours=hour)) for hour in range(4))
KEY = {"device_id": "p", "metric_name": "count", "unit": "1"}


def sent(values: Iterable[tuple[int, float]]) -> list[Reading]:
    """Counts of the device p by second, a gauge with the same value, and at 5400 s of a day its state."""
    return [Reading("p", START + timedelta(seconds=second), second, value) for second, value in values]


def messages(readings: Iterable[Reading]) -> list[Message]:
    """Their messages."""
    return [
        TelemetryEnvelope(each.device).message(
            f"m{each.offset}",
            rfc3339(each.at),
            json.dumps(
                {"count": each.value, "level": each.value} | ({"mode": "on"} if each.offset % 86400 == 5400 else {})
            ).encode(),
        )
        for each in readings
    ]


def refreshed(spark: SparkSession, settings: Settings) -> Outcome:
    """All that waits, published."""
    run_tick(spark, settings)
    outcome = refresh_gold(Run(settings, known_models(settings), "test", datetime.now(UTC)))
    assert outcome is not None
    assert outcome.held == []
    return outcome


def select(settings: Settings, sql: str) -> list[dict[str, Any]]:
    """What readers of published gold see."""
    with open_reader(settings, known_models(settings)) as reader:
        return rows_of(reader, sql)


def test_an_increase_belongs_to_the_hour_where_it_ends(spark: SparkSession, settings: Settings) -> None:
    """Late data before a boundary makes the hour after it stale too; what is published is what plain Python and a
    rebuild of everything come to; a message leads to both hours, an hour to its messages, in each table and view that
    gold has; doctored gold is found."""
    assert settings.kafka_bootstrap is not None
    plant_models(settings.models_folder)
    early = sent([(60, 10.0), (1800, 20.0), (3600 + 1800, 50.0), (3 * 3600, 5.0), (3 * 3600 + 60, 990.0)])
    send(settings.kafka_bootstrap, [registered("p", START, MODEL), *messages(early)])
    refreshed(spark, settings)

    late = sent([(3599, 25.0)])
    send(settings.kafka_bootstrap, messages(late))
    run_tick(spark, settings)
    stale = stale_slices(settings, known_models(settings)).hours
    assert set(stale) == {H0, H1}
    assert stale[H1] == ("an hour changed from which it carries a reading",)
    outcome = refreshed(spark, settings)
    assert outcome.published == [H0, H1]

    expected = counter_hours([*early, *late], MAXIMUM, LIMIT)
    rows = select(settings, "SELECT * FROM gold.counter_hours ORDER BY hour_at")
    assert [{name: row[name] for name in expected["p", row["hour_at"]]} for row in rows] == list(expected.values())
    assert [row["increase"] for row in rows] == [15.0, 25.0, 990.0]
    days = select(settings, "SELECT sum(increase) AS increase, sum(reset_count)::INT AS resets FROM gold.counter_days")
    assert days == [{"increase": 1030.0, "resets": 1}]
    by_minute = counter_minutes(counter_steps([*early, *late], MAXIMUM, LIMIT))
    minutes = select(settings, "SELECT * FROM gold.counter_minutes ORDER BY minute_at")
    assert [{name: row[name] for name in by_minute["p", row["minute_at"]]} for row in minutes] == [*by_minute.values()]
    sites = select(settings, "SELECT * FROM gold.counter_site_days")
    assert [(row["increase"], row["reset_count"], row["device_count"]) for row in sites] == [(1030.0, 1, 1)]
    by_time = gauge_hours([*early, *late], False, LIMIT)
    gauges = select(settings, "SELECT * FROM gold.gauge_hours ORDER BY hour_at")
    assert [{name: row[name] for name in by_time["p", row["hour_at"]]} for row in gauges] == [
        {name: pytest.approx(value) if isinstance(value, float) else value for name, value in row.items()}
        for row in by_time.values()
    ]
    of_states = "SELECT event_hour, duration_s, is_carried FROM gold.state_hours ORDER BY hour_at"
    assert [tuple(row.values()) for row in select(settings, of_states)] == [
        (START.hour + 1, 1800.0, False), (START.hour + 2, 3600.0, True), (START.hour + 3, 1800.0, True),
    ]  # fmt: skip
    assert select(settings, "SELECT hour_at, until_at FROM gold.device_silences") == [
        {"hour_at": START + timedelta(hours=2), "until_at": START + timedelta(hours=3)}
    ]

    models = known_models(settings)
    traced = trace_row(settings, models, "counter_hours", KEY | {"hour_at": rows[1]["hour_at"].isoformat()})
    assert [each["value"] for each in traced.readings] == [25.0, 50.0]
    minute = trace_row(settings, models, "counter_minutes", KEY | {"minute_at": minutes[2]["minute_at"].isoformat()})
    assert [each["value"] for each in minute.readings] == [20.0, 25.0]
    of_site = {"site_id": sites[0]["site_id"], "metric_name": "count", "unit": "1"}
    day = trace_row(settings, models, "counter_site_days", of_site | {"day_date": str(START.date())})
    assert [each["value"] for each in day.readings] == [10.0, 20.0, 25.0, 50.0, 5.0, 990.0]
    assert {each["table_name"] for each in traced.verdicts} >= {"gold.counter_hours", "silver.plants"}
    hour, date = {"hour_at": rows[1]["hour_at"].isoformat()}, {"day_date": str(START.date())}
    gauge, state = KEY | {"metric_name": "level"}, KEY | {"metric_name": "mode", "state": "on"}
    whole = [10.0, 20.0, 25.0, 50.0, 5.0, 990.0]
    for table, key, values in (
        ("counter_days", KEY | date, whole), ("gauge_hours", gauge | hour, [25.0, 50.0]),
        ("gauge_days", gauge | date, whole), ("state_days", state | date, ["on"]),
        ("state_hours", state | {"hour_at": f"{START + timedelta(hours=2)}"}, ["on"]),  # carried into it
    ):  # fmt: skip
        assert [each["value"] for each in trace_row(settings, models, table, key).readings] == values, table
    carried = traced.readings[0]
    up = trace_message(settings, models, carried["topic"], carried["partition"], carried["offset"])
    assert [row["hour_at"] for table, row in up.gold if table == "gold.counter_hours"] == [
        rows[0]["hour_at"], rows[1]["hour_at"],
    ]  # fmt: skip
    assert [row["minute_at"] for table, row in up.gold if table == "gold.counter_minutes"] == [
        minutes[2]["minute_at"], minutes[3]["minute_at"],
    ]  # fmt: skip
    assert sites[0] in [row for table, row in up.gold if table == "gold.counter_site_days"]
    of_mode = traced.readings[1]
    of_state = trace_message(settings, models, of_mode["topic"], of_mode["partition"], of_mode["offset"])
    for trace, table, column, expected_at in (
        (up, "gauge_hours", "hour_at", [rows[0]["hour_at"], rows[1]["hour_at"]]),
        (up, "gauge_days", "day_date", [START.date()]),
        (of_state, "gauge_hours", "hour_at", [rows[1]["hour_at"], rows[2]["hour_at"]]),
        (of_state, "state_hours", "hour_at", [START + timedelta(hours=hour) for hour in (1, 2, 3)]),  # carried, too
        (of_state, "state_days", "day_date", [START.date()]),
        (up, "state_hours", "hour_at", []),  # it says nothing of the state
    ):
        counted = [row[column] for name, row in trace.gold if name == f"gold.{table}"]
        assert counted == expected_at, table
    assert_all_is_traced(settings, models)

    publication = publications.newest(settings)
    assert publication is not None
    result = verify(spark, settings, models, publication, code_version="")
    assert [each for each in result.comparisons if not each.is_same] == []
    assert {each.table: each.rows for each in result.comparisons}["gold.counter_hours"] == 3
    every = {*(table.name for table in GOLD_TABLES), *views_of_gold(models)}
    assert every <= {each.table for each in result.comparisons if each.rows and not each.left_out}

    opened = open_table(settings, "gold.counter_hours", publication.tables["gold.counter_hours"])
    assert opened is not None
    file = Path(table_uri(settings, "gold.counter_hours")) / opened.get_add_actions(flatten=True)["path"][0].as_py()
    table = pq.ParquetFile(file).read()
    index = table.schema.get_field_index("increase")
    table = table.set_column(index, table.schema.field(index), pc.add(table["increase"], pa.scalar(0.25)))
    pq.write_table(table, file)
    result = verify(spark, settings, models, publication, code_version="")
    assert [each.table for each in result.comparisons if not each.is_same] == ["gold.counter_hours"]


def test_a_kind_that_is_declared_later_holds_no_day(spark: SparkSession, settings: Settings) -> None:
    """Hours of a day that were published before its counter, state and gauge were declared are built again with the
    day, those of other days are not; of such a day late data is held until somebody backfills it."""
    assert settings.kafka_bootstrap is not None
    plant_models(settings.models_folder, {})
    day_before = sent([(-3 * 86400, 1.0), (-3 * 86400 + 5400, 2.0)])
    early = sent([(60, 10.0), (5400, 50.0)])
    send(
        settings.kafka_bootstrap, [registered("p", START - timedelta(days=4), MODEL), *messages([*day_before, *early])]
    )
    refreshed(spark, settings)
    assert (
        select(settings, "SELECT hour_at FROM gold.counter_hours UNION ALL SELECT hour_at FROM gold.state_hours") == []
    )

    plant_models(settings.models_folder)
    late = sent([(2 * 3600, 60.0)])
    send(settings.kafka_bootstrap, messages(late))
    outcome = refreshed(spark, settings)
    assert outcome.published == [H0, H1, H2]
    expected = counter_hours([*early, *late], MAXIMUM, LIMIT)
    rows = select(settings, "SELECT * FROM gold.counter_hours ORDER BY hour_at")
    assert [{name: row[name] for name in expected["p", row["hour_at"]]} for row in rows] == list(expected.values())

    of_states = "SELECT hour_at, duration_s, is_carried FROM gold.state_hours ORDER BY hour_at"
    states = [(START + timedelta(hours=1), 1800.0, False), (START + timedelta(hours=2), 3600.0, True)]
    assert [tuple(row.values()) for row in select(settings, of_states)] == states

    later = sent([(-3 * 86400 + 7200, 3.0)])
    send(settings.kafka_bootstrap, messages(later))
    run_tick(spark, settings)
    run = Run(settings, known_models(settings), "test", datetime.now(UTC))
    held = refresh_gold(run)
    assert held is not None
    assert {verdict.table for verdict in held.held} == {
        "gold.counter_days",
        "gold.counter_site_days",
        "gold.gauge_days",
    }
    refresh_gold(run, [slice_of(START + timedelta(days=-3, hours=hour)) for hour in range(3)])
    assert select(settings, "SELECT count(*)::INT AS hours FROM gold.counter_hours") == [{"hours": 6}]
    of_before = [(at - timedelta(days=3), *figures) for at, *figures in states]
    of_before.append((START + timedelta(days=-3, hours=3), 1800.0, True))  # up to the limit; today's is to come yet
    assert [tuple(row.values()) for row in select(settings, of_states)] == [*of_before, *states]
    models, publication = known_models(settings), publications.newest(settings)
    assert publication is not None
    assert [each.table for each in verify(spark, settings, models, publication, code_version="").comparisons
            if not each.is_same] == []  # fmt: skip
