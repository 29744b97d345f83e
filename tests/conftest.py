"""Fixtures that every kind of test shares: a real broker, a real Spark server, settings of a fresh lakehouse.

Belongs here: what starts programs, once a test session. Builders of small data belong beside the tests that use them.

A test that asks for none of these starts nothing. Under pytest-xdist the workers share one Spark server; each has a
broker of its own, since a test that reads a topic from its start must not meet another worker's messages.
"""

import os
import signal
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from confluent_kafka.admin import AdminClient
from hypothesis import HealthCheck
from hypothesis import settings as hypothesis_settings
from pyspark.sql import SparkSession
from pytest_rerunfailures import _restore_suspended_finalizers

from ingestion.landing_topics import TOPICS, ensure_topics
from pipeline.engines import Engine
from pipeline.gold import dbt_process
from runtime.kafka.broker import running_broker
from runtime.settings import Settings
from runtime.spark.connect_server import connect, running_spark
from streams import output_topics
from tests.support import mutants
from tests.support.awaiting import awaited
from tests.support.warm import ForkedDbts

# how long an example takes, and making it, says how busy the machine is
hypothesis_settings.register_profile("unhurried", deadline=None, suppress_health_check=[HealthCheck.too_slow])
hypothesis_settings.load_profile("unhurried")


def pytest_configure() -> None:
    """What every process of a test inherits, in each xdist worker too.

    A shell without job control starts what runs in the background with Ctrl-C ignored; tests interrupt commands, so
    that is undone. The JVM of a single test ends before what it would compile a second time, and better, is of use: a
    Spark that has just started and its first ticks take 13 s of CPU so, and 29 with the optimising compiler.
    """
    os.environ.setdefault("JDK_JAVA_OPTIONS", "-XX:TieredStopAtLevel=1")
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session", autouse=True)
def _forked_dbts() -> None:
    """A refresh in a test's own process need not wait for the imports of dbt, nor does one of `up`."""
    dbt_process._spare = ForkedDbts()


def _home(folder: Path) -> Settings:
    return Settings(home=folder, lake_uri=str(folder / "lake"), spark="local[2]")


@pytest.fixture(scope="session")
def shared_folder(tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> Path:
    """One folder for the whole test session, the same in each xdist worker."""
    base = tmp_path_factory.getbasetemp()
    return base.parent if hasattr(request.config, "workerinput") else base


@pytest.fixture(scope="session")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Bootstrap address of a running Kafka broker."""
    with running_broker(_home(tmp_path_factory.mktemp("broker"))) as bootstrap:
        yield bootstrap


@pytest.fixture(scope="session")
def spark_address(shared_folder: Path) -> Iterator[str]:
    """Address of a running Spark Connect server; the last worker that uses it stops it.

    It lives through all the tests, so it alone has the optimising compiler.
    """
    with ExitStack() as stack:
        with pytest.MonkeyPatch.context() as patch:
            patch.delenv("JDK_JAVA_OPTIONS")
            address = stack.enter_context(running_spark(_home(shared_folder / "spark")))
        yield address


@pytest.fixture
def spark(spark_address: str) -> Iterator[SparkSession]:
    """A session of its own on the shared Spark server."""
    session = connect(spark_address)
    yield session
    session.stop()


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """A test that is marked `every_engine` runs once on each engine that can judge silver, one that is marked
    `every_reader` once with each that can read Kafka."""
    for mark, name in (("every_engine", "engine"), ("every_reader", "ingest_engine")):
        is_marked = metafunc.definition.get_closest_marker(mark) is not None
        if is_marked and name in metafunc.fixturenames:
            metafunc.parametrize(name, list(Engine))


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """A change that is tried is tried by the tests of its part, the quick ones first."""
    if mutants.are_tried():
        items[:], others = mutants.chosen(items)
        config.hook.pytest_deselected(items=others)


@pytest.fixture
def engine() -> str:
    """Which engine judges silver."""
    return "here"


@pytest.fixture
def ingest_engine() -> str:
    """Who reads Kafka."""
    return "auto"


@pytest.fixture
def settings(tmp_path: Path, broker: str, spark_address: str, engine: str, ingest_engine: str) -> Settings:
    """A fresh lakehouse: an empty home and lake, empty topics, the shared broker and Spark."""
    empty_topics(broker)
    home = tmp_path / "home"
    return Settings(
        home=home, lake_uri=str(home / "lake"), kafka_bootstrap=broker, spark=spark_address, engine=engine,
        ingest_engine=ingest_engine,
    )  # fmt: skip


def empty_topics(bootstrap: str) -> None:
    """Delete and declare the topics anew, and delete those of the hot path, which makes its own: what another file's
    loop told on this broker is not this test's. Kafka forgets with a topic where its groups were."""
    admin = AdminClient({"bootstrap.servers": bootstrap})
    names = {topic.name for topic in TOPICS} | set(output_topics._CONFIGURATIONS)
    existing = sorted(names & set(admin.list_topics(timeout=60).topics))
    for deletion in (admin.delete_topics(existing, operation_timeout=60) if existing else {}).values():
        deletion.result()
    awaited(lambda: not names & set(admin.list_topics(timeout=60).topics), "the end of the deleted topics")
    ensure_topics(bootstrap)


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """A test that is awaited once more has a fresh start: its module's fixtures, which the first try left as they were,
    are ended first. pytest-rerunfailures keeps them."""
    if getattr(item, "execution_count", 1) > 1:
        _restore_suspended_finalizers(item)
        item.session._setupstate.teardown_exact(item.session)  # type: ignore[arg-type]  # of pytest-rerunfailures, too
