"""Ingest: a full topic to bronze and silver, with every guarantee, beside a script by hand and DuckDB on bare JSON.

Belongs here: filling the topic, and the sides. The limit has no Kafka, no keys and one table: it only parses.
"""

import shutil
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path

import duckdb
import polars as pl

from bench import by_hand
from bench.harness import DifferenceError, Result, Side, take_turns
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
_REPEATED = 0.01
_FAULTS = Faults(repeated=Delayed(_REPEATED), corrupt={"truncated": 0.001})


def run(folder: Path, is_quick: bool) -> list[Result]:
    """5 million messages and 5 rounds, of which the scripts take 3; quick 100,000 and 1.

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

        readings_of_ours: dict[str, int] = {}

        def ours() -> None:
            place = replace(settings, home=lake, lake_uri=str(lake))
            readings_of_ours.update(tick(lambda: spark, Run(place, models, "bench", datetime.now(UTC)), bootstrap).rows)

        def script(work: Callable[..., Counter[str]]) -> None:
            check_repeats(readings_of_ours, work(bootstrap, lake, models, model_of))

        def limit() -> None:
            duckdb.sql(f"COPY (FROM read_json('{lines}', format = 'newline_delimited')) TO '{lake}.parquet'")

        def emptied() -> None:
            shutil.rmtree(lake, ignore_errors=True)

        sides = [
            Side("lakehouse", ours, emptied),
            Side("script by hand", partial(script, by_hand.ingest), emptied, rounds=3),
            Side("two scripts by hand", partial(script, by_hand.ingest_by_two), emptied, rounds=3),
            Side("DuckDB, bare", limit),
        ]
        times = take_turns(sides, 1 if is_quick else 5)
    count = sum(sent.fates.values())
    goal = "twice two scripts' messages a second, a fifth of the limit"
    return [
        Result("ingest", "Kafka to bronze and silver (the scripts in three rounds)", count, "messages", times, goal)
    ]


def check_repeats(ours: Mapping[str, int], theirs: Mapping[str, int]) -> None:
    """A script finds the repeats within a chunk only: it has all of our readings and few more. Raises
    DifferenceError."""
    for table, count in ours.items():
        if not count <= theirs.get(table, 0) <= count * (1 + 2 * _REPEATED):
            raise DifferenceError(f"the script has {theirs.get(table)} readings in {table}, the lakehouse {count}")
