"""`lakehouse up` and `lakehouse down`: everything running, and nothing running.

Belongs here: options and what is printed. Which programs these are stands in `lakehouse.cli.supervisor`.
"""

import time
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from runtime.settings import Settings

_TITLES = {
    "webserver": "Dagster's UI",
    "broker": "Kafka",
    "spark": "Spark Connect",
    "daemon": "Dagster's daemon",
    "code-server": "Dagster's code",
    "simulator": "Simulator",
}


@click.command()
@click.option("--simulate", is_flag=True, help="Also simulate a fleet that sends in real time.")
@click.option("--devices", type=click.IntRange(min=1), default=50, show_default=True, help="Size of that fleet.")
@click.option(
    "--port",
    type=click.IntRange(1, 65535),
    help="Port of Dagster's UI. By default LAKEHOUSE_UI_PORT, 3000 or a free one.",
)
@click.option("--detach/--foreground", help="Leave all of it running in the background. By default Ctrl-C stops all.")
def up(simulate: bool, devices: int, port: int | None, detach: bool) -> int:
    """Start the broker, Spark and Dagster, and publish whatever arrives.

    Ctrl-C here, or `lakehouse down` in another terminal, stops all of it. What runs already is left as it is.

    \b
    Examples:
      lakehouse up
      lakehouse up --simulate --devices 20
      lakehouse up --detach --port 3001
    """
    from lake.models.catalog import known_models
    from lakehouse.cli.supervisor import Wish, start_all, stop_all, supervising, watch
    from runtime.settings import load_settings
    from runtime.signals import sigterm_as_exit

    settings = load_settings()
    # a model file that cannot be used is said before anything is started for it
    known_models(settings)
    wish = Wish(port, devices if simulate else 0)
    with sigterm_as_exit(), supervising(settings) as is_ours:
        began = time.monotonic()
        started = start_all(settings, wish, lambda what: click.echo(f"Starting {what} …"))
        if started:
            click.echo(f"All of it answers after {time.monotonic() - began:.0f} s.")
        else:
            click.echo("It is running already.")
        _print_addresses(settings)
        if detach or not started or not is_ours:
            click.echo("`lakehouse down` stops all of it.")
            return 0
        click.echo("Ctrl-C stops all of it.")
        is_well = False
        try:
            is_well = watch(settings, lambda what: click.echo(what, err=True))
        finally:
            click.echo("Stopping …")
            stop_all(settings)
            click.echo("Stopped.")
    return 0 if is_well else 1


@click.command()
def down() -> None:
    """Stop everything that runs for this home, also what a killed command has left behind.

    The data stay.

    \b
    Example:
      lakehouse down
    """
    from lakehouse.cli.supervisor import stop_all, stop_supervisor
    from runtime.settings import load_settings

    settings = load_settings()
    was_supervised = stop_supervisor(settings)
    stopped = stop_all(settings)
    if was_supervised or stopped:
        click.echo("Stopped." if was_supervised else f"Stopped: {', '.join(stopped)}.")
    else:
        click.echo(f"Nothing runs for {settings.home}.")


def _print_addresses(settings: "Settings") -> None:
    from runtime.processes import running_processes

    records = {record.name: record for record in running_processes(settings)}
    rows = [
        (title, records[name].address or f"process {records[name].pid}")
        for name, title in _TITLES.items()
        if name in records
    ]
    if settings.kafka_bootstrap is not None:
        rows.append(("Kafka", settings.kafka_bootstrap))
    if settings.spark.startswith("sc://"):
        rows.append(("Spark Connect", settings.spark))
    rows += [("Lake", settings.lake_uri), ("Logs", str(settings.log_folder))]
    for title, address in rows:
        click.echo(f"  {title:<17} {address}")
