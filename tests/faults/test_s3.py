"""S3 that fails, is slow, or loses the answer to what it has done.

Belongs here: faults of the store, brought about by `proxy` in front of a real server, on a copy of a lake in a bucket.
"""

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from functools import partial
from pathlib import Path
from unittest.mock import patch

import pytest
import s3fs
from pyspark.errors import PySparkException

from lake.records import publications
from lake.storage import delta
from lake.storage.locations import s3fs_options
from runtime.errors import LakehouseError
from runtime.settings import Settings
from runtime.spark.connect_server import running_spark
from tests.faults.base import Scene, run_refresh, tick_on
from tests.faults.catalogue import Case
from tests.faults.invariants import Invariants, seen
from tests.faults.proxy import Proxy, Rule, running_proxy
from tests.faults.steps import publishing
from tests.support.s3server import S3Server, running_s3_server


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    with running_s3_server(tmp_path_factory.mktemp("s3")) as running:
        yield running


@pytest.fixture(scope="module")
def proxy(server: S3Server) -> Iterator[Proxy]:
    with running_proxy(server.endpoint) as running:
        yield running


@pytest.fixture(scope="module")
def spark_on_s3(server: S3Server, proxy: Proxy, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a Spark of these cases' own, which alone knows of this server."""
    settings = replace(server.settings(tmp_path_factory.mktemp("spark"), "spark"), aws_endpoint_url=proxy.endpoint)
    with running_spark(settings) as address:
        yield address


def in_a_bucket(scene: Scene, server: S3Server, proxy: Proxy) -> Scene:
    """The scene with its lake in a bucket that is reached through the proxy."""
    on_s3 = server.settings(scene.settings.home, f"bucket-{abs(hash(scene.settings.home)):x}")
    files = s3fs.S3FileSystem(**s3fs_options(on_s3))
    files.put(f"{scene.settings.lake_uri}/", f"{on_s3.lake_uri}/", recursive=True)
    return Scene(
        replace(on_s3, aws_endpoint_url=proxy.endpoint, kafka_bootstrap=scene.settings.kafka_bootstrap), scene.manifest
    )


def published_through(rule: Rule, scene: Scene, invariants: Invariants, proxy: Proxy) -> None:
    """Publish once through the fault; what fails says so in a sentence, and a refresh makes up for it."""
    directly = past(proxy, scene.settings)
    before = seen(directly)
    with proxy.spoiling(rule), asking_again_at_once(), suppress(LakehouseError):
        publishing(scene.settings)
    after = seen(directly)
    assert after == before or after["publication"] == 2
    run_refresh(directly)
    assert [each.publication_id for each in publications.list_all(directly)] == [1, 2]
    invariants.hold(directly, scene.manifest)


@contextmanager
def asking_again_at_once() -> Iterator[None]:
    """Let delta-rs ask again after 5 ms rather than 100, for the hundreds of requests that are spoilt."""
    options = delta.delta_options  # type: ignore[attr-defined]  # the one that stands there now
    hasty = {"backoff_config.init_backoff": "5 ms"}
    with patch.object(delta, "delta_options", lambda settings: options(settings) | hasty):
        yield


def past(proxy: Proxy, settings: Settings) -> Settings:
    """The same lake at the server itself: what nothing is to spoil need not take the slower way through the proxy."""
    return replace(settings, aws_endpoint_url=proxy.server)


def ticked_through(
    rule: Rule, scene: Scene, invariants: Invariants, proxy: Proxy, spark: str, ingest_engine: str = "auto"
) -> None:
    """A tick on the Spark at an address; then another one."""
    settings = replace(scene.settings, ingest_engine=ingest_engine)
    with proxy.spoiling(rule), suppress(PySparkException, LakehouseError):
        tick_on(spark, settings)
    tick_on(spark, settings)
    directly = past(proxy, scene.settings)
    run_refresh(directly)
    invariants.hold(directly, scene.manifest)


OF_A_PUBLICATION = (
    Case(
        "S3 answers 500",
        "each third request while gold is published is answered 500",
        "the engines ask again, or the step fails and readers see the publication before",
        partial(published_through, Rule("500", every=3)),
    ),
    Case(
        "S3 answers 503",
        "each third request while gold is published is answered 503 SlowDown",
        "the engines ask again, or the step fails and readers see the publication before",
        partial(published_through, Rule("503", every=3)),
    ),
    Case(
        "S3 is slow",
        "each third answer comes 50 ms late",
        "the step takes longer, or fails and readers see the publication before",
        partial(published_through, Rule("slow", every=3)),
    ),
    Case(
        "S3 loses the answer to a gold commit",
        "the connection is closed when the commit of `gold.device_hours` is stored",
        "one publication is made, with that commit counted once",
        partial(published_through, Rule("lost", commit_of="gold/device_hours")),
    ),
    Case(
        "S3 loses the answer to the publication record",
        "the connection is closed when the record is stored",
        "there is one record of that number",
        partial(published_through, Rule("lost", commit_of="ops/publications")),
    ),
)

OF_A_TICK = (
    Case(
        "S3 loses the answer to a bronze commit",
        "the connection is closed when the commit to `bronze.telemetry` is stored",
        "no record lands twice",
        partial(ticked_through, Rule("lost", commit_of="bronze/telemetry")),
    ),
    Case(
        "S3 loses the answer to Spark's bronze commit",
        "the connection is closed when Spark's commit to `bronze.telemetry` is stored",
        "no record lands twice",
        partial(ticked_through, Rule("lost", commit_of="bronze/telemetry"), ingest_engine="spark"),
    ),
    Case(
        "S3 loses the answer to a silver commit",
        "the connection is closed when the commit to `silver.thermostats` is stored",
        "no reading is there twice",
        partial(ticked_through, Rule("lost", commit_of="silver/thermostats")),
    ),
)
CASES = (*OF_A_PUBLICATION, *OF_A_TICK)


@pytest.mark.parametrize("case", OF_A_PUBLICATION, ids=str)
def test_of_a_publication(
    case: Case, judged: Scene, home: Path, invariants: Invariants, server: S3Server, proxy: Proxy
) -> None:
    """What the case says holds, of gold that is published into a bucket."""
    case.prove(in_a_bucket(judged.copy(home), server, proxy), invariants, proxy)


@pytest.mark.parametrize("case", OF_A_TICK, ids=str)
def test_of_a_tick(
    case: Case, half: Scene, home: Path, invariants: Invariants, server: S3Server, proxy: Proxy, spark_on_s3: str
) -> None:
    """What the case says holds, of messages that are waiting for a lake in a bucket."""
    case.prove(in_a_bucket(half.copy(home), server, proxy), invariants, proxy, spark_on_s3)
