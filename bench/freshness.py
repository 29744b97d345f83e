"""Freshness: from the moment at which a message was sent to the publication that has it, with all of `up` running.

Belongs here: the steady load, and looking when a publication appears that was built from it. A message is in a
publication when the silver version that it pins has its ingest. Like every bench it is warm: what is sent in the first
two minutes (quick 15 s), while Spark compiles itself, is published and checked and not counted.
"""

import os
import subprocess
import threading
import time
from datetime import UTC, datetime
from pathlib import Path
from statistics import quantiles

from bench.harness import COMMAND, DifferenceError, Result, Times
from device_sim.producer import MessageProducer
from ingestion.kafka_offsets import broker_offsets
from ingestion.landing_topics import ensure_topics
from lake.records.publications import newest
from lake.storage.duckdb_connection import connect, scan
from lake.storage.locations import table_uri
from runtime.kafka.broker import NAME as BROKER
from runtime.process_family import ask_each, command_line, processes_of
from runtime.processes import find
from runtime.settings import Settings
from wire.envelope import REGISTERED, TELEMETRY_TOPIC, TelemetryEnvelope, lifecycle_message, rfc3339

_TABLE = "silver.thermostats"
_RATE = 2000
_LAST_S = 240
_SAMPLE_S = 5.0
_PROGRAMS = {
    "SparkConnectServer": "Spark",
    "kafka.Kafka": "Kafka",
    "dagster_project.runs.fork_server": "runs",
    "dagster_project.runs.webserver": "web server",
    "dagster_project.runs.daemon": "daemon",
    "dagster_project.definitions": "code server",
}


def run(folder: Path, is_quick: bool) -> list[Result]:
    """2,000 messages a second for 10 minutes, quick for 15 s, after those that are not counted."""
    settings = Settings(home=folder / "home", lake_uri=str(folder / "home" / "lake"))
    environment = os.environ | {"LAKEHOUSE_HOME": str(settings.home)}
    subprocess.run([*COMMAND, "up", "--detach"], env=environment, check=True, capture_output=True)
    try:
        record = find(settings, BROKER)
        assert record is not None
        ensure_topics(record.address)
        warm, seconds = (15, 30) if is_quick else (120, 720)
        load = threading.Thread(target=_send, args=(record.address, seconds))
        load.start()
        ages, memory_mb = _watch(settings, record.address, load, time.time() + warm)
        sent = sum(high - low for low, high in broker_offsets(record.address, TELEMETRY_TOPIC).values())
        if sent != _RATE * seconds:
            raise DifferenceError(f"{sent:,} of {_RATE * seconds:,} messages were sent")
    finally:
        subprocess.run([*COMMAND, "down"], env=environment, check=True, capture_output=True)
    cuts = quantiles(ages, n=100)
    parts = ", ".join(f"{name} {mb:,}" for name, mb in sorted(memory_mb.items(), key=lambda each: -each[1]))
    goal = f"p95 under 60 s, p99 under 90 s: {cuts[94]:.1f} s and {cuts[98]:.1f} s; all of `up` within 4 GB: "
    goal += f"{sum(memory_mb.values()):,} MB at most ({parts})"
    return [
        Result("freshness", "sent to published", 1, "messages", (Times("lakehouse", tuple(ages)),), goal, is_alone=True)
    ]


def _send(bootstrap: str, seconds: int) -> None:
    """A reading a second of each of 2,000 devices, spread over the second."""
    producer = MessageProducer(bootstrap)
    began = datetime.now(UTC)
    attributes: dict[str, str | int] = {"model_id": "dtmi:lakehouse:thermostat;1", "reporting_interval_s": 1}
    for number in range(_RATE):
        kind = lifecycle_message(f"d-{number}", f"r-{number}", REGISTERED, rfc3339(began), attributes)
        producer.send(kind)
    envelopes = [TelemetryEnvelope(f"d-{number}") for number in range(_RATE)]
    start = time.monotonic()
    for turn in range(seconds * 10):
        time.sleep(max(0.0, start + turn / 10 - time.monotonic()))  # the load is one of time
        now = rfc3339(datetime.now(UTC))
        for envelope in envelopes[turn % 10 :: 10]:
            producer.send(envelope.message(f"{turn}", now, b'{"temperature":21.5,"humidity":40}'))
        producer.poll()
    producer.flush()
    producer.check()


def _watch(
    settings: Settings, bootstrap: str, load: threading.Thread, since: float
) -> tuple[list[float], dict[str, int]]:
    """Seconds to the publication that has it, of every thousandth message sent after `since` (seconds since 1970); and
    the memory of each program when all took most, in MB."""
    ages: list[float] = []
    seen, last_ingest, sampled_at = 0, -1, 0.0
    memory: dict[str, int] = {}
    ended_at = None
    while ended_at is None or time.monotonic() < ended_at + _LAST_S:
        if ended_at is None and not load.is_alive():
            ended_at = time.monotonic()
        publication = newest(settings)
        if publication is not None and publication.publication_id != seen:
            seen, at = publication.publication_id, time.time()
            version = publication.inputs.get(_TABLE, 0)
            with connect(settings) as connection:
                new = f"FROM {scan(table_uri(settings, _TABLE), version)} WHERE ingest_id > {last_ingest}"
                rows = connection.sql(f'SELECT epoch(received_at) {new} AND "offset" % 1000 = 0').fetchall()
                newest_ingest = connection.sql(f"SELECT max(ingest_id) {new}").fetchall()[0][0]
            ages += [at - float(received) for (received,) in rows if received >= since]
            last_ingest = max(last_ingest, newest_ingest or -1)
            if publication.held:
                raise DifferenceError(f"publication {seen} holds slices: {publication.held}")
        elif ended_at is not None and last_ingest >= _sent(bootstrap):
            return ages, memory
        if time.monotonic() > sampled_at + _SAMPLE_S:
            memory = max(memory, _memory_mb(settings), key=lambda each: sum(each.values()))
            sampled_at = time.monotonic()
        time.sleep(0.5)  # a publication announces itself by its record alone
    raise DifferenceError(f"{_LAST_S} s after the last message not all is published")


def _sent(bootstrap: str) -> int:
    """The `ingest_id` of the ingest that brings the last message."""
    return sum(high for _, high in broker_offsets(bootstrap, TELEMETRY_TOPIC).values())


def _memory_mb(settings: Settings) -> dict[str, int]:
    """MB of each program of the home; a page that several share is divided (Linux's proportional set size)."""
    programs: dict[str, int] = {}
    found = ask_each(processes_of(settings.home), lambda each: (command_line(each), each.memory_full_info()))
    for command, memory in found.values():
        name = _program(command)
        programs[name] = programs.get(name, 0) + getattr(memory, "pss", memory.rss) // 2**20
    return programs


def _program(line: str) -> str:
    """What users call the program that a command line starts."""
    return next((name for part, name in _PROGRAMS.items() if part in line), "others")
