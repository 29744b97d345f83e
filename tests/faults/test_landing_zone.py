"""Kafka dies, stops, loses records or becomes another one.

Belongs here: faults of the broker and of its topics. A case that changes the broker has a copy of its data and a broker
of its own.
"""

import shutil
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from unittest.mock import patch

import psutil
import pytest
from confluent_kafka import Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewPartitions

from ingestion import local_records
from ingestion.bronze_ingest import committed_offsets
from ingestion.kafka_offsets import broker_offsets
from ingestion.landing_topics import TELEMETRY, TOPICS, ensure_topics
from ingestion.local_records import append_records
from ingestion.offset_ranges import OffsetRange
from ingestion.spark_records import read_records
from lake.storage.applications import App
from lake.storage.delta import version_of
from lake.storage.spark_commits import append_once, newest_commit, progress_of
from lake.tables.bronze import BRONZE_TELEMETRY
from pipeline.silver import tick as ticks
from runtime import processes
from runtime.errors import LandingZoneError
from runtime.kafka import broker
from runtime.processes import ProcessRecord
from runtime.settings import Settings
from tests.conftest import empty_topics
from tests.faults.base import Scene
from tests.faults.catalogue import Case
from tests.faults.harness import Point, Step, start_to
from tests.faults.invariants import Invariants, seen
from tests.faults.steps import ticking, ticking_with_spark

_REQUEST_S = 4.0
_PAUSE_S = 6.0


@contextmanager
def own_broker(scene: Scene, landing: Settings) -> Iterator[Scene]:
    """The same lake on a broker of the case's own with a copy of the messages."""
    shutil.copytree(landing.home / "kafka", scene.settings.home / "kafka")
    with broker.running_broker(replace(scene.settings, kafka_bootstrap=None)) as bootstrap:
        yield replace(scene, settings=replace(scene.settings, kafka_bootstrap=bootstrap))


def record_of(scene: Scene) -> ProcessRecord:
    """The case's own broker."""
    record = processes.find(scene.settings, broker.NAME)
    assert record is not None
    return record


def ticking_in_haste(settings: Settings) -> None:
    """A step: one tick whose requests for records run out sooner than after their 60 s."""
    config = local_records.client_config  # type: ignore[attr-defined]  # the one that stands there now

    def hasty(address: str) -> dict[str, object]:
        return {**config(address), "socket.timeout.ms": round(_REQUEST_S * 1000)}

    with patch.object(local_records, "client_config", hasty):
        ticking(settings)


def killed(step_of_tick: Step, scene: Scene, invariants: Invariants, landing: Settings) -> None:
    """It dies when a tick has planned its offsets and not read them, and comes back at the same address."""
    with own_broker(scene, landing) as ours:
        record, before = record_of(ours), seen(scene.settings)
        command = psutil.Process(record.pid).cmdline()
        step = start_to(Point("ingestion.bronze_ingest._append", kills=broker.NAME), step_of_tick, ours.settings)
        psutil.wait_procs([psutil.Process(record.pid)], timeout=240)
        assert not processes.is_alive(record)
        again = processes.spawn(ours.settings, broker.NAME, command, record.address)
        processes.wait_until_ready(ours.settings, again, lambda: broker.answers(record.address), 180)
        step.join(200)
        assert step.exitcode in (0, 1)  # the reader may have waited for it or given up
        assert seen(scene.settings) == before
        ours.run()
        invariants.hold(ours.settings, ours.manifest)


def paused(step_of_tick: Step, scene: Scene, invariants: Invariants, landing: Settings) -> None:
    """It stands still while a tick reads, for longer than a request waits, and goes on."""
    with own_broker(scene, landing) as ours:
        process = psutil.Process(record_of(ours).pid)
        point = Point("ingestion.bronze_ingest._append", kills=broker.NAME, by=signal.SIGSTOP)
        step = start_to(point, step_of_tick, ours.settings)
        while process.status() != psutil.STATUS_STOPPED:
            assert step.is_alive()
            time.sleep(0.01)
        time.sleep(_PAUSE_S)  # the fault itself
        process.resume()
        step.join(200)
        assert step.exitcode == 0
        ours.refresh()
        invariants.hold(ours.settings, ours.manifest)


def replayed(scene: Scene, invariants: Invariants, landing: Settings) -> None:
    """All offsets from 0, once through the tick and twice past its check, in this process and in Spark."""
    settings, version = scene.settings, version_of(scene.settings, BRONZE_TELEMETRY.name)
    assert settings.kafka_bootstrap is not None
    with patch("ingestion.bronze_ingest._offsets_of", lambda _: {}), pytest.raises(LandingZoneError, match="add up to"):
        scene.tick()
    end = committed_offsets(settings, TELEMETRY)
    everything = OffsetRange(TELEMETRY, dict.fromkeys(end, 0), end)
    assert everything.ingest_id == progress_of(settings, BRONZE_TELEMETRY.name, App.INGEST)
    assert append_records(settings, BRONZE_TELEMETRY, settings.kafka_bootstrap, everything, datetime.now(UTC), {})
    with scene.session() as session:
        rows = read_records(session, settings.kafka_bootstrap, everything, datetime.now(UTC))
        append_once(rows, settings, BRONZE_TELEMETRY, App.INGEST, everything.ingest_id, {})
    assert version_of(settings, BRONZE_TELEMETRY.name) == version
    invariants.hold(settings, scene.manifest)


def created_anew(scene: Scene, invariants: Invariants, landing: Settings) -> None:
    """Another topic of the same name, empty first and then with more records than bronze has read of the former."""
    version = version_of(scene.settings, BRONZE_TELEMETRY.name)
    with own_broker(scene, landing) as ours:
        bootstrap = ours.settings.kafka_bootstrap
        assert bootstrap is not None
        empty_topics(bootstrap)
        with pytest.raises(LandingZoneError, match="telemetry was created anew since bronze read it up to"):
            ours.tick()
        with pytest.raises(LandingZoneError, match="created anew"):
            ours.tick(accept_gap=True)
        producer = Producer({"bootstrap.servers": bootstrap})
        for partition, end in committed_offsets(scene.settings, TELEMETRY).items():
            for _ in range(end + 1):
                producer.produce(TELEMETRY, b"{}", partition=partition)
        assert producer.flush(120) == 0
        for accept_gap in (False, True):
            with pytest.raises(LandingZoneError, match="created anew"):
                ours.tick(accept_gap=accept_gap)
    assert version_of(scene.settings, BRONZE_TELEMETRY.name) == version
    scene.run()
    invariants.hold(scene.settings, scene.manifest)


def retention_passed(scene: Scene, invariants: Invariants, landing: Settings) -> None:
    """The oldest of the waiting records of one partition are deleted."""
    with own_broker(scene, landing) as ours:
        bootstrap = ours.settings.kafka_bootstrap
        assert bootstrap is not None
        committed = committed_offsets(ours.settings, TELEMETRY)
        highs = {partition: high for partition, (_, high) in broker_offsets(bootstrap, TELEMETRY).items()}
        partition = max(committed, key=lambda p: highs[p] - committed[p])
        first, lost = committed[partition], (highs[partition] - committed[partition]) // 2
        assert lost > 0
        upto = TopicPartition(TELEMETRY, partition, first + lost)
        admin = AdminClient({"bootstrap.servers": bootstrap})
        admin.delete_records([upto])[upto].result()
        gap = rf"partition {partition}: offsets {first} to {first + lost - 1} are gone .*\(up to {lost} records\)"
        version = version_of(ours.settings, BRONZE_TELEMETRY.name)
        with pytest.raises(LandingZoneError, match=gap):
            ours.tick()
        assert version_of(ours.settings, BRONZE_TELEMETRY.name) == version
        ours.tick(accept_gap=True)
        commit = newest_commit(ours.settings, BRONZE_TELEMETRY.name, "accepted_gaps")
        assert commit is not None
        assert commit.metadata["accepted_gaps"] == {str(partition): [first, first + lost]}
        ours.refresh()
        invariants.hold(ours.settings, ours.manifest, lost=lost)


def partitions_added(scene: Scene, invariants: Invariants, landing: Settings) -> None:
    """Two more than are declared, and then they are declared."""
    with own_broker(scene, landing) as ours:
        bootstrap = ours.settings.kafka_bootstrap
        assert bootstrap is not None
        more = TOPICS[0].partitions + 2
        admin = AdminClient({"bootstrap.servers": bootstrap})
        admin.create_partitions([NewPartitions(TELEMETRY, more)])[TELEMETRY].result()
        with pytest.raises(LandingZoneError, match=f"has {more} partitions where {more - 2} are declared"):
            ours.tick()
        declared = (replace(TOPICS[0], partitions=more), *TOPICS[1:])
        with patch.object(ticks, "ensure_topics", lambda address, made: ensure_topics(address, declared, made=made)):
            ours.tick()
        assert committed_offsets(ours.settings, TELEMETRY).keys() == set(range(more))
        ours.refresh()
        invariants.hold(ours.settings, ours.manifest)


OF_WAITING_MESSAGES = (
    Case(
        "broker killed in a tick",
        "SIGKILL to the broker when a tick has planned its offsets; it comes back at its address",
        "the tick waits or fails, and no record is lost or lands twice",
        partial(killed, ticking),
    ),
    Case(
        "broker killed in a tick by Spark",
        "the same, where Spark reads",
        "the tick waits or fails, and no record is lost or lands twice",
        partial(killed, ticking_with_spark),
    ),
    Case(
        "broker paused in a tick",
        "SIGSTOP to the broker when a tick has planned its offsets, SIGCONT when its requests have run out",
        "the tick goes on by itself",
        partial(paused, ticking_in_haste),
    ),
    Case(
        "topic created anew",
        "both topics deleted and created again under their names, empty and then with more records than before",
        "the tick stops, says so and up to where bronze has read; nothing is skipped, nor with `--accept-gap`",
        created_anew,
    ),
    Case(
        "retention past our offset",
        "waiting records deleted in the broker",
        "the tick stops and names partition and offsets; `--accept-gap` goes on and the gap stands in the commit",
        retention_passed,
    ),
    Case(
        "partitions added",
        "two partitions more than declared",
        "the tick stops and says so; once they are declared it reads them from their start",
        partitions_added,
    ),
)
OF_READ_MESSAGES = (
    Case(
        "offsets replayed from 0",
        "a tick that has forgotten where bronze ended, and the same append done again, here and by Spark",
        "the tick is refused, and the appends change nothing",
        replayed,
    ),
)
CASES = (*OF_WAITING_MESSAGES, *OF_READ_MESSAGES)


@pytest.mark.parametrize("case", OF_WAITING_MESSAGES, ids=str)
def test_with_messages_waiting(
    case: Case, half: Scene, landing_home: Settings, home: Path, invariants: Invariants
) -> None:
    """What the case says holds."""
    case.prove(half.copy(home), invariants, landing_home)


@pytest.mark.parametrize("case", OF_READ_MESSAGES, ids=str)
def test_with_all_messages_read(
    case: Case, published: Scene, landing_home: Settings, home: Path, invariants: Invariants
) -> None:
    """What the case says holds."""
    case.prove(published.copy(home), invariants, landing_home)
