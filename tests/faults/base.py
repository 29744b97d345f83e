"""The lakes that the cases begin with: a small fleet's messages, half of them published.

Belongs here: building that lake once and copying it. What is done to a copy belongs in the cases.

One simulation sends everything; the first run is told of half of the telemetry, so that the second half brings late
readings and repeats to hours that are published already, and one manifest speaks for all.
"""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from unittest.mock import patch

from pyspark.sql import SparkSession

from device_sim.faults import DEMO_FAULTS, Period, WrongClock
from device_sim.simulation import SimulationOptions, simulate
from ingestion import bronze_ingest
from ingestion.landing_topics import TELEMETRY, ensure_topics
from ingestion.made_topics import made_by
from lake.models.catalog import known_models
from pipeline.gold.gold_refresh import Outcome, refresh_gold
from pipeline.run import Run
from pipeline.silver.tick import tick
from runtime.settings import Settings
from runtime.spark.connect_server import connect

HOURS = 2
DEVICES = 6
_FAULTS = replace(
    DEMO_FAULTS, clock_ahead=WrongClock(0.2), outage=Period(0.2, (0.5, 1.0)), maintenance=Period(0.2, (0.5, 1.0))
)


@dataclass(frozen=True)
class Scene:
    """A lakehouse of a case's own, and the manifest of all messages that are in Kafka for it."""

    settings: Settings
    manifest: Path

    def copy(self, home: Path) -> "Scene":
        """The same in another home, which reads the same Kafka and uses the same Spark."""
        shutil.copytree(self.settings.home, home, ignore=shutil.ignore_patterns("kafka", "run", "logs"))
        return Scene(replace(self.settings, home=home, lake_uri=str(home / "lake")), self.manifest)

    @contextmanager
    def session(self) -> Iterator[SparkSession]:
        """A Spark session that ends with the block."""
        session = connect(self.settings.spark)
        try:
            yield session
        finally:
            session.stop()

    def tick(self, *, accept_gap: bool = False) -> None:
        """One tick, as `lakehouse ingest` does it."""
        with self.session() as session:
            run_tick(self.settings, session, accept_gap=accept_gap)

    def refresh(self) -> Outcome | None:
        """Gold of what is stale, as `lakehouse refresh` does it after its tick."""
        return run_refresh(self.settings)

    def run(self) -> None:
        """All of the line."""
        self.tick()
        self.refresh()


def run_tick(settings: Settings, session: SparkSession, *, accept_gap: bool = False, run_id: str = "tick") -> None:
    """One tick on a session."""
    assert settings.kafka_bootstrap is not None
    models = known_models(settings)
    tick(
        lambda: session,
        Run(settings, models, run_id, datetime.now(UTC)),
        settings.kafka_bootstrap,
        accept_gap=accept_gap,
    )


def tick_on(address: str, settings: Settings) -> None:
    """One tick on a server. Its session is stopped: while one is open, PySpark takes a later one's results for its."""
    session = connect(address)
    try:
        run_tick(settings, session)
    finally:
        session.stop()


def run_refresh(settings: Settings, run_id: str = "refresh") -> Outcome | None:
    """Gold of what is stale."""
    return refresh_gold(Run(settings, known_models(settings), run_id, datetime.now(UTC)))


def half_published(settings: Settings) -> Scene:
    """A lake of which half the messages are published; the others wait in Kafka."""
    assert settings.kafka_bootstrap is not None
    ensure_topics(settings.kafka_bootstrap, made=made_by(settings))
    start = (datetime.now(UTC) - timedelta(hours=HOURS + 1)).replace(minute=0, second=0, microsecond=0)
    options = SimulationOptions(start, DEVICES, HOURS, seed=7, faults=_FAULTS)
    summary = simulate(settings, settings.kafka_bootstrap, options)
    scene = Scene(settings, summary.json_path)
    with bounded(1 / 2):
        scene.run()
    return scene


@contextmanager
def bounded(share: float) -> Iterator[None]:
    """Let ticks see but a share of each telemetry partition."""
    real = bronze_ingest.broker_offsets  # type: ignore[attr-defined]  # the one that stands there now

    def offsets(bootstrap: str, topic: str) -> dict[int, tuple[int, int]]:
        ours = share if topic == TELEMETRY else 1
        return {
            partition: (low, low + int((high - low) * ours))
            for partition, (low, high) in real(bootstrap, topic).items()
        }

    with patch.object(bronze_ingest, "broker_offsets", offsets):
        yield
