"""Ingest: a full topic to bronze and silver, with every guarantee, beside a script by hand and DuckDB on bare JSON.

Belongs here: filling the topic, and the sides. The limit has no Kafka, no keys and one table: it only parses.
"""

import shutil
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import duckdb
import polars as pl

from bench import by_hand
from bench.harness import Result, Side, take_turns
from device_sim.faults import Delayed, Faults
from device_sim.simulation import SimulationOptions, plan, simulate
from ingestion.landing_topics import ensure_topics
from lake.models.catalog import known_models
from pipeline.run import Run
from pipeline.silver.tick import tick
from runtime.kafka.broker import running_broker
from runtime.settings import Settings
from runtime.spark.connect_server import connect, running_spark

_HOURS = 31
_A_DEVICE = 32  # messages an hour, over three models, about
_FAULTS = Faults(repeated=Delayed(0.01), corrupt={"truncated": 0.001})


def run(folder: Path, is_quick: bool) -> list[Result]:
    """5 million messages and 5 rounds, of which the script takes 2; quick 100,000 and 1.

    Each begins without a lake and makes its tables too.
    """
    settings = Settings(home=folder / "home", lake_uri=str(folder / "home" / "lake"))
    devices = (100_000 if is_quick else 5_000_000) // _HOURS // _A_DEVICE
    start = datetime.now(UTC).replace(minute=0, second=0, microsecond=0) - timedelta(hours=_HOURS + 6)
    options = SimulationOptions(start, devices, _HOURS, faults=_FAULTS)
    with running_broker(settings) as bootstrap, running_spark(settings) as address:
        ensure_topics(bootstrap)
        sent = simulate(settings, bootstrap, options)
        models = known_models(settings)
        fleet = plan(settings, options, datetime.now(UTC)).fleet
        model_of = pl.DataFrame([(d.device_id, d.model.model_id) for d in fleet], ["key", "model_id"], orient="row")
        lines = folder / "payloads.json"
        payloads = by_hand.read_topic(bootstrap, "telemetry")["value"].cast(pl.String, strict=False)
        lines.write_text("\n".join(text for text in payloads if text and text.endswith("}")))
        spark = connect(address)
        lake = folder / "lake"

        readings: dict[str, int] = {}

        def ours() -> None:
            place = replace(settings, home=lake, lake_uri=str(lake))
            readings.update(tick(spark, Run(place, models, "bench", datetime.now(UTC)), bootstrap).rows)

        def script() -> None:
            readings.update(by_hand.ingest(bootstrap, lake, models, model_of))

        def limit() -> None:
            duckdb.sql(f"COPY (FROM read_json('{lines}', format = 'newline_delimited')) TO '{lake}.parquet'")

        def emptied() -> None:
            shutil.rmtree(lake, ignore_errors=True)
            readings.clear()

        def counts() -> object:
            return sorted(readings.items())

        sides = [
            Side("lakehouse", ours, emptied, counts),
            Side("script by hand", script, emptied, counts, rounds=2),
            Side("DuckDB, bare", limit),
        ]
        times = take_turns(sides, 1 if is_quick else 5)
    count = sum(sent.fates.values())
    goal = "twice the script's messages a second, a fifth of the limit"
    return [Result("ingest", "Kafka to bronze and silver (the script in two rounds)", count, "messages", times, goal)]
