"""A simulation from its options to its manifest.

Belongs here: checking the options against the clock, registering the fleet, then its stream, and stopping cleanly. Each
of these is done by a module of its own.
"""

import gc
import hashlib
import json
import signal
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from threading import Event
from typing import Any

from device_sim.device_clocks import Clock, SystemClock
from device_sim.dispatches import Batch, batch_of, lifecycle_dispatch
from device_sim.faults import Faults
from device_sim.fleet import Device, build_fleet, model_named, registered_message
from device_sim.impossible import impossible_hour
from device_sim.manifest import ManifestSummary, ManifestWriter
from device_sim.producer import MessageProducer
from device_sim.schedule import DevicePeriod, build_schedule
from device_sim.sending import Progress, Sender, pieces, send
from device_sim.stream import batches, reading_count
from lake.models.catalog import BUILT_IN_MODELS, Model, known_models, load_models
from runtime.errors import UsageError
from runtime.settings import Settings
from wire.envelope import Message, rfc3339

# what the machines' clocks may differ by, and the time until the last message is received
_CLOCK_MARGIN = timedelta(minutes=10)


MakeProducer = Callable[[str, Sequence[str]], Sender]


@dataclass(frozen=True)
class SimulationOptions:
    """What to simulate. The same options give the same messages, byte for byte.

    `start` has a time zone; `speed` is in times real time, None as fast as possible; `models` are DTMIs or short
    names, none means the built-in ones; `reporting_interval_s` None takes each model's own.
    """

    start: datetime
    devices: int = 200
    hours: float = 48.0
    seed: int = 1
    speed: float | None = None
    faults: Faults = field(default_factory=Faults)
    models: tuple[str, ...] = ()
    reporting_interval_s: int | None = None

    @property
    def end(self) -> datetime:
        """Nothing is measured at this moment or later."""
        return self.start + timedelta(hours=self.hours)

    @property
    def span_ms(self) -> tuple[int, int]:
        """Start and end in milliseconds since 1970."""
        return _ms(self.start), _ms(self.end)


@dataclass(frozen=True)
class Simulation:
    """A fleet, what is wrong with it, and the messages that follow."""

    options: SimulationOptions
    fleet: list[Device] = field(repr=False)
    schedule: list[DevicePeriod] = field(repr=False)

    def registrations(self) -> Batch:
        """The lifecycle events that come before all telemetry."""
        start_ms = self.options.span_ms[0]
        return batch_of([lifecycle_dispatch(start_ms, _registered(each), each.model.model_id) for each in self.fleet])

    def stream(self) -> Iterator[Batch]:
        """Everything after the registrations, by simulated arrival."""
        options = self.options
        models = list({device.model.model_id: device.model for device in self.fleet}.values())
        fault = options.faults.impossible
        hour = None if fault is None else impossible_hour(fault, models, options.span_ms)
        return batches(self.fleet, self.schedule, options.faults, options.span_ms, options.seed, hour)


def plan(settings: Settings, options: SimulationOptions, now: datetime) -> Simulation:
    """Check the options and draw the fleet. Raises UsageError for what cannot be simulated at `now`."""
    if not options.hours > 0:
        raise UsageError(f"{options.hours} hours cannot be simulated: give --hours above 0.")
    if options.speed is not None and not options.speed > 0:
        raise UsageError(f"A speed of {options.speed} never ends: give --speed max, or a number above 0.")
    models = _models(settings, options)
    _check_clock(options, now)
    _check_extra_name(options, models)
    fleet = build_fleet(models, options.devices, options.start, options.reporting_interval_s)
    if options.faults.impossible is not None:
        impossible_hour(options.faults.impossible, models, options.span_ms)
    return Simulation(options, fleet, build_schedule(fleet, options.faults, options.span_ms[1], options.seed))


def simulate(
    settings: Settings,
    bootstrap: str,
    options: SimulationOptions,
    progress: Progress | None = None,
    stop: Event | None = None,
    clock: Clock | None = None,
    make_producer: MakeProducer | None = None,
) -> ManifestSummary:
    """Send a simulation to the broker at `bootstrap` and write its manifest to `settings.home`/manifests.

    When `stop` is set the rest is left out; the manifest then has what was sent. Raises UsageError for options that
    cannot be, PlatformError for a broker that does not take the messages (the manifest has those it took).
    """
    clock, stop = clock or SystemClock(), stop or Event()
    began, started_at = time.monotonic(), clock.now()
    simulation = plan(settings, options, started_at)
    fleet_ids = [device.device_id for device in simulation.fleet]
    producer = MessageProducer(bootstrap) if make_producer is None else make_producer(bootstrap, fleet_ids)
    run_id = f"{started_at:%Y%m%dT%H%M%SZ}-{_digest(options)}"
    manifest = ManifestWriter(settings.home / "manifests", run_id)
    try:
        with _rare_collections():
            send(iter([simulation.registrations()]), producer, manifest, stop)
            # telemetry of a device that the registry has not heard of would be refused
            manifest.store(producer.flush())
            producer.check()
            total = reading_count(simulation.fleet, options.span_ms)
            paced = pieces(simulation.stream(), options.span_ms[0], options.speed, clock, stop)
            send(paced, producer, manifest, stop, progress, total)
    finally:
        manifest.store(producer.flush())
        summary = manifest.finish(
            stop.is_set(), time.monotonic() - began, _arguments(options), _device_records(simulation)
        )
    producer.check()
    return summary


@contextmanager
def stop_on_signal() -> Iterator[Event]:
    """An event that Ctrl-C or a termination sets inside the block; a second Ctrl-C interrupts at once.

    A flag and not an exception, so that what was sent and what is written down never differ. Main thread only.
    """
    stop = Event()

    def handle(number: int, frame: object) -> None:
        if stop.is_set():
            raise KeyboardInterrupt
        stop.set()

    former = {number: signal.signal(number, handle) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield stop
    finally:
        for number, handler in former.items():
            signal.signal(number, handler)


@contextmanager
def _rare_collections() -> Iterator[None]:
    """Messages are many and in no cycles: looking for cycles as often as by default takes a third of the time."""
    former = gc.get_threshold()
    gc.set_threshold(100_000, 50, 1000)
    try:
        yield
    finally:
        gc.set_threshold(*former)


def _registered(device: Device) -> Message:
    return registered_message(
        device.device_id, device.model.model_id, device.site_id, device.reporting_interval_s, device.in_service_at
    )


def _models(settings: Settings, options: SimulationOptions) -> list[Model]:
    if not options.models:
        return list(load_models([BUILT_IN_MODELS]).values())
    known = known_models(settings)
    return list({model.model_id: model for model in (model_named(known, name) for name in options.models)}.values())


def _check_clock(options: SimulationOptions, now: datetime) -> None:
    """The broker's clock judges the devices' clocks, so a simulation must fit the time at which it runs."""
    last_sent = now + (options.end - options.start) / options.speed if options.speed else now
    if options.end > last_sent + timedelta(minutes=1):
        raise UsageError(
            f"The simulation ends at {rfc3339(options.end)}, which is still to come: all of it would look like "
            "clocks that are ahead. Give an earlier --start, fewer --hours, or --speed 1 with a --start of now."
        )
    ahead, behind = options.faults.clock_ahead, options.faults.clock_behind
    if ahead.devices and options.start + timedelta(hours=ahead.by_hours) < last_sent + _CLOCK_MARGIN:
        least = (last_sent + _CLOCK_MARGIN - options.start) / timedelta(hours=1)
        raise UsageError(
            f"by_hours of clock_ahead is {ahead.by_hours:g}, not ahead of today: give {least:.0f} or more."
        )
    if behind.devices and behind.by_hours < options.hours:
        raise UsageError(
            f"by_hours of clock_behind is {behind.by_hours:g}, within the time in service: "
            f"give {options.hours:g} or more."
        )


def _check_extra_name(options: SimulationOptions, models: list[Model]) -> None:
    name = options.faults.unknown_telemetry.name
    if any(telemetry.json_path[0] == name for model in models for telemetry in model.telemetry):
        raise UsageError(f"unknown_telemetry is named {name!r}, which a simulated model declares: give another name.")


def _arguments(options: SimulationOptions) -> dict[str, Any]:
    return {
        "start": rfc3339(options.start),
        "end": rfc3339(options.end),
        "devices": options.devices,
        "hours": options.hours,
        "seed": options.seed,
        "speed": options.speed,
        "models": list(options.models),
        "reporting_interval_s": options.reporting_interval_s,
        "faults": json.loads(options.faults.to_json()),
    }


def _device_records(simulation: Simulation) -> tuple[dict[str, Any], ...]:
    periods: dict[str, dict[str, list[list[str]]]] = {}
    for period in simulation.schedule:
        span = [_text(period.start_ms), _text(period.end_ms)]
        periods.setdefault(period.device_id, {}).setdefault(period.kind, []).append(span)
    return tuple(
        {
            "device_id": device.device_id,
            "model_id": device.model.model_id,
            "site_id": device.site_id,
            "in_service_at": rfc3339(device.in_service_at),
            "reporting_interval_s": device.reporting_interval_s,
            "periods": periods.get(device.device_id, {}),
        }
        for device in simulation.fleet
    )


def _digest(options: SimulationOptions) -> str:
    return hashlib.sha256(json.dumps(_arguments(options), sort_keys=True).encode()).hexdigest()[:8]


def _ms(moment: datetime) -> int:
    return round(moment.timestamp() * 1000)


def _text(ms: int) -> str:
    return rfc3339(datetime.fromtimestamp(ms / 1000, tz=UTC))
