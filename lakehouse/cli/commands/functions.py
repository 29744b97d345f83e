"""`lakehouse functions`: apps of Azure Functions beside the hot path.

Belongs here: arguments and what is printed. How functions are run is in `streams.functions`.
"""

import json
from dataclasses import asdict
from pathlib import Path

import click


@click.group()
def functions() -> None:
    """Run unmodified apps of Azure Functions (Python, v2) on this lakehouse's Kafka.

    \b
    Example:
      lakehouse functions run ./my-app
    """


@functions.command("run")
@click.argument("folder", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option("--time-limit", "time_s", type=click.FloatRange(min=0.1), default=300.0, show_default=True,
              help="Seconds after which a call is ended.")  # fmt: skip
@click.option("--memory-limit", "memory_mb", type=click.IntRange(min=64), default=512, show_default=True,
              help="Megabytes of a function's process at which it is ended.")  # fmt: skip
@click.option("--port", type=click.IntRange(1, 65535), default=7071, show_default=True,
              help="Port on 127.0.0.1 for functions with HTTP triggers.")  # fmt: skip
@click.option("--reload", is_flag=True, help="Take up changes of the app, for development.")
def run(folder: Path, time_s: float, memory_mb: int, port: int, reload: bool) -> None:
    """Run the app in FOLDER, the one with function_app.py, until Ctrl-C.

    Event hubs, Kafka topics and queues are topics of this lakehouse's Kafka. Each function has a process of its own.

    \b
    Examples:
      lakehouse functions run ./my-app --reload
      lakehouse functions run ./my-app --time-limit 10 --memory-limit 256
    """
    from runtime.kafka.broker import running_broker
    from runtime.settings import load_settings
    from runtime.signals import asked_to_stop
    from streams.functions.function_calls import Limits
    from streams.functions.function_host import HostOptions, run_functions

    options = HostOptions(Limits(time_s, memory_mb), port, reload)
    with asked_to_stop() as stop, running_broker(load_settings()) as bootstrap:
        run_functions(bootstrap, folder, options, stop, lambda what: click.echo(what, err=True))


@functions.command("dead-letters")
@click.option("--json", "as_json", is_flag=True, help="Print a JSON object a line, with the value of the record.")
def dead_letters(as_json: bool) -> None:
    """List the records that a function was given up for, oldest first.

    \b
    Examples:
      lakehouse functions dead-letters
      lakehouse functions dead-letters --json
    """
    from lakehouse.cli.output import print_table
    from runtime.kafka.broker import running_broker
    from runtime.settings import load_settings
    from streams.functions.function_outputs import read_dead_letters

    with running_broker(load_settings()) as bootstrap:
        found = read_dead_letters(bootstrap)
    if as_json:
        for letter, value in found:
            click.echo(json.dumps({**asdict(letter), "value": value.decode("utf-8", "replace")}, ensure_ascii=False))
    elif not found:
        click.echo("There are none.")
    else:
        rows = [(letter.function, letter.record, letter.attempts, letter.error) for letter, _ in found]
        print_table(("function", "record", "attempts", "error"), rows)
