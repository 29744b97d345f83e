"""What the embedded Spark is told."""

import sys
from dataclasses import replace
from pathlib import Path

import pytest

from runtime.errors import UsageError
from runtime.settings import Settings
from runtime.spark.connect_server import sweep_scratch
from runtime.spark.spark_configuration import needed_memory_mb, spark_configuration, spark_environment

FOLDER = Settings(home=Path("/home"), lake_uri="/home/lake")
S3 = replace(
    FOLDER,
    lake_uri="s3://bucket/lake",
    aws_endpoint_url="http://127.0.0.1:9000",
    aws_access_key_id="the-key",
    aws_secret_access_key="the-secret",
)


def test_credentials_are_not_in_the_configuration() -> None:
    """The configuration is written to a file, so no key is in it; the endpoint and its style are."""
    values = spark_configuration(S3, [], 1)
    assert "the-key" not in str(values)
    assert "the-secret" not in str(values)
    assert values["spark.hadoop.fs.s3a.endpoint"] == "http://127.0.0.1:9000"
    assert values["spark.hadoop.fs.s3a.path.style.access"] == "true"


def test_lake_in_a_folder_has_no_s3_in_it() -> None:
    """A lake in a folder needs no S3 jars and names no S3 classes."""
    assert not [name for name in spark_configuration(FOLDER, [], 1) if "s3a" in name]


def test_tasks_elsewhere_run_the_python_that_is_named_for_them(tmp_path: Path) -> None:
    """Spark Connect has tasks run what PYSPARK_PYTHON says: of a cluster the setting, never a path of this machine."""
    here = replace(FOLDER, home=tmp_path)
    cluster = replace(here, spark="spark://host:7077")
    named = replace(cluster, spark_python="/opt/lakehouse/bin/python")
    said = [spark_environment(each, tmp_path).get("PYSPARK_PYTHON") for each in (here, cluster, named)]
    assert said == [sys.executable, None, "/opt/lakehouse/bin/python"]


def test_only_local_spark_is_bound_to_loopback() -> None:
    """Executors of a cluster must reach the driver; a local Spark is reached by this machine only."""
    assert spark_configuration(FOLDER, [], 1)["spark.driver.host"] == "127.0.0.1"
    assert "spark.driver.host" not in spark_configuration(replace(FOLDER, spark="spark://host:7077"), [], 1)


@pytest.mark.parametrize(("text", "megabytes"), [("2g", 2048), ("1500m", 1500), ("1GB", 1024)])
def test_memory_is_read_as_java_reads_it(text: str, megabytes: int) -> None:
    """Gigabytes and megabytes in Java's spelling."""
    assert needed_memory_mb(replace(FOLDER, spark_memory=text)) == megabytes


def test_memory_that_is_no_size_is_refused() -> None:
    """A wrong size is named before a JVM meets it."""
    with pytest.raises(UsageError, match="LAKEHOUSE_SPARK_MEMORY is 'much'"):
        needed_memory_mb(replace(FOLDER, spark_memory="much"))


def test_what_a_killed_spark_has_left_is_swept_out(tmp_path: Path) -> None:
    """Its scratch folders go; the candidate and whatever else is in the work folder stays."""
    settings = Settings(home=tmp_path, lake_uri=str(tmp_path / "lake"))
    for name in ("blockmgr-1/0d/shuffle.data", "spark-2/jars/a.jar", "dbt/run/x.sql", "candidate.duckdb", "spark-3"):
        path = settings.work_folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("x")
    sweep_scratch(settings)
    assert {path.name for path in settings.work_folder.iterdir()} == {"dbt", "candidate.duckdb", "spark-3"}
