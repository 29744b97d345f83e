"""`lakehouse queues`: queues, topics and subscriptions of this home.

Belongs here: arguments and what is printed. What they do is in `serving.queues`.
"""

import json
from typing import Any

import click

from runtime.wording import counted


@click.group()
def queues() -> None:
    """Queues, topics and subscriptions that clients of Azure Service Bus reach under `lakehouse up --serve`.

    \b
    Example:
      lakehouse queues create orders
    """


@queues.command("list")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def list_(as_json: bool) -> None:
    """List what there is, with how many messages wait, are held, put aside, scheduled or dead.

    \b
    Examples:
      lakehouse queues list
      lakehouse queues list --json
    """
    from lakehouse.cli.output import print_table
    from runtime.settings import load_settings
    from serving.queues.queue_administration import overview
    from serving.queues.queue_store import opened_store

    with opened_store(load_settings()) as store:
        found = overview(store)
    if as_json:
        click.echo(json.dumps(found, indent=2))
    elif found:
        columns = ("name", "kind", "waiting", "held", "deferred", "scheduled", "dead")
        print_table(columns, [[row[name] for name in columns] for row in found])
    else:
        click.echo("There are no queues: `lakehouse queues create NAME` makes one.")


@queues.command("create")
@click.argument("name")
@click.option("--topic", "is_topic", is_flag=True, help="A topic, whose messages go to its subscriptions.")
@click.option("--of", "topic", metavar="TOPIC", help="A subscription of this topic.")
@click.option("--sql", help="Of a subscription: take messages for which this expression is true.")
@click.option("--lock", default=60.0, show_default=True, type=click.FloatRange(0.1, 300), help="Seconds of a lock.")
@click.option("--deliveries", default=10, show_default=True, type=click.IntRange(1, 2000), help="So often, then dead.")
@click.option("--ttl", type=click.FloatRange(0.001), help="Seconds that a message lives [default: for ever].")
@click.option("--keep-expired", is_flag=True, help="What expires becomes a dead letter.")
@click.option("--duplicates", default=0.0, type=click.FloatRange(0, 604_800), help="Seconds to know message ids for.")
@click.option("--sessions", is_flag=True, help="Messages belong to sessions.")
def create(name: str, is_topic: bool, topic: str | None, sql: str | None, **said: Any) -> None:
    """Make the queue NAME, or with --topic a topic, or with --of a subscription.

    \b
    Examples:
      lakehouse queues create orders --deliveries 5
      lakehouse queues create alerts --duplicates 604800
      lakehouse queues create readings --topic
      lakehouse queues create north --of readings --sql "site = 'north' AND sys.Label LIKE 'hot%'"
    """
    from runtime.errors import UsageError
    from runtime.settings import load_settings
    from serving.queues.queue_entities import (
        DEFAULT_RULE,
        QUEUE,
        TOPIC,
        EntityOptions,
        add_rule,
        create,
        create_subscription,
        remove_rule,
    )  # fmt: skip
    from serving.queues.queue_store import opened_store

    if (is_topic and topic is not None) or (sql is not None and topic is None):
        raise UsageError("Give --topic, or --of with a topic and, if you like, --sql.")
    options = EntityOptions(
        said["lock"], said["deliveries"], said["ttl"], said["duplicates"], said["sessions"], said["keep_expired"]
    )
    with opened_store(load_settings()) as store:
        if topic is None:
            made = create(store, name, options, TOPIC if is_topic else QUEUE)
        else:
            made = create_subscription(store, topic, name, options)
            if sql is not None:
                remove_rule(store, made.path, DEFAULT_RULE)
                add_rule(store, made.path, "sql", {"sql": sql})
    click.echo(f"The {made.kind} {made.name} is there.")


@queues.command("delete")
@click.argument("name")
@click.option("--yes", is_flag=True, help="Also when it has messages.")
def delete(name: str, yes: bool) -> None:
    """Delete a queue, topic or subscription with its messages.

    \b
    Examples:
      lakehouse queues delete orders
      lakehouse queues delete readings/subscriptions/north --yes
    """
    from runtime.errors import UsageError
    from runtime.settings import load_settings
    from serving.queues.queue_administration import overview
    from serving.queues.queue_entities import delete, path_of, require
    from serving.queues.queue_store import opened_store

    with opened_store(load_settings()) as store:
        name = require(store, name).name
        counts = ("waiting", "held", "deferred", "scheduled", "dead")
        within = [row for row in overview(store) if f"{path_of(row['name'])}/".startswith(f"{path_of(name)}/")]
        count = sum(row[each] for row in within for each in counts)
        if count and not yes:
            raise UsageError(f"{name} has {counted(count, 'message')}: give --yes to delete what is in it, too.")
        delete(store, name)
    click.echo(f"{name} is gone.")


@queues.command("peek")
@click.argument("name")
@click.option("--from", "first", default=0, type=click.IntRange(0), help="From this sequence number on.")
@click.option("--most", default=20, show_default=True, type=click.IntRange(1, 10_000), help="At most so many.")
@click.option("--json", "as_json", is_flag=True, help="Print a JSON object a line.")
def peek(name: str, first: int, most: int, as_json: bool) -> None:
    """Show messages of the queue or subscription NAME, and leave them as they are.

    \b
    Examples:
      lakehouse queues peek orders
      lakehouse queues peek readings/subscriptions/north --json
    """
    _show(name, first, most, as_json)


@queues.command("dead-letters")
@click.argument("name")
@click.option("--from", "first", default=0, type=click.IntRange(0), help="From this sequence number on.")
@click.option("--most", default=20, show_default=True, type=click.IntRange(1, 10_000), help="At most so many.")
@click.option("--json", "as_json", is_flag=True, help="Print a JSON object a line.")
def dead_letters(name: str, first: int, most: int, as_json: bool) -> None:
    """Show the dead letters of the queue or subscription NAME, each with its reason.

    \b
    Examples:
      lakehouse queues dead-letters orders
      lakehouse queues dead-letters orders --json
    """
    _show(f"{name}/$deadletterqueue", first, most, as_json)


@queues.command("resend")
@click.argument("name")
@click.argument("numbers", nargs=-1, type=int)
@click.option("--all", "every", is_flag=True, help="All dead letters that nobody holds.")
def resend(name: str, numbers: tuple[int, ...], every: bool) -> None:
    """Put dead letters of NAME back into it, by their sequence numbers, with all their deliveries.

    \b
    Examples:
      lakehouse queues resend orders 17 18
      lakehouse queues resend orders --all
    """
    from runtime.errors import UsageError
    from runtime.settings import load_settings
    from serving.queues.queue_administration import send_again
    from serving.queues.queue_entities import require
    from serving.queues.queue_store import opened_store

    if bool(numbers) == every:
        raise UsageError("Give either sequence numbers or --all.")
    with opened_store(load_settings()) as store:
        require(store, name)
        count = send_again(store, name, None if every else list(numbers))
    click.echo(f"{count:,} dead letters are back in {name}.")


@queues.command("connection")
def connection() -> None:
    """Print the connection string that clients are given. It holds the key of this home's queues.

    \b
    Example:
      lakehouse queues connection
    """
    from runtime.settings import load_settings
    from serving.queues.queue_administration import connection_string

    click.echo(connection_string(load_settings()))


def _show(address: str, first: int, most: int, as_json: bool) -> None:
    from lakehouse.cli.output import print_table
    from runtime.settings import load_settings
    from serving.queues.queue_administration import shown_messages
    from serving.queues.queue_store import opened_store

    with opened_store(load_settings()) as store:
        found = shown_messages(store, address, first, most)
    if as_json:
        for row in found:
            click.echo(json.dumps(row, ensure_ascii=False))
    elif found:
        columns = [name for name in found[0] if any(row[name] is not None for row in found)]
        print_table(columns, [[row[name] for name in columns] for row in found])
    else:
        click.echo("There are none.")
