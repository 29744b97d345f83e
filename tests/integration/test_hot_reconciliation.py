"""The hot path beside published gold, on a real broker, loop, Spark, dbt and gate: every difference has a cause."""

import json
import time
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from threading import Event, Thread
from typing import Any

from confluent_kafka import Producer
from dagster import DagsterInstance
from pyspark.sql import SparkSession

from dagster_project.definitions import build_definitions
from device_sim.faults import DEMO_FAULTS, Faults
from device_sim.producer import MessageProducer
from device_sim.simulation import SimulationOptions, plan
from lake.models.catalog import known_models
from lake.storage.lease import writer_lease
from pipeline.gold.gold_refresh import refresh_gold
from pipeline.lake_state import lake_status
from pipeline.proof.hot_reconciliation import HotReport, news_of, reconcile_hot
from pipeline.run import Run
from runtime.settings import Settings
from streams.declarations import load_declarations
from streams.loop import LoopOptions, run_loop
from streams.output_topics import WINDOWS, ensure_output_topics
from tests.support.committed import reader
from tests.support.landing import reading, registered, rows, run_tick, send
from tests.support.raw_headers import send_with_header_name

_WAIT_S = 120
_DECLARED = """
windows:
  device_minutes:
    size_s: 60
    lateness_s: 1
    select: {value_min: min(value), value_max: max(value), value_mean: avg(value),
             value_last: 'arg_max(value, arrival)'}
"""


def told_of(bootstrap: str, device: str, start: datetime, *, is_final: bool) -> bytes:
    """A record of a device's minute, as soon as it is told."""
    deadline = time.monotonic() + _WAIT_S
    with reader(bootstrap, WINDOWS) as consumer:
        while time.monotonic() < deadline:
            message = consumer.poll(1.0)
            value = b"" if message is None or message.error() else message.value() or b""
            row = json.loads(value) if value else {}
            if (
                row
                and row["is_final"] >= is_final
                and row["device_id"] == device
                and datetime.fromisoformat(row["window_start"]) == start
            ):
                return value
    raise AssertionError(f"the minute of {device} was not told in {_WAIT_S} s")


def reconciled(settings: Settings) -> HotReport:
    run = Run(settings, known_models(settings), "test", datetime.now(UTC))
    with writer_lease(settings, "test"):
        return reconcile_hot(run, settings.kafka_bootstrap or "")


def causes(settings: Settings, minute: datetime) -> dict[str, str]:
    found = rows(settings, "ops.hot_reconciliation", f"""SELECT device_id, cause, detail FROM t
        WHERE minute_at = TIMESTAMPTZ '{minute.isoformat()}' AND metric_name = 'temperature'""")  # fmt: skip
    assert all(detail for _, cause, detail in found if cause in ("late", "registry", "unexplained"))
    return {device: cause for device, cause, _ in found}


OURS = ("good", "late", "twice", "clock", "broken", "stranger", "later", "odd")


def faults(minute: datetime) -> list[Any]:
    """Before the minute is over: good readings, a repeat and a conflict, wrong clocks and rubbish."""

    def at(second: float) -> datetime:
        return minute + timedelta(seconds=second)

    long_ago = minute - timedelta(days=30)
    messages = [registered(d, long_ago) for d in ("good", "late", "twice", "clock", "broken", "odd")]
    messages += [reading("good", f"g{n}", at(n), 20.0 + n / 7) for n in range(40)]
    messages += [reading("late", "a", at(3), 20.0)]
    messages += [reading("twice", "a", at(1), 20.0), reading("twice", "a", at(1), 20.0)]
    messages += [reading("twice", "a", at(1), 25.0), reading("twice", "b", at(2), 21.0)]
    messages += [reading("clock", "a", minute + timedelta(hours=3), 20.0), reading("clock", "b", at(5), 21.0)]
    messages += [reading("odd", "a", at(1), 20.0)]
    messages += [reading("broken", "a", at(1), b"rubbish"), reading("broken", "b", at(2), 20.0)]
    return messages


def demo_faults() -> Faults:
    """The faults of the demo, in its shares: what takes hours there takes seconds here."""
    short = (0.003, 0.01)
    return replace(
        DEMO_FAULTS,
        late=replace(DEMO_FAULTS.late, minutes=(1.0, 2.0)),
        repeated=replace(DEMO_FAULTS.repeated, minutes=(0.0, 2.0)),
        conflict=replace(DEMO_FAULTS.conflict, minutes=(0.0, 1.0)),
        outage=replace(DEMO_FAULTS.outage, hours=short),
        maintenance=replace(DEMO_FAULTS.maintenance, hours=short),
        clock_ahead=replace(DEMO_FAULTS.clock_ahead, hours=short),
        clock_behind=replace(DEMO_FAULTS.clock_behind, hours=short),
    )


def simulated(settings: Settings, minute: datetime) -> tuple[list[Any], list[Any]]:
    """A minute of a fleet of every model that reports each second with the demo's faults: its registrations and what
    arrives in the minute, and what arrives later."""
    options = SimulationOptions(minute, devices=40, hours=1 / 60, seed=3, faults=demo_faults(), reporting_interval_s=1)
    simulation = plan(settings, options, minute + timedelta(minutes=2))
    sent: tuple[list[Any], list[Any]] = (list(simulation.registrations().messages), [])
    for batch in simulation.stream():
        for arrival_ms, message in zip(batch.arrivals.tolist(), batch.messages, strict=True):
            sent[arrival_ms >= options.span_ms[1]].append(message)
    return sent


def send_all(bootstrap: str, messages: list[Any]) -> None:
    producer = MessageProducer(bootstrap)
    producer.send_all(messages)
    assert producer.flush() == set()


def test_every_difference_has_a_cause(spark: SparkSession, settings: Settings) -> None:
    """Late, doubled, broken and wrongly clocked readings, a device registered afterwards and a fleet with the demo's
    faults: no minute is unexplained. A doctored figure is: the step, the check and the status name it."""
    bootstrap = settings.kafka_bootstrap or ""
    (settings.home / "streams").mkdir(parents=True)
    (settings.home / "streams" / "own.yml").write_text(_DECLARED)
    ensure_output_topics(bootstrap)
    minute = datetime.fromtimestamp((datetime.now(UTC).timestamp() + 20) // 60 * 60, UTC)
    in_time, later = simulated(settings, minute)
    assert len(later) > 20
    stop = Event()
    arguments = (settings, bootstrap, load_declarations(settings), LoopOptions(correct_s=0), stop)
    said: list[str] = []
    loop = Thread(target=run_loop, args=(*arguments, said.append))
    send(bootstrap, [reading("stranger", "a", minute + timedelta(seconds=1), 30.0)])
    loop.start()
    try:
        send(bootstrap, faults(minute))
        send_with_header_name(bootstrap, reading("odd", "b", minute + timedelta(seconds=2), 22.0), b"\xff\xfe")
        send_all(bootstrap, in_time)
        told_of(bootstrap, "good", minute, is_final=False)  # the stranger, who was first, is read before it is known
        send(bootstrap, [registered("stranger", minute - timedelta(days=1))])
        # not with it: of what is sent together to two topics either may land first, and within a millisecond
        send(bootstrap, [reading("stranger", "b", minute + timedelta(seconds=2), 31.0)])
        run_tick(spark, settings)  # what Spark takes to start is spent while the minute passes
        told = told_of(bootstrap, "good", minute, is_final=True)
        send(bootstrap, [reading("late", "b", minute + timedelta(seconds=4), 22.0),
                         reading("later", "a", minute + timedelta(seconds=4), 22.0),
                         registered("later", minute - timedelta(days=1))])  # fmt: skip
        send_all(bootstrap, later)
        assert set(reconciled(settings).minutes) == {"waits"}
        run_tick(spark, settings)
        refresh_gold(Run(settings, known_models(settings), "test", datetime.now(UTC)))
    finally:
        stop.set()
        loop.join(_WAIT_S)

    assert [line for line in said if "header whose name is not UTF-8" in line] == said
    assert len(said) == 1
    found = reconciled(settings).minutes
    assert "unexplained" not in found
    assert min(found["agrees"], found["late"]) > 10
    by_device = causes(settings, minute)
    assert {device: by_device[device] for device in OURS} == {
        "good": "agrees", "late": "late", "twice": "agrees", "clock": "agrees", "broken": "agrees",
        "stranger": "registry", "later": "late", "odd": "header",
    }  # fmt: skip
    assert news_of(settings, bootstrap) is None
    assert reconciled(settings) == HotReport()

    row = json.loads(told)
    doctored = row | {"value_mean": row["value_mean"] + 0.5, "reading_count": row["reading_count"] + 1}
    producer = Producer({"bootstrap.servers": bootstrap, "log_level": 0})
    producer.produce(WINDOWS, json.dumps(doctored).encode(), b"good")
    assert producer.flush(120) == 0
    assert news_of(settings, bootstrap) is not None
    result = build_definitions(settings).resolve_job_def("reconcile_hot_path").execute_in_process(
        instance=DagsterInstance.ephemeral()
    )  # fmt: skip
    (check,) = result.get_asset_check_evaluations()
    assert (check.passed, check.metadata["unexplained_minutes"].value) == (False, 1)
    assert causes(settings, minute)["good"] == "unexplained"
    (found,) = lake_status(settings, known_models(settings)).unexplained
    assert [found["device_id"], found["hot_reading_count"], found["gold_reading_count"]] == ["good", 41, 40]
