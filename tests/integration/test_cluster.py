"""Bronze on a cluster's executors: a master, a worker without the driver's variables, a lake on S3."""

import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import psutil
import pytest

from ingestion.landing_topics import ensure_topics
from lake.storage.lake_files import LakeFiles
from pipeline import checks
from pipeline.silver import bronze_portions
from runtime.errors import PlatformError
from runtime.process_ids import has_ended
from runtime.settings import Settings
from runtime.spark.connect_server import connect, running_spark
from runtime.spark.executors import known_executors
from tests.conftest import empty_topics
from tests.support.landing import reading, registered, rows, run_tick, send
from tests.support.s3server import ACCESS_KEY, SECRET_KEY, running_s3_server
from tests.support.spark_cluster import kill_with_children, running_master, running_worker

AT = datetime(2025, 3, 1, tzinfo=UTC)
# executors that can work are not told apart from others by how busy this machine is
_UNHURRIED_S = 150
# where no executor is, none will answer later either
_HURRIED_S = 3


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory, broker: str) -> Iterator[Settings]:
    """A lakehouse on S3 whose Spark is a master without a worker yet."""
    folder = tmp_path_factory.mktemp("cluster")
    empty_topics(broker)
    with running_s3_server(folder) as server, running_master(folder / "master") as master:
        settings = server.settings(folder / "home", "cluster-bucket")
        yield replace(
            settings, spark=master, kafka_bootstrap=broker, spark_driver_host="127.0.0.1",
            spark_credentials=str(folder / "credentials"), ingest_engine="spark",
        )  # fmt: skip


def test_a_cluster_takes_a_tick_when_its_machines_have_keys(home: Settings, tmp_path: Path) -> None:
    """Without a worker, and with one that has no keys, a sentence says so at the limit; with keys in a file of the
    worker's all records reach silver, and no file of the home or the worker holds a secret. The doctor says the same,
    and leaves nothing in a new lake; a Python that is not there is named."""
    home = replace(home, spark_python="/no/such/python")  # of which bronze needs none
    address = home.kafka_address
    assert address is not None
    ensure_topics(address)
    send(address, [registered("d1", AT), reading("d1", "m1", AT)])
    with running_spark(home) as server:
        spark = connect(server)
        hurried = replace(home, spark_wait_s=_HURRIED_S)
        _is_told(lambda: run_tick(spark, hurried), r"No executor of spark://.* is started.*No answer in 3 s;.*WAIT_S")
        with running_worker(home.spark, tmp_path / "keyless"):
            spark.range(0, 1, 1, 1).count()  # until its executor has started
            assert known_executors(home).reaching == ("127.0.0.1",)
            finding = checks.check_executors(home)
            assert not finding.is_ok
            assert "cannot read the lake at s3://cluster-bucket/lake" in finding.found
            assert [file.path for file in LakeFiles(home).under() if "doctor" in file.path] == []
            _is_told(lambda: run_tick(spark, home), "cannot read the lake at s3://cluster-bucket/lake.*CREDENTIALS")
        Path(str(home.spark_credentials)).write_text(
            f"[default]\naws_access_key_id={ACCESS_KEY}\naws_secret_access_key={SECRET_KEY}\n"
        )
        home = replace(home, spark_wait_s=_UNHURRIED_S)
        with running_worker(home.spark, tmp_path / "worker"):
            spark.range(0, 1, 1, 1).count()
            report = run_tick(spark, home)
            of_python = "no program /no/such/python.*LAKEHOUSE_SPARK_PYTHON"
            _is_told(lambda: run_tick(spark, replace(home, engine="spark")), of_python)
            assert "reads the lake and Kafka" in checks.check_executors(home).found
    assert report.ingested == {"telemetry": 1, "lifecycle": 1}
    assert rows(home, "silver.thermostats", "SELECT message_id FROM t") == [("m1",)]
    for folder in (home.home, tmp_path / "worker"):
        assert not [path for path in folder.rglob("*") if path.is_file() and SECRET_KEY.encode() in path.read_bytes()]


def test_a_worker_that_is_killed_in_a_tick_changes_no_row(
    home: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Silver is judged on two workers, of which one dies in the midst; every row is as this machine judges it, and no
    file that the dead one left behind counts."""
    monkeypatch.setattr(bronze_portions, "RECORDS_A_TASK", 1)
    home = replace(home, spark_wait_s=_UNHURRIED_S)
    assert home.kafka_address is not None
    ensure_topics(home.kafka_address)
    Path(str(home.spark_credentials)).write_text(
        f"[default]\naws_access_key_id={ACCESS_KEY}\naws_secret_access_key={SECRET_KEY}\n"
    )
    project = str(Path(bronze_portions.__file__).parents[2])
    cluster = replace(home, engine="spark", lake_uri=f"{home.lake_uri}-spark", spark_python=sys.executable)
    here = replace(home, engine="here", lake_uri=f"{home.lake_uri}-here")
    with running_spark(cluster) as server, running_worker(home.spark, tmp_path / "b", {"PYTHONPATH": project}):
        spark = connect(server)
        with running_worker(home.spark, tmp_path / "a", {"PYTHONPATH": project}) as victim:
            send(home.kafka_address, [registered("d1", AT)])
            for number in range(3):
                moments = [AT + timedelta(seconds=20 * number + second) for second in range(20)]
                messages = [reading("d1", f"k{moment:%S}", moment) for moment in moments]
                send(home.kafka_address, [*messages, *messages[:2], reading("d1", "k00", AT)])
                is_last = number == 2
                with _killing(victim, cluster) if is_last else nullcontext():
                    ours = run_tick(spark, cluster)
                assert run_tick(spark, here) == ours
            assert has_ended(victim)
        assert checks.check_executors(cluster).found.endswith("and their Python can judge silver")
    for table in ("silver.thermostats", "silver.rejected"):
        assert rows(cluster, table) == rows(here, table) != []


@contextmanager
def _killing(victim: psutil.Process, settings: Settings) -> Iterator[None]:
    """Kill a worker as soon as the tick in the block has handed something to its tasks."""
    lake, is_over = LakeFiles(settings), threading.Event()

    def kill() -> None:
        while not lake.under("silver/rejected/staging"):
            if is_over.wait(0.02):  # S3 tells nobody what comes
                return
        kill_with_children(victim)

    with ThreadPoolExecutor(1) as beside:
        killing = beside.submit(kill)
        try:
            yield
        finally:
            is_over.set()
        killing.result()


def _is_told(work: object, sentence: str) -> None:
    with pytest.raises(PlatformError, match=sentence):
        work()  # type: ignore[operator]
