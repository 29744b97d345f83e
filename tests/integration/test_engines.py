"""The engines of silver: the same rows from this machine and from Spark's executors, whatever comes."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from pyspark.sql import SparkSession

from lake.models.catalog import known_models, silver_tables
from lake.storage.delta import version_of
from lake.storage.duckdb_connection import connect, scan
from lake.storage.locations import table_uri
from lake.storage.spark_commits import commits_after
from lake.tables.silver import SILVER_REJECTED
from pipeline.run import Run
from pipeline.silver import bronze_portions
from pipeline.silver.tick import rebuild_silver
from runtime.settings import Settings
from tests.integration.test_bad_input import ACCEPTED, PAYLOADS, envelopes
from tests.support.landing import reading, registered, run_tick, send
from wire.envelope import Message, TelemetryEnvelope, rfc3339

START = datetime.now(UTC).replace(minute=0, second=0, microsecond=0) - timedelta(hours=3)


def test_both_engines_come_to_the_same_rows(
    spark: SparkSession, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Bad messages of every kind, packs, repeats and conflicts in a tick and across ticks, one identity under two
    keys, wrong clocks and a device that is registered late: row by row the same in every table of silver, by ticks and
    by rebuilds of single hours."""
    monkeypatch.setattr(bronze_portions, "RECORDS_A_TASK", 20)
    lakes = {
        name: replace(settings, engine=name, lake_uri=str(settings.home / name), home=settings.home / f"{name}-home")
        for name in ("here", "spark")
    }
    assert settings.kafka_address is not None
    for messages in _ticks():
        send(settings.kafka_address, messages)
        reports = [run_tick(spark, lake) for lake in lakes.values()]
        assert reports[0] == reports[1]
    assert reports[0].rejected["duplicate"] == 4
    assert _differing(*lakes.values()) == []
    hours = {hour for report in reports for hour in report.slices}
    for hour in sorted(hours):
        rebuilt = [rebuild_silver(lambda: spark, _run(lake), [hour]) for lake in lakes.values()]
        assert rebuilt[0] == rebuilt[1]
    assert _differing(*lakes.values()) == []
    for name, lake in lakes.items():
        said = [each.metadata for each in commits_after(lake, "silver.thermostats", 0)]
        assert {(each["step"], each["engine"]) for each in said} == {("tick", name), ("rebuild", name)}
        assert not list((settings.home / name / "silver" / "rejected" / "staging").glob("*"))


def _ticks() -> list[list[Message]]:
    devices = ["bad-1", "d1", "d2", "skewed"]
    first = [registered(device, START) for device in devices]
    first += [reading("bad-1", case, START + timedelta(minutes=5), body) for case, (body, _) in PAYLOADS.items()]
    first += [reading("bad-1", case, START + timedelta(minutes=6), body) for case, body in ACCEPTED.items()]
    first += [message for message, _ in envelopes().values()]
    plain = [reading("d1", f"m{n}", START + timedelta(seconds=n)) for n in range(100)]
    shared = TelemetryEnvelope("d1").message("shared", rfc3339(START), b'{"temperature":20}')
    first += [*plain, plain[3], reading("d1", "m4", START + timedelta(seconds=4), 30.0), shared]
    first += [reading("d2", "pack", START, b'[{"temperature":21},{"temperature":"x"},{"temperature":22}]')]
    ahead = reading("skewed", "ahead", datetime.now(UTC) + timedelta(days=2))
    first += [ahead, reading("skewed", "behind", START - timedelta(days=400)), reading("late", "early", START)]
    twin = Message(shared.topic, b"d2", shared.headers, shared.value)
    second = [registered("late", START - timedelta(hours=1)), twin, ahead, plain[7], plain[7]]
    second += [reading("d1", "m8", START + timedelta(seconds=8), 31.0), reading("d2", "new", START)]
    second += [reading("late", "early", START)]
    return [first, second]


def _run(settings: Settings) -> Run:
    return Run(settings, known_models(settings), "test", datetime.now(UTC))


def _differing(one: Settings, other: Settings) -> list[str]:
    """The tables of silver whose rows two lakes do not share."""
    tables = (*silver_tables(known_models(one).values()), "silver.devices", "silver.sites", SILVER_REJECTED.name)
    return [name for name in tables if _differences(one, other, name)]


def _differences(one: Settings, other: Settings, table: str) -> int:
    """Rows of a table that only one of two lakes has."""
    with connect(one) as connection:
        versions = [version_of(lake, table) for lake in (one, other)]
        if versions == [None, None]:
            return 0
        left, right = (
            f"FROM {scan(table_uri(lake, table), version or 0)}"
            for lake, version in zip((one, other), versions, strict=True)
        )
        both = f"SELECT count(*) FROM ((({left}) EXCEPT ALL ({right})) UNION ALL (({right}) EXCEPT ALL ({left})))"
        found: int = connection.sql(both).fetchall()[0][0]
    return found
