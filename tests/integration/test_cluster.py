"""Bronze on a cluster's executors: a master, a worker without the driver's variables, a lake on S3."""

import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from ingestion.landing_topics import ensure_topics
from runtime.errors import PlatformError
from runtime.settings import Settings
from runtime.spark.connect_server import connect, running_spark
from tests.conftest import empty_topics
from tests.support.landing import reading, registered, rows, run_tick, send
from tests.support.s3server import ACCESS_KEY, SECRET_KEY, running_s3_server
from tests.support.spark_cluster import running_master, running_worker

AT = datetime(2025, 3, 1, tzinfo=UTC)


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory, broker: str) -> Iterator[Settings]:
    """A lakehouse on S3 whose Spark is a master without a worker yet."""
    folder = tmp_path_factory.mktemp("cluster")
    empty_topics(broker)
    with running_s3_server(folder) as server, running_master(folder / "master") as master:
        settings = server.settings(folder / "home", "cluster-bucket")
        yield replace(
            settings, spark=master, kafka_bootstrap=broker, spark_driver_host="127.0.0.1",
            spark_credentials=str(folder / "credentials"),
        )  # fmt: skip


def test_a_cluster_takes_a_tick_when_its_machines_have_keys(home: Settings, tmp_path: Path) -> None:
    """Without a worker, and with one that has no keys, a sentence says so within 30 s; with keys in a file of the
    worker's all records reach silver, and no file of the home or the worker holds a secret."""
    address = home.kafka_address
    assert address is not None
    ensure_topics(address)
    send(address, [registered("d1", AT), reading("d1", "m1", AT)])
    with running_spark(home) as server:
        spark = connect(server)
        _is_told(lambda: run_tick(spark, home), "No executor of spark://")
        with running_worker(home.spark, tmp_path / "keyless"):
            spark.range(0, 1, 1, 1).count()  # until its executor has started
            _is_told(lambda: run_tick(spark, home), "cannot read the lake at s3://cluster-bucket/lake.*CREDENTIALS")
        Path(str(home.spark_credentials)).write_text(
            f"[default]\naws_access_key_id={ACCESS_KEY}\naws_secret_access_key={SECRET_KEY}\n"
        )
        with running_worker(home.spark, tmp_path / "worker"):
            spark.range(0, 1, 1, 1).count()
            report = run_tick(spark, home)
    assert report.ingested == {"telemetry": 1, "lifecycle": 1}
    assert rows(home, "silver.thermostats", "SELECT message_id FROM t") == [("m1",)]
    for folder in (home.home, tmp_path / "worker"):
        assert not [path for path in folder.rglob("*") if path.is_file() and SECRET_KEY.encode() in path.read_bytes()]


def _is_told(work: object, sentence: str) -> None:
    began = time.monotonic()
    with pytest.raises(PlatformError, match=sentence):
        work()  # type: ignore[operator]
    assert time.monotonic() - began < 30
