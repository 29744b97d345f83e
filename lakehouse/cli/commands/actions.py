"""`lakehouse actions`: what was to be done about alarms, and what became of it.

Belongs here: arguments and what is printed. What an entry is, is in `streams.action_entries`.
"""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict

import click


@click.group()
def actions() -> None:
    """Webhooks, mails and messages to devices that rules ask for.

    They stand under `actions:` in <home>/streams/*.yml and are done under `lakehouse up --streams`.

    \b
    Example:
      lakehouse actions list --dead
    """


@actions.command("list")
@click.option("--dead", is_flag=True, help="Only those that were given up.")
@click.option("--json", "as_json", is_flag=True, help="Print a JSON object a line.")
def list_(dead: bool, as_json: bool) -> None:
    """List actions with their state: waiting, sent or dead.

    \b
    Examples:
      lakehouse actions list
      lakehouse actions list --dead --json
    """
    from lakehouse.cli.output import print_table
    from streams.action_entries import read_outbox

    with _landing_zone() as bootstrap:
        found = [entry for entry in read_outbox(bootstrap).values() if entry.state == "dead" or not dead]
    if as_json:
        for entry in found:
            click.echo(json.dumps(asdict(entry), ensure_ascii=False))
    elif not found:
        click.echo("There are none.")
    else:
        columns = ("action", "state", "attempts", "error")
        print_table(columns, [(entry.key, entry.state, entry.attempts, entry.error) for entry in found])


@actions.command("show")
@click.argument("key")
def show(key: str) -> None:
    """Show the action KEY with its alert, as JSON.

    \b
    Example:
      lakehouse actions show call/too_hot/pump-1/3
    """
    from runtime.errors import UsageError
    from streams.action_entries import read_outbox

    with _landing_zone() as bootstrap:
        found = read_outbox(bootstrap).get(key)
    if found is None:
        raise UsageError(f"There is no action {key!r}: `lakehouse actions list` shows them.")
    click.echo(json.dumps(asdict(found), ensure_ascii=False, indent=2))


@actions.command("retry")
@click.argument("key", required=False)
@click.option("--all", "every", is_flag=True, help="All that were given up.")
def retry(key: str | None, every: bool) -> None:
    """Have the action KEY, which was given up, tried again.

    \b
    Examples:
      lakehouse actions retry call/too_hot/pump-1/3
      lakehouse actions retry --all
    """
    from runtime.errors import UsageError
    from streams.action_entries import ask_again, read_outbox

    if (key is None) == (not every):
        raise UsageError("Give either the key of an action or --all.")
    with _landing_zone() as bootstrap:
        keys = [key] if key else [entry.key for entry in read_outbox(bootstrap).values() if entry.state == "dead"]
        for each in keys:
            ask_again(bootstrap, each)
            click.echo(f"{each} is tried again, as soon as `lakehouse up --streams` runs.")


@contextmanager
def _landing_zone() -> Iterator[str]:
    from runtime.kafka.broker import running_broker
    from runtime.settings import load_settings
    from streams.output_topics import ensure_output_topics

    with running_broker(load_settings()) as bootstrap:
        ensure_output_topics(bootstrap)
        yield bootstrap
