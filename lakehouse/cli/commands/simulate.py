"""`lakehouse simulate`: a fleet of simulated devices into the landing zone.

Belongs here: options, progress and what is printed. The simulation is `device_sim.simulation`.
"""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from device_sim.manifest import ManifestSummary
    from device_sim.simulation import SimulationOptions


def _speed(context: click.Context, parameter: click.Parameter, value: str) -> float | None:
    if value == "max":
        return None
    try:
        speed = float(value)
    except ValueError:
        speed = 0.0
    if not 0 < speed < float("inf"):
        raise click.BadParameter(f"{value!r} is neither 'max' nor a number above 0")
    return speed


def _start(context: click.Context, parameter: click.Parameter, value: str | None) -> datetime | None:
    if value is None:
        return None
    try:
        moment = datetime.fromisoformat(value)
    except ValueError:
        raise click.BadParameter(f"{value!r} is not a time: write it as 2026-11-20T05:00") from None
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)


@click.command()
@click.option("--devices", type=click.IntRange(min=1), default=200, show_default=True, help="Number of devices.")
@click.option("--hours", type=float, default=48.0, show_default=True, help="Hours of device time.")
@click.option(
    "--start",
    callback=_start,
    metavar="TIME",
    help="When the first device comes into service, in UTC. By default --hours ago, on the hour.",
)
@click.option("--seed", type=int, default=1, show_default=True, help="The same seed gives the same messages.")
@click.option(
    "--speed",
    callback=_speed,
    default="max",
    show_default=True,
    metavar="max|N",
    help="As fast as possible, or N times real time.",
)
@click.option(
    "--faults",
    "faults_file",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="JSON file of what goes wrong, and how often. By default nothing does.",
)
@click.option(
    "--models",
    "models",
    multiple=True,
    metavar="MODEL",
    help="DTMI or short name; may be repeated. By default the built-in ones.",
)
@click.option(
    "--interval",
    type=click.IntRange(min=1),
    metavar="SECONDS",
    help="Seconds between readings. By default what each model says.",
)
@click.option(
    "--hub", "is_by_hub", is_flag=True, help="Through the running hub, each device by its own MQTT connection."
)
@click.option("--print-faults", is_flag=True, help="Print a faults file to start from, and stop.")
def simulate(
    devices: int,
    hours: float,
    start: datetime | None,
    seed: int,
    speed: float | None,
    faults_file: Path | None,
    models: tuple[str, ...],
    interval: int | None,
    is_by_hub: bool,
    print_faults: bool,
) -> None:
    """Send the messages of a simulated fleet, and write down what was sent.

    The manifest names every message, its fault and what is to become of it. Sending the same simulation again (same
    options, same --start) sends repeats, which the lake recognises. Ctrl-C stops; the manifest has what was sent.

    \b
    Examples:
      lakehouse simulate --devices 50 --hours 24
      lakehouse simulate --print-faults > faults.json
      lakehouse simulate --faults faults.json --start 2026-11-20T00:00 --seed 7
      lakehouse simulate --hub --devices 20 --hours 2
      lakehouse simulate --models thermostat --speed 1 --start "$(date -u +%FT%TZ)"
    """
    from device_sim.faults import DEMO_FAULTS, Faults, read_faults

    if print_faults:
        click.echo(DEMO_FAULTS.to_json())
        return

    from device_sim.simulation import SimulationOptions

    now = datetime.now(UTC)
    options = SimulationOptions(
        start=start or (now - timedelta(hours=hours)).replace(minute=0, second=0, microsecond=0),
        devices=devices,
        hours=hours,
        seed=seed,
        speed=speed,
        faults=read_faults(faults_file) if faults_file else Faults(),
        models=models,
        reporting_interval_s=interval,
    )
    print_summary(_sent(options, now, is_by_hub))


def _sent(options: "SimulationOptions", now: datetime, is_by_hub: bool) -> "ManifestSummary":
    """What was sent: to the hub that runs, or to the broker, for as long as it takes one that is started."""
    from device_sim.simulation import plan, simulate, stop_on_signal
    from ingestion.landing_topics import ensure_topics
    from ingestion.made_topics import made_by
    from lakehouse.cli.hub_fleet import hub_producer, running_hub_address
    from runtime.kafka.broker import running_broker
    from runtime.settings import load_settings

    settings = load_settings()
    # what is wrong with the options is said before a broker is started for them
    plan(settings, options, now)
    make_producer = hub_producer(settings, running_hub_address(settings)) if is_by_hub else None
    with running_broker(settings) as bootstrap, stop_on_signal() as stop:
        ensure_topics(bootstrap, made=made_by(settings))
        with message_progress("Sending") as progress:
            return simulate(settings, bootstrap, options, progress, stop, make_producer=make_producer)


@contextmanager
def message_progress(what: str) -> Iterator[Callable[[int, int | None], None]]:
    """A progress bar on a terminal for what takes longer than a second; call it with what is done and in all."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn(what), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    console = Console(stderr=True)
    bar = Progress(*columns, console=console, transient=True, refresh_per_second=4, disable=not console.is_terminal)
    task = bar.add_task(what, total=None)
    began = time.monotonic()

    def show(done: int, total: int | None) -> None:
        bar.update(task, completed=done, total=total)
        if not bar.live.is_started and time.monotonic() - began > 1:
            bar.start()

    try:
        yield show
    finally:
        if bar.live.is_started:
            bar.stop()


def print_summary(summary: "ManifestSummary") -> None:
    """Counts by fault and by what is to become of them, and where the manifest is."""
    done = "Interrupted: sent" if summary.is_interrupted else "Sent"
    rate = (summary.telemetry_count + summary.lifecycle_count) / max(summary.elapsed_s, 0.001)
    click.echo(
        f"{done} {summary.telemetry_count:,} telemetry and {summary.lifecycle_count:,} lifecycle messages "
        f"in {summary.elapsed_s:.1f} s ({rate:,.0f}/s)."
    )
    for title, counts in (("fault", summary.faults), ("to become", summary.fates), ("model", summary.models)):
        width = max(map(len, (title, *counts)))
        click.echo(f"\n  {title:<{width}}   messages")
        for name, count in sorted(counts.items(), key=lambda item: -item[1]):
            click.echo(f"  {name:<{width}} {count:>10,}")
    click.echo(f"\nManifest: {summary.parquet_path}")
