"""Every engine on a real S3 server: Spark through S3A, delta-rs, DuckDB and s3fs."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import psutil
import pyarrow as pa
import pytest
import s3fs
from deltalake import DeltaTable, write_deltalake

from lake.checks import check_lake
from lake.reading.reader import open_reader
from lake.records import erasures, publications
from lake.storage import duckdb_connection
from lake.storage.delta import open_table
from lake.storage.lake_files import LakeFiles
from lake.storage.lease import writer_lease
from lake.storage.locations import delta_options, s3fs_options, spark_uri, table_uri
from lake.storage.log_files import checkpoint, superseded
from pipeline.maintenance import plan_upkeep, upkeep
from pipeline.run import Run
from runtime.errors import PlatformError
from runtime.processes import find
from runtime.settings import Settings
from runtime.spark.connect_server import connect, running_spark
from runtime.spark.spark_configuration import NAME
from tests.support.s3server import S3Server, running_s3_server
from tests.unit.pipeline.test_maintenance import LATER, TABLE, devices_at, no_spark, publication, rewrite


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    with running_s3_server(tmp_path_factory.mktemp("s3")) as running:
        yield running


@pytest.fixture
def home(server: S3Server, tmp_path: Path) -> Settings:
    """Settings of a lakehouse in a bucket of its own."""
    return server.settings(tmp_path, "bucket-" + tmp_path.name.replace("_", "-").lower())


@pytest.fixture(scope="module")
def spark_home(server: S3Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Settings]:
    """A lakehouse on S3 whose own Spark runs, since the shared one knows nothing of this server."""
    settings = server.settings(tmp_path_factory.mktemp("home"), "spark-bucket")
    with running_spark(settings):
        yield settings


def _count(settings: Settings, table: str) -> int:
    with duckdb_connection.connect(settings) as connection:
        row = connection.execute(f"select count(*) from delta_scan('{table_uri(settings, table)}')").fetchone()
    assert row is not None
    return int(row[0])


def test_spark_writes_and_the_others_read_and_write(spark_home: Settings) -> None:
    """A table that Spark wrote is read by DuckDB, appended to by delta-rs, and Spark sees the result."""
    uri = spark_uri(spark_home, "silver.numbers")
    with running_spark(spark_home) as address:
        session = connect(address)
        session.range(5).write.format("delta").save(uri)
        assert _count(spark_home, "silver.numbers") == 5
        rows = pa.table({"id": pa.array([7, 8], pa.int64())})
        options = delta_options(spark_home)
        write_deltalake(table_uri(spark_home, "silver.numbers"), rows, mode="append", storage_options=options)
        assert session.read.format("delta").load(uri).count() == 7
        session.read.format("delta").load(uri).write.format("delta").mode("append").save(uri)
        assert _count(spark_home, "silver.numbers") == 14


def test_secrets_are_not_on_a_command_line_or_in_a_file(spark_home: Settings) -> None:
    """The secret key reaches Spark through the environment only."""
    secret = str(spark_home.aws_secret_access_key)
    record = find(spark_home, NAME)
    assert record is not None
    process = psutil.Process(record.pid)
    assert process.environ()["AWS_SECRET_ACCESS_KEY"] == secret
    assert secret not in " ".join(process.cmdline())
    files = [path for path in spark_home.home.rglob("*") if path.is_file()]
    assert files
    assert not [path for path in files if secret in path.read_text(errors="replace")]


def test_second_delta_rs_writer_of_a_version_is_refused_by_the_store(home: Settings) -> None:
    """Two writers that both start from version 0 give two commits, no lost one."""
    uri, options = table_uri(home, "ops.events"), delta_options(home)
    write_deltalake(uri, pa.table({"n": [0]}), storage_options=options)
    first, second = DeltaTable(uri, storage_options=options), DeltaTable(uri, storage_options=options)
    write_deltalake(first, pa.table({"n": [1]}), mode="append")
    write_deltalake(second, pa.table({"n": [2]}), mode="append")
    assert DeltaTable(uri, storage_options=options).version() == 2
    assert _count(home, "ops.events") == 3


def test_gold_is_copied_into_memory(home: Settings) -> None:
    """A reader that stays open reads the pinned version from the bucket once, then from memory."""
    rewrite(home, 2)
    publications.record(home, publication(1, 0, {TABLE.name: 1}))
    with open_reader(home, {}, stays_open=True) as reader:
        assert reader.keeper is not None
        for _ in range(2):
            assert reader.run(f"select device_id from {TABLE.name}").fetchall() == [("d1",)]
            reader.keeper.wait()
        assert reader.keeper.source(TABLE.name) is not None


def test_exclusive_create_is_honoured(home: Settings) -> None:
    """Creating an object that exists is refused, which is what the writer's lease stands on."""
    fs = s3fs.S3FileSystem(**s3fs_options(home))
    path = f"{home.lake_uri}/lease"
    fs.pipe(path, b"1", mode="create")
    with pytest.raises(OSError, match="precondition"):
        fs.pipe(path, b"2", mode="create")
    assert fs.cat(path) == b"1"


def test_doctor_tells_good_keys_from_wrong_ones(server: S3Server, home: Settings) -> None:
    """The lake check passes with the right keys, and names the bucket with wrong ones or a missing bucket."""
    assert check_lake(home).is_ok
    assert not check_lake(server.with_wrong_secret(home)).is_ok
    missing = check_lake(replace(home, lake_uri="s3://no-such-bucket/lake"))
    assert not missing.is_ok
    assert "no-such-bucket" in missing.found


def test_a_step_says_what_keeps_it_from_the_lake(server: S3Server, home: Settings) -> None:
    """Keys that are refused and a bucket that is not there are each named before work begins."""
    for settings, words in (
        (server.with_wrong_secret(home), "refuses the keys"),
        (replace(home, aws_access_key_id="nobody"), "refuses the keys"),
        (replace(home, lake_uri="s3://no-such-bucket/lake"), "There is no bucket no-such-bucket"),
    ):
        with pytest.raises(PlatformError, match=words), writer_lease(settings, "tick"):
            pass


def test_upkeep_and_the_end_of_a_tables_history(home: Settings) -> None:
    """Publications go with their files, pinned versions still read, and a table can be left with one version."""
    rewrite(home, 3)
    for number, age_days in ((1, 40), (2, 5)):
        publications.record(home, publication(number, age_days, {TABLE.name: number}))
    plan = plan_upkeep(home, {}, now=LATER)
    assert upkeep(Run(home, {}, "upkeep", LATER), no_spark) == plan
    assert plan.expired == (1,)
    assert [len(each.unread) for each in plan.tables if each.table == TABLE] == [1]
    assert [devices_at(home, version) for version in (2, 3)] == [["d2"], ["d3"]]

    files = LakeFiles(home)
    newest = open_table(home, TABLE.name)
    assert newest is not None
    checkpoint(files, newest, TABLE.name)
    old = superseded(files, TABLE.name, newest, newest)
    assert len([file for file in old if file.name.endswith(".parquet")]) == 1
    files.delete(file.path for file in old)
    assert devices_at(home) == ["d3"]
    erasure = erasures.begin(home, "d2", who="ada", why="asked", now=LATER)
    erasures.save(home, erasure)
    assert erasures.list_all(home) == [erasure]


def test_a_folder_is_no_file_of_itself(home: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    """The first file of a folder is stored between the two requests that s3fs finds files with: the folder, which it
    gives then, is not taken for a file, and the next look finds what is in it."""
    listed: Any = s3fs.S3FileSystem._lsdir

    async def then_filled(files: Any, path: str, **options: Any) -> Any:
        found = await listed(files, path, **options)
        if not found:
            await files._pipe_file(f"{path}/first.json", b"{}")
        return found

    monkeypatch.setattr(s3fs.S3FileSystem, "_lsdir", then_filled)
    files = LakeFiles(home)
    assert files.under("ops/made") == []
    assert [file.path for file in files.under("ops/made")] == ["ops/made/first.json"]
