"""How eagerly JVMs compile: programs with little to do, and how much a broker has that does not run."""

from dataclasses import replace
from pathlib import Path

from runtime.java import compilers
from runtime.kafka.broker import stored_bytes
from runtime.settings import Settings
from runtime.spark.spark_configuration import spark_configuration


def test_only_a_brief_spark_does_without_the_optimising_compiler(tmp_path: Path) -> None:
    """The option stands among the JVM's where the settings say so, and nowhere else."""
    settings = Settings(home=tmp_path, lake_uri=str(tmp_path / "lake"))
    brief = replace(settings, is_brief=True)
    assert compilers.options(settings) == []
    options = [spark_configuration(each, [], 1)["spark.driver.extraJavaOptions"].split() for each in (settings, brief)]
    assert [[o for o in each if "TieredStop" in o] for each in options] == [[], ["-XX:TieredStopAtLevel=1"]]


def test_what_a_broker_has_of_a_topic_is_known_while_it_does_not_run(tmp_path: Path) -> None:
    """All logs of the topic's partitions count and no others; of a broker elsewhere nothing is known."""
    settings = Settings(home=tmp_path, lake_uri=str(tmp_path / "lake"))
    assert stored_bytes(settings, "telemetry") == 0
    for name, size in (
        ("telemetry-0/0.log", 3),
        ("telemetry-1/0.log", 4),
        ("telemetry-1/0.index", 9),
        ("lifecycle-0/0.log", 9),
    ):
        path = tmp_path / "kafka" / "data" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(bytes(size))
    assert stored_bytes(settings, "telemetry") == 7
    assert stored_bytes(replace(settings, kafka_bootstrap="kafka:9092"), "telemetry") is None
