"""Cluster: what judging a tick costs on Spark's executors beside this machine's DuckDB, in seconds of processor time.

Belongs here: the same bronze judged by both engines in turn, and the processor time of all that works for it: this
process, Spark, and the Pythons of its tasks. Both have the same cores here, so time by the clock would say little.
"""

import shutil
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import psutil
from pyspark.sql import SparkSession

from bench.harness import DifferenceError, Result, Times
from bench.made import SteadyFleet, fill_bronze
from lake.models.catalog import known_models
from lake.storage.delta import require_table
from lake.storage.duckdb_connection import connect as connect_duckdb
from lake.storage.duckdb_connection import scan
from lake.storage.locations import table_uri
from pipeline.run import Run
from pipeline.silver.tick import fill_silver
from runtime import processes
from runtime.process_family import ask_each, family
from runtime.settings import Settings
from runtime.spark.connect_server import connect, running_spark
from runtime.spark.spark_configuration import NAME

_ENGINES = ("here", "spark")
_ROUNDS = 3


def run(folder: Path, is_quick: bool) -> list[Result]:
    """A tick of 2.16 million readings, three rounds after one that is not counted; quick one of 86,400."""
    settings = Settings(home=folder / "home", lake_uri=str(folder / "bronze"))
    start = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0) - timedelta(days=2)
    fleet = SteadyFleet(start, 240 if is_quick else 3000, 10)
    used: dict[str, list[float]] = {engine: [] for engine in _ENGINES}
    with running_spark(settings) as address:
        spark = connect(address)
        count = fill_bronze(spark, settings, fleet, 0, 1 if is_quick else 2)
        for number in range(2 if is_quick else _ROUNDS + 1):
            answers = set()
            for engine in _ENGINES:
                seconds, answer = _judged(spark, settings, engine)
                answers.add(answer)
                if number:
                    used[engine].append(seconds)
            if len(answers) > 1:
                raise DifferenceError(f"the engines differ: {answers}")
    sides = tuple(Times(engine, tuple(seconds)) for engine, seconds in used.items())
    goal = "`spark` within 1.3 times the processor time of `here`"
    return [Result("cluster", "processor time of judging a tick", count, "readings", sides, goal, is_alone=True)]


def _judged(spark: SparkSession, settings: Settings, engine: str) -> tuple[float, object]:
    """Processor time that a tick takes an engine, on a copy of the lake, and what it came to."""
    lake = Path(settings.lake_uri).with_name(engine)
    shutil.copytree(settings.lake_uri, lake)
    ours = replace(settings, engine=engine, lake_uri=str(lake))
    began = _used_s(settings)
    fill_silver(lambda: spark, Run(ours, known_models(ours), "bench", datetime.now(UTC)))
    seconds = _used_s(settings) - began
    version = require_table(ours, "silver.thermostats").version()
    with connect_duckdb(ours) as connection:
        rows = scan(table_uri(ours, "silver.thermostats"), version)
        answer = connection.sql(f"SELECT count(*), bit_xor(hash(t)) FROM {rows} t").fetchall()[0]
    shutil.rmtree(lake)
    return seconds, answer


def _used_s(settings: Settings) -> float:
    """Processor time of this process and of all that belongs to Spark, until now."""
    server = processes.find(settings, NAME)
    assert server is not None
    times = ask_each(family(server.pid), psutil.Process.cpu_times).values()
    own = psutil.Process().cpu_times()
    return own.user + own.system + sum(t.user + t.system + t.children_user + t.children_system for t in times)
