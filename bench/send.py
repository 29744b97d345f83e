"""Simulate: messages made and acknowledged by the broker a second, beside a producer that sends fixed bytes.

Belongs here: both senders. What a simulated message is stands in `device_sim`.
"""

from datetime import UTC, datetime, timedelta
from pathlib import Path

from bench.harness import Result, Side, take_turns
from device_sim.producer import MessageProducer
from device_sim.simulation import SimulationOptions, simulate
from ingestion.landing_topics import ensure_topics
from runtime.kafka.broker import running_broker
from runtime.settings import Settings
from wire.envelope import TelemetryEnvelope, rfc3339


def run(folder: Path, is_quick: bool) -> list[Result]:
    """Half a million messages and 5 rounds; quick 75,000 and 1."""
    settings = Settings(home=folder / "home", lake_uri=str(folder / "home" / "lake"))
    hours = 24 if is_quick else 160
    start = datetime.now(UTC).replace(minute=0, second=0, microsecond=0) - timedelta(hours=hours + 2)
    options = SimulationOptions(start, 100, hours)
    with running_broker(settings) as bootstrap:
        ensure_topics(bootstrap)
        count = sum(simulate(settings, bootstrap, options).fates.values())
        message = TelemetryEnvelope("d").message("m", rfc3339(start), b'{"temperature":21.52,"humidity":40.31}')

        def ours() -> None:
            simulate(settings, bootstrap, options)

        def bare() -> None:
            producer = MessageProducer(bootstrap)
            for number in range(count):
                producer.send(message)
                if number % 1000 == 0:
                    producer.poll()
            producer.flush()
            producer.check()

        sides = [Side("lakehouse simulate", ours), Side("producer, fixed bytes", bare)]
        times = take_turns(sides, 1 if is_quick else 5)
    return [Result("simulate", "messages to Kafka", count, "messages", times, "two thirds of the bare producer")]
