"""Tick: five minutes of a thousand devices, on a lake with few and with many commits behind it.

Belongs here: making commits, and timing the ticks after them. The goal is that their number does not matter.
"""

import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

from bench.harness import Result, Times
from device_sim.producer import MessageProducer
from ingestion.broker import running_broker
from ingestion.envelope import REGISTERED, TelemetryEnvelope, lifecycle_message, rfc3339
from ingestion.topics import ensure_topics
from lake.models import known_models
from lake.settings import Settings
from lake.spark import connect, running_spark
from pipeline.tick import tick

_DEVICES = 1000
_MINUTES = 5
_COUNTED = 5


def run(folder: Path, is_quick: bool) -> list[Result]:
    """After 10, 100 and 1,000 commits; quick after 10 and 40."""
    settings = Settings(home=folder / "home", lake_uri=str(folder / "home" / "lake"))
    models = known_models(settings)
    start = datetime.now(UTC).replace(minute=0, second=0, microsecond=0) - timedelta(days=30)
    sides: list[Times] = []
    with running_broker(settings) as bootstrap, running_spark(settings) as address:
        ensure_topics(bootstrap)
        spark, producer = connect(address), MessageProducer(bootstrap)
        envelopes = [TelemetryEnvelope(f"d-{number}") for number in range(_DEVICES)]
        for number in range(_DEVICES):
            attributes = {"model_id": "dtmi:lakehouse:thermostat;1", "site_id": "north"}
            producer.send(lifecycle_message(f"d-{number}", f"r-{number}", REGISTERED, rfc3339(start), attributes))
        done = 0

        def one_tick(devices: int) -> float:
            nonlocal done
            for minute in range(_MINUTES):
                moment = rfc3339(start + timedelta(minutes=_MINUTES * done + minute))
                for envelope in envelopes[:devices]:
                    producer.send(envelope.message(f"{done}-{minute}", moment, b'{"temperature":21.5}'))
            producer.flush()
            began = time.perf_counter()
            tick(spark, settings, bootstrap, models, run_id="bench")
            done += 1
            return time.perf_counter() - began

        for commits in (10, 40) if is_quick else (10, 100, 1000):
            while done < commits - _COUNTED:
                one_tick(1)
            one_tick(_DEVICES)
            sides.append(Times(f"after {commits} commits", tuple(one_tick(_DEVICES) for _ in range(_COUNTED))))
    goal = "at 1,000 commits within 1.2 times that at 10; under 5 s"
    return [Result("tick", "a tick of 1,000 devices", _DEVICES * _MINUTES, "messages", tuple(sides), goal)]
