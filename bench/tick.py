"""Tick: five minutes of a thousand devices, on a lake with few and with many commits behind it.

Belongs here: making commits, and timing the ticks after them. The goal is that their number does not matter. The
commits between are made by delta-rs, each a row again in the tables that a tick writes: a thousand ticks would take
hours.
"""

import json
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pyarrow as pa
from deltalake import CommitProperties, write_deltalake

from bench.harness import DifferenceError, Result, Times
from device_sim.producer import MessageProducer
from ingestion.landing_topics import ensure_topics
from lake.models.catalog import known_models
from lake.storage.delta import HOOKS, WRITER, open_table
from lake.storage.duckdb_connection import connect as connect_duckdb
from lake.storage.duckdb_connection import scan
from lake.storage.locations import table_uri
from pipeline.run import Run
from pipeline.silver.tick import tick
from runtime.kafka.broker import running_broker
from runtime.settings import Settings
from runtime.spark.connect_server import connect, running_spark
from wire.envelope import REGISTERED, TelemetryEnvelope, lifecycle_message, rfc3339

_DEVICES = 1000
_MINUTES = 5
_COUNTED = 5
_WRITTEN = ("bronze.telemetry", "silver.thermostats", "silver.rejected")


def run(folder: Path, is_quick: bool) -> list[Result]:
    """After 10, 100 and 1,000 commits; quick after 10 and 40, fewer times."""
    settings = Settings(home=folder / "home", lake_uri=str(folder / "home" / "lake"))
    models = known_models(settings)
    start = datetime.now(UTC).replace(minute=0, second=0, microsecond=0) - timedelta(days=2)
    counted = 2 if is_quick else _COUNTED
    sides: list[Times] = []
    with running_broker(settings) as bootstrap, running_spark(settings) as address:
        ensure_topics(bootstrap)
        spark, producer = connect(address), MessageProducer(bootstrap)
        envelopes = [TelemetryEnvelope(f"d-{number}") for number in range(_DEVICES)]
        for number in range(_DEVICES):
            attributes = {"model_id": "dtmi:lakehouse:thermostat;1", "site_id": "north"}
            producer.send(lifecycle_message(f"d-{number}", f"r-{number}", REGISTERED, rfc3339(start), attributes))
        done = 0

        def one_tick() -> float:
            nonlocal done
            for minute in range(_MINUTES):
                moment = rfc3339(start + timedelta(minutes=_MINUTES * done + minute))
                for envelope in envelopes:
                    producer.send(envelope.message(f"{done}-{minute}", moment, b'{"temperature":21.5}'))
            producer.flush()
            began = time.perf_counter()
            report = tick(lambda: spark, Run(settings, models, "bench", datetime.now(UTC)), bootstrap)
            seconds = time.perf_counter() - began
            done += 1
            if report.rows != {"silver.thermostats": _DEVICES * _MINUTES} or report.rejected:
                raise DifferenceError(f"a tick of {_DEVICES * _MINUTES} readings came to {report}")
            return seconds

        for _ in range(3):
            one_tick()
        for level, commits in enumerate((10, 40) if is_quick else (10, 100, 1000), 1):
            # the next hour: the rows between are in the first one, as those of a thousand ticks are in many
            done = level * 60 // _MINUTES
            for table in _WRITTEN:
                _add_commits(settings, table, commits - counted)
            one_tick()
            sides.append(Times(f"after {commits} commits", tuple(one_tick() for _ in range(counted))))
    goal = "at 1,000 commits within 1.2 times that at 10; under 5 s"
    return [
        Result("tick", "a tick of 1,000 devices", _DEVICES * _MINUTES, "messages", tuple(sides), goal, is_alone=True)
    ]


def _add_commits(settings: Settings, table: str, until: int) -> None:
    """Commits of a row that is there already, or of none, with the metadata of the newest tick."""
    opened, uri = open_table(settings, table), table_uri(settings, table)
    if opened is None or opened.version() >= until:
        return
    metadata = json.loads(opened.history(1)[0]["userMetadata"]) | {"step": "bench", "slices": []}
    with connect_duckdb(settings) as connection:
        row: pa.Table = connection.sql(f"FROM {scan(uri, opened.version())} LIMIT 1").to_arrow_table()
    properties = CommitProperties(custom_metadata={"userMetadata": json.dumps(metadata)})
    for _ in range(opened.version(), until):
        write_deltalake(
            opened, row, mode="append", writer_properties=WRITER, commit_properties=properties,
            post_commithook_properties=HOOKS,
        )  # fmt: skip
