"""The line through Dagster, on a real broker, Spark, dbt and gate: what each run tells of each slice."""

import json
import os
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import Producer
from dagster import AssetCheckKey, AssetKey, DagsterInstance, DagsterRunStatus
from dagster._core.storage.partition_status_cache import get_and_update_asset_status_cache_value

from dagster_project.asset_checks import GATE
from dagster_project.partitions import Calendar
from dagster_project.runs.instance import open_instance
from lake.records.publications import newest
from lake.storage.duckdb_connection import connect, scan
from lake.storage.locations import table_uri
from lakehouse.cli.main import run
from runtime.settings import Settings
from wire.envelope import REGISTERED, TelemetryEnvelope, lifecycle_message, rfc3339

GOOD, BAD = "2026-11-20T05", "2026-11-20T06"
HOURS = Calendar("2026-11-20").hours
START = datetime(2026, 11, 20, 5, tzinfo=UTC)
PROJECT = Path(__file__).resolve().parents[2]


@pytest.fixture
def lakehouse(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """A lakehouse that the command line finds, with an hour of good readings and one of which a third is rubbish."""
    monkeypatch.setenv("LAKEHOUSE_HOME", str(settings.home))
    monkeypatch.setenv("LAKEHOUSE_KAFKA_BOOTSTRAP", settings.kafka_bootstrap or "")
    monkeypatch.setenv("LAKEHOUSE_SPARK", settings.spark)
    attributes = {"model_id": "dtmi:lakehouse:thermostat;1", "site_id": "s1"}
    messages = [lifecycle_message("t-1", "r1", REGISTERED, rfc3339(START), attributes)]
    envelope = TelemetryEnvelope("t-1")
    for minute in range(80):
        at = rfc3339(START + timedelta(minutes=minute))
        messages.append(envelope.message(f"m{minute}", at, b'{"temperature":21.5,"humidity":40.5}'))
    for number in range(10):
        messages.append(envelope.message(f"b{number}", rfc3339(START + timedelta(minutes=70)), b"rubbish"))
    producer = Producer({"bootstrap.servers": settings.kafka_bootstrap})
    for message in messages:
        producer.produce(message.topic, message.value, message.key, headers=list(message.headers))
    producer.flush()
    return settings


def answer(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, Any]:
    """Exit code and JSON of a command."""
    capsys.readouterr()
    code = run([*arguments, "--json"])
    return code, json.loads(capsys.readouterr().out)


def rows(settings: Settings) -> dict[str, list[Any]]:
    """Silver as it is and gold as it is published, without what a rebuild may change: the order."""
    publication = newest(settings)
    assert publication is not None
    tables = {**publication.inputs, **publication.tables}
    with connect(settings) as connection:
        return {
            table: connection.sql(f"SELECT * FROM {scan(table_uri(settings, table), version)} ORDER BY ALL").fetchall()
            for table, version in tables.items()
        }


def gate_results(instance: DagsterInstance, path: list[str]) -> dict[str | None, str]:
    """The newest result of the gate for each partition of an asset."""
    check = AssetCheckKey(AssetKey(path), GATE)
    history = instance.event_log_storage.get_asset_check_execution_history(check, limit=100)
    return {record.partition: record.status.value for record in reversed(history)}


def partitions(instance: DagsterInstance, path: list[str]) -> tuple[set[str], set[str]]:
    """Materialized and failed partitions, as the UI shows them."""
    status = get_and_update_asset_status_cache_value(instance, AssetKey(path), HOURS)
    assert status is not None
    return (
        set(status.deserialize_materialized_partition_subsets(HOURS).get_partition_keys()),
        set(status.deserialize_failed_partition_subsets(HOURS).get_partition_keys()),
    )


def test_one_run_tells_its_slices_apart(lakehouse: Settings, capsys: pytest.CaptureFixture[str]) -> None:
    """Of the hours of a run the good one is published and the bad one held, in the exit code, the lake and Dagster; a
    backfill of both says the same, fails where it is held, and leaves every row as it was."""
    code, done = answer(capsys, "refresh")
    assert code == 3
    assert done["ingested"] == {"telemetry": 90, "lifecycle": 1}
    assert done["rejected"] == {"not_json": 10}
    assert {each["slice"] for each in done["held"]} == {BAD}
    assert GOOD in done["published"]
    assert BAD not in done["published"]
    with open_instance(lakehouse) as instance:
        assert instance.get_runs(limit=1)[0].status is DagsterRunStatus.SUCCESS
        for table in ("device_minutes", "device_hours", "device_completeness"):
            assert partitions(instance, ["gold", table]) == ({GOOD}, set())
            assert partitions(instance, ["candidate", table])[0] == {GOOD}
        assert partitions(instance, ["silver", "thermostats"]) == ({GOOD, BAD}, set())
        assert gate_results(instance, ["silver", "thermostats"]) == {GOOD: "SUCCEEDED", BAD: "FAILED"}
        assert gate_results(instance, ["gold", "device_hours"]) == {GOOD: "SUCCEEDED"}
        assert gate_results(instance, ["gold", "devices"]) == {None: "SUCCEEDED"}
        event = instance.get_latest_materialization_event(AssetKey(["gold", "device_minutes"]))
        assert event is not None
        assert event.asset_materialization is not None
        metadata = event.asset_materialization.metadata
        assert metadata["rows"].value == 120  # 60 minutes, 2 metrics
        assert metadata["publication"].value == "1"

    before = rows(lakehouse)
    code, done = answer(capsys, "backfill", "--from", GOOD, "--to", BAD)
    assert code == 3
    assert done[0]["rows"] == {"silver.thermostats": 80}
    assert GOOD in done[0]["published"]
    assert rows(lakehouse) == before
    with open_instance(lakehouse) as instance:
        newest_run = instance.get_runs(limit=1)[0]
        assert (newest_run.job_name, newest_run.status) == ("backfill", DagsterRunStatus.FAILURE)
        for table in ("device_minutes", "device_hours", "device_completeness"):
            assert partitions(instance, ["gold", table]) == ({GOOD}, {BAD})
        assert gate_results(instance, ["silver", "thermostats"]) == {GOOD: "SUCCEEDED", BAD: "FAILED"}

    code, done = answer(capsys, "backfill", "--from", GOOD, "--to", GOOD, "--layer", "gold")
    assert done[0]["rows"] == {}
    assert GOOD in done[0]["published"]
    assert rows(lakehouse) == before


def test_dagster_finds_the_definitions_with_no_environment(tmp_path: Path) -> None:
    """In a folder of its own, with no variables, no broker and no Spark; and nothing is written there."""
    script = "from dagster_project.definitions import defs; print(len(defs.load_fn().resolve_all_asset_keys()))"
    plain = {"PATH": os.environ["PATH"], "PYTHONPATH": str(PROJECT), "HOME": str(tmp_path)}
    done = subprocess.run([sys.executable, "-c", script], cwd=tmp_path, env=plain, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) > 20
    assert list(tmp_path.iterdir()) == []
