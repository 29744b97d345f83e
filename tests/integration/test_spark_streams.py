"""The hot path on Spark: a query of Structured Streaming that tells what the loop tells, and goes on after a kill."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from threading import Event, Thread
from typing import Any

from confluent_kafka.admin import AdminClient, NewPartitions

from ingestion.landing_topics import LIFECYCLE, TELEMETRY, Topic, ensure_topics
from pipeline.proof.hot_topic import reached_us
from runtime import processes
from runtime.kafka.broker import running_broker
from runtime.settings import Settings, load_settings
from streams.declarations import load_declarations
from streams.loop import LoopOptions, run_loop
from streams.output_topics import ALERTS, WINDOWS, ensure_output_topics
from tests.support.awaiting import awaited
from tests.support.landing import reading, registered, send
from tests.support.streams_faults import committed
from wire.envelope import Message

_WAIT_S = 300.0
_DEVICES = [f"s{number}" for number in range(6)]
_PARTITIONS = 2
_DECLARED = """
windows:
  device_minutes:
    size_s: 5
    lateness_s: 2
    select: {value_max: max(value), value_mean: avg(value), value_last: "arg_max(value, arrival)"}
  dropping: {size_s: 5, lateness_s: 2, late: drop, by: [device_id], select: {value_sum: sum(value)}}
  hops: {kind: hopping, size_s: 6, every_s: 2, lateness_s: 2, by: [device_id, unit], select: {value_min: min(value)}}
  visits: {kind: session, size_s: 60, gap_s: 2, lateness_s: 2, by: [device_id], select: {value_count: count(value)}}
  steps: {kind: each, size_s: 5, by: [device_id], select: {step: value - previous_value, first: is_first}}
rules:
  too_hot: {condition: value > 28, clear: value < 25, for_s: 1, severity: critical}
  warm_window: {over: device_minutes, condition: value_mean > 20}
  silent: {silence_s: 12}
"""


@dataclass
class Home:
    """A home with a broker of its own, and its hot path."""

    settings: Settings
    bootstrap: str

    def told(self, topic: str) -> list[tuple[str, dict[str, Any]]]:
        return committed(self.bootstrap, topic)

    def finals(self) -> dict[tuple[str, ...], dict[str, Any]]:
        """The newest final result of each window; what only says how far a reader had come is left out."""
        found: dict[tuple[str, ...], dict[str, Any]] = {}
        for _, row in self.told(WINDOWS):
            key = (
                row["window"],
                row["device_id"],
                row.get("metric_name", ""),
                row.get("unit", ""),
                row["window_start"],
            )
            if row["is_final"] and row["revision"] >= found.get(key, row)["revision"]:
                found[key] = row
        ours = ("as_of", "read_from", "is_correction")
        return {key: {name: value for name, value in row.items() if name not in ours} for key, row in found.items()}

    def alarms(self) -> dict[str, tuple[Any, ...]]:
        """The changes of alarms by their identity."""
        return {identity: _change(row) for identity, row in self.told(ALERTS)}


@contextmanager
def home(folder: Path) -> Iterator[Home]:
    (folder / "streams").mkdir(parents=True)
    (folder / "streams" / "own.yml").write_text(_DECLARED)
    settings = load_settings({"LAKEHOUSE_HOME": str(folder), "LAKEHOUSE_SPARK": f"local[{_PARTITIONS}]"})
    with running_broker(settings) as bootstrap:
        ensure_topics(bootstrap, (Topic(TELEMETRY, _PARTITIONS, 1), Topic(LIFECYCLE, 1, 1)))
        ensure_output_topics(bootstrap)
        yield Home(settings, bootstrap)


@contextmanager
def looping(ours: Home) -> Iterator[None]:
    stop = Event()
    arguments = (ours.settings, ours.bootstrap, load_declarations(ours.settings), LoopOptions(), stop, print)
    thread = Thread(target=run_loop, args=arguments)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join(_WAIT_S)


def started(ours: Home) -> subprocess.Popen[bytes]:
    environment = {**os.environ, **ours.settings.child_environment(), "LAKEHOUSE_KAFKA_BOOTSTRAP": ours.bootstrap}
    with said(ours).open("ab") as error:
        return subprocess.Popen([sys.executable, "-m", "streams", "spark"], env=environment, stderr=error)


def said(ours: Home) -> Path:
    """What it tells an operator: nothing, as long as all is well."""
    return ours.settings.home / "streams.err"


def messages_at(step: int, moment: datetime) -> list[Message]:
    """A reading of each device, with repeats, bad payloads and a stranger among them."""
    found = []
    for place, device in enumerate(_DEVICES):
        value = 15.0 + 4 * ((step + place) % 5)
        found.append(reading(device, f"m{step}", moment, value))
        if (step + place) % 3 == 0:
            found.append(reading(device, f"m{step}", moment, value))
        if (step + place) % 4 == 0:
            found.append(reading(device, f"bad{step}", moment, b'{"temperature": "hot"'))
            found.append(reading("stranger", f"m{step}", moment))
    return found


def test_spark_tells_what_the_loop_tells_and_goes_on_after_a_kill(tmp_path: Path) -> None:
    """The same messages to the loop and to Spark, which is killed in mid-stream with its client: all final windows and
    alarms are the same, row by row, and what was told twice says the same. A topic that gets more partitions than Spark
    runs tasks ends it with a sentence."""
    with ExitStack() as stack:
        with ThreadPoolExecutor() as pool:
            homes = list(pool.map(lambda name: stack.enter_context(home(tmp_path / name)), ("loop", "spark")))
            # a broker that has just started takes its time for the first
            at = datetime.now(UTC) - timedelta(days=1)
            list(pool.map(lambda ours: send(ours.bootstrap, [registered(d, at) for d in _DEVICES]), homes))
        loop, spark = homes
        now = datetime.now(UTC)
        begin = datetime.fromtimestamp(now.timestamp() // 5 * 5, UTC)
        first = [message for step in range(12) for message in messages_at(step, begin + timedelta(seconds=step * 0.5))]
        for each in homes:
            send(each.bootstrap, first)
        stack.enter_context(looping(loop))
        process = started(spark)
        try:
            until(homes, lambda: has_come(homes, "fired", 1))
            for step in range(20, 44):
                moment = datetime.now(UTC)
                for each in homes:
                    send(each.bootstrap, messages_at(step, moment))
                    if step == 22:
                        send(each.bootstrap, [reading("s1", "late", begin + timedelta(seconds=1.1), 16.0)])
                if step == 32:
                    process = kill(spark, process)
                time.sleep(0.1)
            until(homes, lambda: has_come(homes, "fired", 2))
            assert loop.alarms() == spark.alarms()
            assert not told_otherwise(spark)
            assert reached_us(spark.bootstrap) > moment.timestamp() * 1_000_000
            add_partition(spark.bootstrap)
            assert process.wait(_WAIT_S) == 1
            assert "Spark runs 2 tasks at a time and the topic telemetry has 3 partitions" in said(spark).read_text()
        finally:
            process.kill()
            processes.stop(spark.settings, "spark")


def told_otherwise(ours: Home) -> dict[str, list[str]]:
    """The identities of results that were told with several contents. Sessions are told anew with their device's."""
    bodies: dict[str, set[str]] = {}
    for identity, row in (*ours.told(WINDOWS), *ours.told(ALERTS)):
        if row.get("window") != "visits":
            bodies.setdefault(identity, set()).add(json.dumps(row))
    return {identity: sorted(found) for identity, found in bodies.items() if len(found) > 1}


def has_come(homes: list[Home], change: str, times: int) -> bool:
    """True when both tell the same windows, and of each device so many times that nothing comes any more."""
    loop, spark = homes
    silences = [[row[2] for row in each.alarms().values() if row[0] == "silent"].count(change) for each in homes]
    return silences == [times * len(_DEVICES)] * 2 and loop.finals() == spark.finals()


def kill(ours: Home, process: subprocess.Popen[bytes]) -> subprocess.Popen[bytes]:
    """End Spark and its client at once, and start anew."""
    record = processes.find(ours.settings, "spark")
    assert record is not None
    # who outlives the other has something to say of it
    process.kill()
    process.wait()
    os.kill(record.pid, signal.SIGKILL)
    return started(ours)


def add_partition(bootstrap: str) -> None:
    admin = AdminClient({"bootstrap.servers": bootstrap, "log_level": 0})
    admin.create_partitions([NewPartitions(TELEMETRY, _PARTITIONS + 1)])[TELEMETRY].result()


def until(homes: list[Home], is_so: Callable[[], bool]) -> None:
    def quietly() -> bool:
        assert not said(homes[1]).read_text()
        return is_so()

    awaited(quietly, lambda: difference(*homes), every_s=0.5)


def difference(loop: Home, spark: Home) -> str:
    one, other = loop.finals() | loop.alarms(), spark.finals() | spark.alarms()
    keys = [key for key in {*one, *other} if one.get(key) != other.get(key)]
    return f"{len(one)} and {len(other)}: {[(key, one.get(key), other.get(key)) for key in keys[:5]]}"


def _change(row: Mapping[str, Any]) -> tuple[Any, ...]:
    # silence is measured from batch to batch
    times = () if row["rule"] == "silent" else (row["since"], row["at"])
    return (row["rule"], row["device_id"], row["change"], row["revision"], *times)
