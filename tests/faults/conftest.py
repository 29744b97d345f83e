"""Fixtures of the fault catalogue: the base lakes, built once a session, and a copy of one for each case.

Belongs here: what the cases of several modules begin with. How it is built is in `base`.
"""

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from lake.models.catalog import known_models
from lake.storage.locations import candidate_path
from pipeline.gate.judge import judge_gold
from pipeline.gold.dbt_process import run_dbt
from pipeline.gold.gold_refresh import prepare
from pipeline.run import Run
from runtime.kafka.broker import running_broker
from runtime.settings import Settings
from tests.faults.base import Scene, half_published
from tests.faults.invariants import Invariants


@pytest.fixture(scope="session")
def landing_home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Settings]:
    """A broker of its own, whose topics no other test empties; `kafka_bootstrap` is its address."""
    home = tmp_path_factory.mktemp("landing")
    settings = Settings(home=home, lake_uri=str(home / "lake"))
    with running_broker(settings) as bootstrap:
        yield Settings(home=home, lake_uri=str(home / "lake"), kafka_bootstrap=bootstrap)


@pytest.fixture(scope="session")
def half(landing_home: Settings, spark_address: str, tmp_path_factory: pytest.TempPathFactory) -> Scene:
    """Half of the messages are published, the others are in Kafka."""
    home = tmp_path_factory.mktemp("half")
    settings = Settings(home, str(home / "lake"), kafka_bootstrap=landing_home.kafka_bootstrap, spark=spark_address)
    return half_published(settings)


@pytest.fixture(scope="session")
def ticked(half: Scene, tmp_path_factory: pytest.TempPathFactory) -> Scene:
    """All messages are in silver, the second half is not published."""
    scene = half.copy(tmp_path_factory.mktemp("ticked") / "home")
    scene.tick()
    return scene


@pytest.fixture(scope="session")
def judged(ticked: Scene, tmp_path_factory: pytest.TempPathFactory) -> Scene:
    """A lake whose gold candidate is built and judged, and not published."""
    scene = ticked.copy(tmp_path_factory.mktemp("judged") / "home")
    settings = scene.settings
    run = Run(settings, known_models(settings), "judged", datetime.now(UTC))
    prepared = prepare(run)
    assert prepared is not None
    assert prepared.dbt is not None
    run_dbt(settings, prepared.dbt)
    judge_gold(run, candidate_path(settings))
    return scene


@pytest.fixture(scope="session")
def published(ticked: Scene, invariants: Invariants, tmp_path_factory: pytest.TempPathFactory) -> Scene:
    """All messages are published."""
    scene = ticked.copy(tmp_path_factory.mktemp("published") / "home")
    scene.refresh()
    invariants.hold(scene.settings, scene.manifest)
    return scene


@pytest.fixture(scope="session")
def invariants(tmp_path_factory: pytest.TempPathFactory) -> Invariants:
    """What every case ends with."""
    return Invariants(tmp_path_factory.mktemp("rebuilt"))


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """Where a case copies its lake to."""
    return tmp_path / "home"
