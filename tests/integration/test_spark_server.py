"""The embedded Spark Connect server, on the real Spark."""

import datetime
import threading
from pathlib import Path

import pytest
from confluent_kafka import Producer
from pyspark.errors import PySparkException
from pyspark.sql import SparkSession

from ingestion.landing_topics import TELEMETRY
from runtime import processes
from runtime.errors import PlatformError
from runtime.process_family import ask_each, command_line, family
from runtime.settings import Settings
from runtime.spark.connect_server import connect, running_spark
from runtime.spark.spark_configuration import NAME


def test_delta_table_is_written_and_read_at_a_version(spark: SparkSession, tmp_path: Path) -> None:
    """Delta works in the embedded Spark: an old version still answers after an overwrite."""
    path = str(tmp_path / "numbers")
    spark.range(3).write.format("delta").save(path)
    spark.range(5).write.format("delta").mode("overwrite").save(path)
    assert spark.read.format("delta").load(path).count() == 5
    assert spark.read.format("delta").option("versionAsOf", 0).load(path).count() == 3


def test_kafka_is_read_with_headers(spark: SparkSession, settings: Settings) -> None:
    """The Kafka connector works in the embedded Spark, headers and bytes as they were sent."""
    producer = Producer({"bootstrap.servers": str(settings.kafka_bootstrap)})
    producer.produce(TELEMETRY, b"\x00\xff", key=b"device-1", headers=[("ce_id", b"1")])
    assert producer.flush(120) == 0
    rows = (
        spark.read.format("kafka")
        .option("kafka.bootstrap.servers", str(settings.kafka_bootstrap))
        .option("subscribe", TELEMETRY)
        .option("includeHeaders", "true")
        .load()
        .collect()
    )
    assert [(bytes(row.key), bytes(row.value), row.headers[0].key) for row in rows] == [
        (b"device-1", b"\x00\xff", "ce_id")
    ]


def test_session_is_in_utc(spark: SparkSession) -> None:
    """Text without a zone is UTC for Spark, whatever the zone of the machine."""
    seconds = spark.sql("select unix_seconds(timestamp'2026-11-20 05:00:00')").collect()[0][0]
    assert datetime.datetime.fromtimestamp(seconds, datetime.UTC).hour == 5


def test_python_functions_run_in_this_interpreter(spark: SparkSession) -> None:
    """Rows go through a Python worker of the same environment."""
    doubled = spark.range(3).mapInPandas(lambda frames: (frame * 2 for frame in frames), "id long")
    assert sorted(row.id for row in doubled.collect()) == [0, 2, 4]


def test_error_is_its_message_without_the_stack_of_the_server(spark: SparkSession) -> None:
    """What a user may come to see of a failing query has no lines of a Java stack."""
    with pytest.raises(PySparkException) as caught:
        spark.sql("select raise_error('on purpose')").collect()
    assert "on purpose" in str(caught.value)
    assert "\tat " not in str(caught.value)


def test_two_starts_at_once_give_one_server(tmp_path: Path) -> None:
    """Two commands that need Spark in the same moment share one process, which ends with the second of them."""
    home = Settings(home=tmp_path, lake_uri=str(tmp_path / "lake"), spark="local[1]", spark_memory="1g")
    both_in = threading.Barrier(2, timeout=300)
    addresses: list[str] = []

    def use() -> None:
        with running_spark(home) as address:
            addresses.append(address)
            both_in.wait()

    users = [threading.Thread(target=use) for _ in range(2)]
    for user in users:
        user.start()
    for user in users:
        user.join()
    assert len(addresses) == 2
    assert len(set(addresses)) == 1
    assert processes.find(home, NAME) is None


def test_silent_server_is_named() -> None:
    """An address where no server answers is an error that names it."""
    with pytest.raises(PlatformError, match=r"does not answer at sc://127\.0\.0\.1:9"):
        connect("sc://127.0.0.1:9")


def test_who_has_no_key_runs_nothing(tmp_path: Path) -> None:
    """Another user of the machine reaches the port and is refused; the key stands in no argument or setting."""
    home = Settings(home=tmp_path / "home", lake_uri=str(tmp_path / "lake"), spark="local[1]", spark_memory="1g")
    with running_spark(home) as address:
        server, _, key = address.partition("/;token=")
        assert len(key) >= 43
        session = connect(address)
        assert session.range(3).count() == 3
        session.stop()
        for wrong in ("", "/;token=wrong"):
            with pytest.raises((PlatformError, PySparkException), match=r"(?i)authenticat|no session"):
                connect(server + wrong).range(3).count()
        record = processes.find(home, NAME)
        assert record is not None
        assert key not in record.address
        commands = ask_each(family(record.pid), command_line).values()
        assert any("SparkConnect" in command for command in commands)
        assert not [command for command in commands if key in command]
    kept = [path for path in home.home.rglob("*") if path.is_file() and key.encode() in path.read_bytes()]
    assert kept == [home.home / "keys" / NAME]
