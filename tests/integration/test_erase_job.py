"""The job `erase` in Dagster's launchpad: a real erasure, from the config that a person gives to what the run says."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from dagster import DagsterInstance, ExecuteInProcessResult
from pyspark.sql import SparkSession

from dagster_project.operator_jobs import erase
from dagster_project.resources import run_resources
from dagster_project.runs.instance import open_instance
from lake.models.catalog import known_models
from lake.reading.reader import open_reader
from lake.records import erasures, publications
from pipeline.erasure.mentions import Mentions
from pipeline.gold.gold_refresh import refresh_gold
from pipeline.proof.lineage_sql import rows_of
from pipeline.proof.verification import verify
from pipeline.run import Run
from runtime.errors import PlatformError
from runtime.settings import Settings
from runtime.spark.connect_server import connect
from streams.scoring.model_store import USUAL, ModelCard, add_version, list_versions, read_version
from tests.support.landing import reading, registered, run_tick, send

START = (datetime.now(UTC) - timedelta(days=2)).replace(hour=9, minute=0, second=0, microsecond=0)
ERASED, OTHER = "meter-of-ada", "meter-of-bob"


def launched(settings: Settings, instance: DagsterInstance, **config: object) -> ExecuteInProcessResult:
    """The job as the launchpad starts it."""
    asked = {"ops": {"device_erasure": {"config": config}}}
    return erase.execute_in_process(asked, instance, raise_on_error=False, resources=run_resources(settings))


def failure(result: ExecuteInProcessResult) -> str:
    """What the run says of why it failed."""
    (event,) = [each for each in result.all_events if each.is_step_failure]
    said = event.step_failure_data.user_failure_data
    assert said is not None
    return str(said.description)


def trained(settings: Settings, device: str) -> int:
    """A version of a scoring model that knows what is usual of the device; what else it has does not matter."""
    usual = pa.BufferOutputStream()
    pq.write_table(pa.table({"device_id": [device], "usual": [21.5]}), usual)
    values: dict[str, Any] = dict.fromkeys(("trained_at", "features_digest", "first_minute", "last_minute"), "")
    counts: dict[str, Any] = dict.fromkeys(("version", "publication", "minute_count", "device_count", "threshold"), 1)
    lists: dict[str, Any] = {"metrics": (), "features": {}, "measured": {}, "libraries": {}, "files": {}}
    return add_version(settings, ModelCard(**values, **counts, **lists), {USUAL: usual.getvalue().to_pybytes()}).version


def naming(folder: Path) -> list[str]:
    """The files below a folder that name the device."""
    mentions = Mentions(ERASED)
    return [str(path) for path in sorted(folder.rglob("*")) if path.is_file() and mentions.in_bytes(path.read_bytes())]


def test_a_device_is_erased_from_the_launchpad(settings: Settings, spark: SparkSession) -> None:
    """Nothing is done without the word that it cannot be undone; then the device leaves gold, which is still what
    bronze gives, the run says what was done, and neither its config nor any file of Dagster names the device."""
    assert settings.kafka_bootstrap is not None
    messages = [registered(device, START) for device in (ERASED, OTHER)]
    messages += [
        reading(device, f"{device}-{minute}", START + timedelta(minutes=minute), 21.5)
        for device in (ERASED, OTHER) for minute in range(0, 60, 5)
    ]  # fmt: skip
    send(settings.kafka_bootstrap, messages)
    run_tick(spark, settings)
    models = known_models(settings)
    refresh_gold(Run(settings, models, "test", datetime.now(UTC)))
    model = trained(settings, ERASED)
    others = trained(settings, OTHER)
    spark.stop()  # a run of Dagster has one session, and PySpark mistakes one of two in a process for the other
    asked = {"device": ERASED, "why": f"{ERASED} was sold", "by": "ada"}

    with open_instance(settings) as instance:
        refused = launched(settings, instance, **asked)
        assert "cannot_be_undone: true" in failure(refused)
        unknown = launched(settings, instance, device="nobody", cannot_be_undone=True)
        assert "nobody" in failure(unknown)
        first = publications.newest(settings)
        assert first is not None
        assert naming(settings.dagster_home)

        done = launched(settings, instance, **asked, cannot_be_undone=True)
        assert done.success
        (event,) = [each for each in done.all_events if each.is_successful_output]
        said = {name: each.value for name, each in event.step_output_data.metadata.items()}
        run = instance.get_run_by_id(done.run_id)
        assert run is not None
        assert run.is_success
        config: Any = run.run_config
        assert config["ops"]["device_erasure"]["config"]["device"] == "[erased]"
    assert naming(settings.dagster_home) == naming(settings.ml_folder) == []
    assert [each.version for each in list_versions(settings)] == [model, others]
    assert read_version(settings, others)
    with pytest.raises(PlatformError, match="train another"):
        read_version(settings, model)

    (certificate,) = erasures.list_all(settings)
    assert certificate.is_of(ERASED)
    assert (certificate.who, certificate.why) == ("ada", "[erased] was sold")
    assert str(said["certificate"]).endswith(certificate.path)
    assert said["publication"] == first.publication_id + 1
    assert said["publications_withdrawn"] == 1
    assert said["rows_removed"] == sum(figures["rows_removed"] for figures in certificate.tables.values())
    with open_reader(settings, models) as reader:
        devices = rows_of(reader, "SELECT DISTINCT device_id FROM gold.device_hours")
    assert devices == [{"device_id": OTHER}]
    publication = publications.newest(settings)
    assert publication is not None
    assert settings.spark is not None
    again = connect(settings.spark)
    assert verify(again, settings, models, publication, code_version=publication.code_version).is_same
    again.stop()
