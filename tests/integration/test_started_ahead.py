"""Kafka and Spark that are started before a run asks for them, on the real ones."""

import sys
import time
from pathlib import Path

import psutil

from dagster_project.runs.started_ahead import started_ahead
from runtime.kafka.broker import running_broker
from runtime.process_family import ask_each, command_line, family
from runtime.processes import running_processes
from runtime.settings import Settings
from runtime.spark.connect_server import running_spark, spark_on_demand
from tests.support.awaiting import awaited

_QUICK = "-XX:TieredStopAtLevel=1"


def _running(home: Settings) -> dict[str, int]:
    return {record.name: record.pid for record in running_processes(home)}


def _have_begun(home: Settings) -> bool:
    """Both JVMs are there, whether they answer or not; who asks before that may be the one that starts them."""
    commands = ask_each(family(), command_line).values()
    return all(
        any(name in each and str(home.home) in each for each in commands) for name in ("kafka.Kafka", "SparkConnect")
    )


def test_both_start_together_are_what_the_block_finds_and_end_with_it(tmp_path: Path) -> None:
    """Spark has begun before Kafka answers, neither to be optimised, as nothing waits to be read; who asks gets these
    two, which outlive his asking and not the block."""
    home = Settings(home=tmp_path, lake_uri=str(tmp_path / "lake"), spark="local[2]", ingest_engine="spark")
    with started_ahead(home, ["pipeline.gate.validation"]):
        assert "pipeline.gate.validation" in sys.modules
        awaited(lambda: _have_begun(home), lambda: "they have not begun", limit_s=60)
        with running_broker(home):
            answered_at = time.time()
            with running_spark(home):
                asked = _running(home)
        assert asked.keys() == {"broker", "spark"}
        assert psutil.Process(asked["spark"]).create_time() < answered_at
        assert all(_QUICK in psutil.Process(pid).cmdline() for pid in asked.values())
        assert _running(home) == asked
        with started_ahead(home):  # as another command's
            pass
        assert _running(home) == asked
    assert _running(home) == {}


def test_spark_is_not_started_for_little(tmp_path: Path) -> None:
    """With less on the broker than a run reads by itself, Kafka alone is started; who asks for Spark still gets it."""
    home = Settings(home=tmp_path, lake_uri=str(tmp_path / "lake"), spark="local[1]", spark_memory="1g")
    said: list[str] = []
    with started_ahead(home), running_broker(home), spark_on_demand(home, said.append) as spark:
        assert _running(home).keys() == {"broker"}
        assert not said
        assert spark().range(3).count() == 3
        assert spark() is spark()
        assert said == ["Spark"]
        assert _running(home).keys() == {"broker", "spark"}
    assert _running(home) == {}
