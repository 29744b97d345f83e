"""`lakehouse up` and `lakehouse down`: everything running, and nothing running.

Belongs here: what is printed. Which programs these are, and the options that they bring, `lakehouse.cli.rooms` says.
"""

import time
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from runtime.programs import Option
    from runtime.settings import Settings


class CommandOfPrograms(click.Command):
    """A command with the options of all programs before its own."""

    def get_params(self, ctx: click.Context) -> list[click.Parameter]:
        """The parameters, made once for each call of the command."""
        from lakehouse.cli.rooms import all_programs

        key = f"{__name__}.params"
        if key not in ctx.meta:
            ctx.meta[key] = [_click_option(option) for program in all_programs() for option in program.options]
        return [*ctx.meta[key], *super().get_params(ctx)]


def _click_option(option: "Option") -> click.Option:
    kind = click.IntRange(option.least, option.most) if option.kind is int else option.kind
    return click.Option(
        [f"--{option.name}"],
        type=kind,
        is_flag=option.kind is None,
        default=False if option.kind is None else option.default,
        show_default=option.default is not None,
        help=option.says,
    )


@click.command(cls=CommandOfPrograms)
@click.option("--detach/--foreground", help="Leave all of it running in the background. By default Ctrl-C stops all.")
def up(detach: bool, **chosen: Any) -> int:
    """Start the broker, Spark and Dagster, and publish whatever arrives.

    Ctrl-C here, or `lakehouse down` in another terminal, stops all of it. What runs already is left as it is.

    \b
    Examples:
      lakehouse up
      lakehouse up --simulate --devices 20
      lakehouse up --detach --port 3001
    """
    from lake.models.catalog import known_models
    from lakehouse.cli.rehearsal import rehearse_once
    from lakehouse.cli.rooms import all_programs
    from runtime.settings import load_settings
    from runtime.signals import sigterm_as_exit
    from runtime.supervisor import start_all, stop_all, supervising, watch

    settings = load_settings()
    # a model file that cannot be used is said before anything is started for it
    known_models(settings)
    programs = all_programs()
    rehearse_once(lambda words: click.echo(words, err=True))
    with sigterm_as_exit(), supervising(settings) as is_ours:
        began = time.monotonic()
        started = start_all(settings, programs, chosen, lambda what: click.echo(f"Starting {what} …"))
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
            stop_all(settings, programs)
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
    from lakehouse.cli.rooms import all_programs
    from runtime.settings import load_settings
    from runtime.supervisor import stop_all, stop_supervisor

    settings = load_settings()
    was_supervised = stop_supervisor(settings)
    stopped = stop_all(settings, all_programs())
    if was_supervised or stopped:
        click.echo("Stopped." if was_supervised else f"Stopped: {', '.join(stopped)}.")
    else:
        click.echo(f"Nothing runs for {settings.home}.")


def _print_addresses(settings: "Settings") -> None:
    from lakehouse.cli.rooms import all_programs
    from runtime import processes

    rows = []
    for program in all_programs():
        elsewhere = program.elsewhere(settings)
        record = processes.find(settings, program.name) if elsewhere is None else None
        if elsewhere is not None:
            rows.append((program.title, elsewhere))
        elif record is not None:
            found = program.found_at(settings, record.address).values()
            rows.append((program.title, " ".join(found) or f"process {record.pid}"))
    for title, address in [*rows, ("Lake", settings.lake_uri), ("Logs", str(settings.log_folder))]:
        click.echo(f"  {title:<17} {address}")
