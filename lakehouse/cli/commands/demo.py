"""`lakehouse demo`: a simulated fleet all the way to published gold, checked and shown.

Belongs here: the order of the steps, their display, and what is printed at the end. The steps are those of the other
commands; the check is `pipeline.proof.reconcile`, the report `serving.report.page`, the home's protection `demo_home`.
"""

import shlex
import shutil
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import click

from runtime.wording import counted

if TYPE_CHECKING:
    from device_sim.manifest import ManifestSummary
    from device_sim.simulation import SimulationOptions
    from pipeline.proof.reconcile import Reconciliation
    from runtime.settings import Settings

DEFAULT_SEED = 7
# of the thermostats' readings in one hour; their model lets 5 % be rejected
_IMPOSSIBLE_SHARE = 0.3
_LINES_SHOWN = 8


@click.command()
@click.option("--devices", type=click.IntRange(min=3), default=200, show_default=True, help="Number of devices.")
@click.option("--hours", type=click.IntRange(min=3), default=48, show_default=True, help="Hours of device time.")
@click.option("--seed", type=int, help=f"The same seed gives the same faults. By default {DEFAULT_SEED}.")
@click.option("--keep", is_flag=True, help="Add to what this home holds instead of starting from an empty lake.")
@click.option("--hub", "is_by_hub", is_flag=True, help="Devices send by MQTT through a hub that the demo starts.")
def demo(devices: int, hours: int, seed: int | None, keep: bool, is_by_hub: bool) -> int:
    """Run everything once: devices, Kafka, bronze, silver, gold; then check it message by message.

    A simulated fleet of three device models sends late, repeated, out-of-order, broken and wrong-clock messages; some
    devices fall silent; and in one hour so many readings are impossible that the gate is to hold it. Ends with exit
    code 0 when every message is where it should be, with 1 when one is not.

    It fills the home of this folder (LAKEHOUSE_HOME) and, run again, empties what the last demo left there.

    \b
    Examples:
      lakehouse demo
      lakehouse demo --devices 30 --hours 6
      lakehouse demo --hub --devices 30 --hours 6
      LAKEHOUSE_HOME=/tmp/try lakehouse demo --seed 3
    """
    from lakehouse.cli import demo_home
    from lakehouse.cli.rehearsal import rehearse_once
    from runtime.settings import load_settings

    settings = load_settings()
    before = demo_home.prepare(settings, keep)
    seed = _seed(seed, before.seeds)
    rehearse_once(lambda words: click.echo(words, err=True))
    steps = Steps()
    click.echo(f"The demo's lake is in {settings.home}.\n")
    with demo_home.marked(settings, before, seed):
        summary = _fill(settings, steps, _options(devices, hours, seed), is_new=not keep, is_by_hub=is_by_hub)
    with steps.step("Compare what was sent with each layer") as step:
        from pipeline.proof.reconcile import reconcile

        result = reconcile(settings, summary.json_path, is_alone=not keep)
        step.result = f"{sum(line.meets for line in result.lines)} of {len(result.lines)} lines meet"
    with steps.step("Write the report") as step:
        from serving.report.page import write_report

        report = write_report(settings, summary, result, settings.home / "report" / "demo.html", now=datetime.now(UTC))
        step.result = str(report)
    click.echo(f"\nDone in {steps.elapsed_s:.0f} s.")
    _show_reconciliation(result)
    _show_gold(settings)
    _show_next(settings, report, result)
    return 0 if result.meets else 1


def _fill(
    settings: "Settings", steps: "Steps", options: "SimulationOptions", *, is_new: bool, is_by_hub: bool
) -> "ManifestSummary":
    """Simulate, then run the graph; the broker and Spark run for as long as that takes."""
    from device_sim.simulation import simulate
    from ingestion.landing_topics import ensure_topics
    from ingestion.made_topics import made_by
    from lakehouse.cli.hub_fleet import hub_producer, started_hub
    from runtime.kafka.broker import running_broker
    from runtime.signals import sigterm_as_exit
    from runtime.spark.connect_server import running_spark

    with sigterm_as_exit(), in_background(running_spark(settings)) as spark, ExitStack() as running:
        with steps.step("Start Kafka; Spark starts beside it") as step:
            bootstrap = running.enter_context(running_broker(settings))
            ensure_topics(bootstrap, made=made_by(settings))
            if is_new:
                _check_empty(bootstrap)
            step.result = f"broker at {bootstrap}"
        with steps.step(f"Simulate {options.devices} devices for {options.hours:g} hours") as step:
            make = hub_producer(settings, running.enter_context(started_hub(settings))) if is_by_hub else None
            show = partial(_show_sent, step)
            summary = simulate(settings, bootstrap, options, show, make_producer=make)
            faulty = summary.telemetry_count - summary.faults.get("none", 0)
            step.result = f"{counted(summary.telemetry_count, 'message')}, {faulty:,} of them not as they should be"
        with steps.step("Load Dagster, and wait for Spark") as step:
            from dagster_project.runs.in_process import run_job

            step.result = f"Spark at {spark.result().partition('/;')[0]}"  # without its key
        with steps.step("Run the Dagster job 'refresh'") as step:
            # so few messages the run would read by itself: the demo shows the whole line
            run = run_job(replace(settings, ingest_engine="spark"), "refresh", progress=step.stage)
            if run.tick is not None and run.outcome is not None:
                step.result = (
                    f"{counted(sum(run.tick.rows.values()), 'reading')}, {sum(run.tick.rejected.values()):,} rejected; "
                    f"{counted(len(run.outcome.published), 'hour')} published"
                )
    return summary


def _show_sent(step: "Step", sent: int, total: int) -> None:
    step.now(f"{sent:,} of {total:,} sent")


@contextmanager
def in_background(manager: AbstractContextManager[str]) -> Iterator[Future[str]]:
    """Enter a context manager beside the block, which asks the future for its value; leave it after the block."""
    with ExitStack() as stack, ThreadPoolExecutor(1) as pool:
        yield pool.submit(stack.enter_context, manager)


class Step:
    """A step that is under way. `result` says in the end what came of it."""

    def __init__(self, show: Callable[[str], None]) -> None:
        self.result = ""
        self._show = show
        self._stage: tuple[str, float] | None = None

    def now(self, words: str) -> None:
        """Say what is being done; seen on a terminal only, and only while it lasts."""
        self._show(words)

    def stage(self, words: str) -> None:
        """Begin a part of the step; the one before gets a line with its seconds. "x (3 of 7)" is a part of a part."""
        self.now(words)
        if not words.endswith(")"):
            self.end_stage()
            self._stage = (words, time.monotonic())

    def end_stage(self) -> None:
        """Print the line of the part that has ended."""
        if self._stage is not None:
            click.echo(_timed(f"     {self._stage[0]}", time.monotonic() - self._stage[1]))
            self._stage = None


class Steps:
    """Lines on stdout with the seconds that each step took; on a terminal also what is being done."""

    def __init__(self) -> None:
        self._began = time.monotonic()
        self._number = 0

    @property
    def elapsed_s(self) -> float:
        """Seconds since the first step."""
        return time.monotonic() - self._began

    @contextmanager
    def step(self, title: str) -> Iterator[Step]:
        """Show a step while the block runs."""
        from rich.console import Console

        self._number += 1
        began = time.monotonic()
        click.echo(f"{self._number}. {title}")
        with Console(highlight=False).status(title) as status:
            step = Step(status.update)
            yield step
            step.end_stage()
        click.echo(_timed(f"   {step.result}", time.monotonic() - began))


def _timed(words: str, seconds: float) -> str:
    return f"{words:<75} {seconds:6.1f} s"


def _seed(wanted: int | None, earlier: tuple[int, ...]) -> int:
    from runtime.errors import UsageError

    if wanted is None:
        return max(earlier, default=DEFAULT_SEED - 1) + 1
    if wanted in earlier:
        raise UsageError(f"This home has the messages of seed {wanted} already: give another --seed.")
    return wanted


def _options(devices: int, hours: int, seed: int) -> "SimulationOptions":
    from device_sim.faults import DEMO_FAULTS, Impossible
    from device_sim.simulation import SimulationOptions

    start = (datetime.now(UTC) - timedelta(hours=hours)).replace(minute=0, second=0, microsecond=0)
    faults = replace(
        DEMO_FAULTS, impossible=Impossible(_impossible_hour(start, hours), _IMPOSSIBLE_SHARE, "thermostat")
    )
    return SimulationOptions(start=start, devices=devices, hours=float(hours), seed=seed, faults=faults)


def _impossible_hour(start: datetime, hours: int) -> int:
    """An hour amid the first day, or late on the last if the first is short: its day is held, and the one between is
    published as a whole."""
    of_first_day = min(24 - start.hour, hours)
    return of_first_day // 2 if of_first_day >= 3 else hours - 2


def _check_empty(bootstrap: str) -> None:
    from ingestion.kafka_offsets import broker_offsets
    from ingestion.landing_topics import TOPICS
    from runtime.errors import UsageError

    for topic in TOPICS:
        if any(end > start for start, end in broker_offsets(bootstrap, topic.name).values()):
            raise UsageError(
                f"The topic {topic.name} at {bootstrap} holds messages that no demo here sent: leave out "
                "LAKEHOUSE_KAFKA_BOOTSTRAP for a broker of the demo's own, or add to them with --keep."
            )


def _show_reconciliation(result: "Reconciliation") -> None:
    from lakehouse.cli.output import print_table

    click.echo("\nWhat was sent, and what is in each layer:\n")
    counts = [(_counted(line.expected), _counted(line.found)) for line in result.lines]
    width = max(len(text) for pair in counts for text in pair)
    print_table(
        ["layer", "what", "expected".rjust(width), "found".rjust(width), ""],
        [
            (line.layer, line.what, expected.rjust(width), found.rjust(width), "" if line.meets else "DIFFERS")
            for line, (expected, found) in zip(result.lines, counts, strict=True)
        ],
    )
    for difference in result.differences:
        click.echo(
            f"  {difference.layer}: {difference.where}: expected {difference.expected}; found {difference.found}"
        )
    for words in result.uncompared:
        click.echo(f"  Not compared: {words}.")
    verdict = "Every message is where it should be." if result.meets else "The layers do not meet."
    click.secho(f"\n{verdict}", bold=True, fg="green" if result.meets else "red")


def _counted(value: int | str) -> str:
    return f"{value:,}" if isinstance(value, int) else value


def _show_gold(settings: "Settings") -> None:
    from lake.models.catalog import known_models
    from lake.reading.reader import open_reader
    from lakehouse.cli.output import print_table
    from serving.report.data import GLANCES

    with open_reader(settings, known_models(settings)) as reader:
        for title, sql in GLANCES:
            found = reader.run(sql)
            click.echo(f"\n{title}\n")
            print_table([column[0] for column in found.description], found.fetchall())


def _show_next(settings: "Settings", report: Path, result: "Reconciliation") -> None:
    command = _command(settings)
    click.echo(f"\nThe report: {report.as_uri()}")
    click.echo("\nNext:")
    click.echo(f"  {command} status")
    click.echo(f"""  {command} sql "select * from gold.device_latest limit 5" """.rstrip())
    click.echo(f"  {command} up            # the Dagster UI, with this run in it")
    if result.held_hours and result.meets:
        click.echo(
            f"\n{' and '.join(result.held_hours)} is held on purpose: {_IMPOSSIBLE_SHARE:.0%} of its thermostats' "
            "readings are impossible. To publish it in spite of that:"
        )
        click.echo(f"""  {command} release {result.held_hours[0]} --why "seen it" """.rstrip())


def _command(settings: "Settings") -> str:
    """How to call this program for this home from this folder."""
    program = "lakehouse" if shutil.which("lakehouse") else str(Path(sys.argv[0]))
    home = "" if settings.home == Path.cwd() / ".lakehouse" else f"LAKEHOUSE_HOME={shlex.quote(str(settings.home))} "
    return home + program
