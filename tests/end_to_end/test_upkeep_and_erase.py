"""`lakehouse upkeep` and `lakehouse erase` on a small real lake: what must go is gone, and nothing else has moved."""

import json
import os
import signal
import subprocess
import sys
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

from pyspark.sql import SparkSession

from lake.models.catalog import known_models
from lake.records import erasures
from lake.records.publications import get, newest
from lake.storage.applications import App
from lake.storage.duckdb_connection import connect, scan
from lake.storage.lake_files import LakeFiles
from lake.storage.locations import table_uri
from lake.storage.spark_commits import progress_of
from lake.tables.bronze import BRONZE_TELEMETRY
from lake.tables.gold import GOLD_TABLES, SITE_DAYS
from lake.tables.silver import SILVER_REJECTED
from pipeline.erasure.mentions import Mentions
from pipeline.erasure.removal import scan_files
from pipeline.gold.gold_refresh import refresh_gold
from pipeline.gold.stale import stale_slices
from pipeline.proof.verification import verify
from pipeline.run import Run
from runtime.settings import Settings
from tests.end_to_end.lakehouse import COMMAND, lakehouse
from tests.support.landing import reading, registered, run_tick, send

START = (datetime.now(UTC) - timedelta(days=2)).replace(hour=9, minute=0, second=0, microsecond=0)
NEXT = START + timedelta(days=1)
ERASED, NEIGHBOUR, LONGER = "t-1", "t-2", "t-1-b"
ASKED = ("erase", ERASED, "--why", f"{ERASED} was sold", "--by", "ada", "--yes")


def publish(settings: Settings, spark: SparkSession) -> None:
    run_tick(spark, settings)
    refresh_gold(Run(settings, known_models(settings), "test", datetime.now(UTC)))


def published(settings: Settings, where: str = "true", number: int | None = None) -> dict[str, list[Any]]:
    """The rows of every gold table of a publication, by default the newest; `where` is for tables of devices."""
    publication = newest(settings) if number is None else get(settings, number)
    assert publication is not None
    with connect(settings) as connection:
        return {
            table.name: connection.sql(
                f"FROM {scan(table_uri(settings, table.name), publication.tables[table.name])}"
                f" WHERE {where if 'device_id' in table.column_names else 'true'} ORDER BY ALL"
            ).fetchall()
            for table in GOLD_TABLES
        }


def naming(settings: Settings) -> list[str]:
    found = scan_files(settings, Mentions(ERASED))["naming"]
    assert isinstance(found, list)
    return found


def kill_at(settings: Settings, step: str) -> None:
    """Run the erasure, and kill it with SIGKILL as soon as it says that it begins a step."""
    process = subprocess.Popen(
        [sys.executable, "-c", COMMAND, *ASKED], env={**os.environ, **settings.child_environment()},
        stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert process.stderr is not None
    with process:
        said = next((line for line in process.stderr if step in line), None)
        process.send_signal(signal.SIGKILL)
    assert said is not None, f"it ended with {process.returncode} and never came to {step!r}"


def test_upkeep_keeps_what_is_pinned_and_erasure_keeps_nothing(settings: Settings, spark: SparkSession) -> None:
    """Upkeep moves no figure of the kept publication; erasure leaves no byte that names the device, and all others'."""
    assert settings.kafka_bootstrap is not None
    messages = [registered(device, START) for device in (ERASED, NEIGHBOUR, LONGER)]
    for at in (start + timedelta(minutes=minute) for start in (START, NEXT) for minute in range(0, 60, 5)):
        messages += [reading(device, f"{device}-{at:%d-%M}", at, 21.5) for device in (ERASED, NEIGHBOUR, LONGER)]
    messages.append(reading(ERASED, "broken", START, b'{"of":"t-1"'))
    send(settings.kafka_bootstrap, messages)
    publish(settings, spark)
    send(settings.kafka_bootstrap, [reading(NEIGHBOUR, "late", START + timedelta(minutes=7), 25.0)])
    publish(settings, spark)

    # upkeep
    before = published(settings)
    at_once = replace(settings, keep_publications_days=0, keep_files_hours=0)
    lying = LakeFiles(settings).under()
    plan = json.loads(lakehouse(at_once, "upkeep", "--dry-run", "--json").output)
    assert LakeFiles(settings).under() == lying
    done = json.loads(lakehouse(at_once, "upkeep", "--json").output)
    assert done == plan | {"dry_run": False}
    assert done["expired_publications"] == [1]
    assert done["tables"]["silver.thermostats"]["compacted_files"] == 2
    assert done["tables"]["gold.device_minutes"]["deleted_files"] > 0
    assert published(settings, number=2) == before
    assert stale_slices(settings, known_models(settings)).hours == {}
    again = json.loads(lakehouse(at_once, "upkeep", "--dry-run", "--json").output)
    assert again["tables"]["silver.thermostats"]["compacted_files"] == 0

    # erasure, killed half way, while an hour is held that was published with the device in it
    impossible = [reading(NEIGHBOUR, f"impossible-{n}", NEXT + timedelta(minutes=n), 999.0) for n in range(30)]
    send(settings.kafka_bootstrap, impossible)
    assert naming(settings)
    others = published(settings, f"device_id <> '{ERASED}'")
    kill_at(settings, "old files of gold.device_hours")
    seen = published(settings)
    assert seen == published(settings, f"device_id <> '{ERASED}'")
    assert naming(settings)
    said = lakehouse(settings, *ASKED)

    assert naming(settings) == []
    after = published(settings)
    assert after == seen
    assert {name: found for name, found in after.items() if name != SITE_DAYS.name} == {
        name: found for name, found in others.items() if name != SITE_DAYS.name
    }
    assert counted(after) == {START.date(): (2, 25), NEXT.date(): (3, 36)}
    assert stale_slices(settings, known_models(settings)).hours == {}
    check_certificate(settings, said.output)
    refused = lakehouse(settings, "sql", "--as-of", "2", "SELECT 1", exit_codes=[2])
    assert "can no longer be read" in refused.errors
    assert erasures.list_all(settings)[0].path in refused.errors

    # what is published is what bronze gives now
    publication = newest(settings)
    assert publication is not None
    result = verify(spark, settings, known_models(settings), publication, code_version=publication.code_version)
    assert result.is_same, result

    # the line goes on where it was
    assert progress_of(settings, BRONZE_TELEMETRY.name, App.INGEST) == progress_of(
        settings, SILVER_REJECTED.name, App.TELEMETRY
    )
    send(settings.kafka_bootstrap, [reading(NEIGHBOUR, "next", START + timedelta(minutes=8), 25.0)])
    publish(settings, spark)
    assert counted(published(settings))[START.date()] == (2, 26)
    assert "certifies its erasure" in lakehouse(settings, *ASKED, exit_codes=[2]).errors
    planted = Path(settings.lake_uri) / "gold" / "device_hours" / "note.txt"
    planted.write_text(f"seen at {ERASED}.")
    assert naming(settings) == ["gold/device_hours/note.txt"]


def counted(gold: dict[str, list[Any]]) -> dict[date, tuple[int, int]]:
    """Devices and readings of each day's temperature."""
    named = [dict(zip(SITE_DAYS.column_names, row, strict=True)) for row in gold[SITE_DAYS.name]]
    return {row["day_date"]: (row["device_count"], row["reading_count"]) for row in named}


def check_certificate(settings: Settings, said: str) -> None:
    """It lists what was done, and the command says where it lies and what Kafka still has."""
    (erasure,) = erasures.list_all(settings)
    assert erasure.is_of(ERASED)
    assert erasure.finished_at is not None
    assert (erasure.who, erasure.why, erasure.publication, erasure.withdrawn) == ("ada", "[erased] was sold", 4, [2, 3])
    assert erasure.tables["bronze.telemetry"]["rows_removed"] == 25
    assert erasure.tables["silver.thermostats"]["rows_removed"] == 24
    assert erasure.tables["silver.rejected"]["rows_removed"] == 1
    assert erasure.tables["silver.devices"]["rows_removed"] == 1
    assert {f"{START:%Y-%m-%dT%H}", f"{START:%Y-%m-%d}"} <= set(erasure.slices)
    assert erasure.not_rebuilt == [f"{NEXT:%Y-%m-%d}"]
    lying = {file.path for file in LakeFiles(settings).under()}
    assert all(len(entry["sha256"]) == 64 and entry["path"] not in lying for entry in erasure.files)
    assert {entry["path"].split("/")[0] for entry in erasure.files} == {"bronze", "silver", "gold", "ops"}
    assert erasure.path in said
    assert "Kafka still has" in said
