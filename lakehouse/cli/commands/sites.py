"""`lakehouse sites`: what places are called, which time zone their days follow, and what they are a part of.

Belongs here: arguments, sending what is declared, and printing. What a declaration means is in
`transforms.site_history` and `transforms.places`.
"""

import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from wire.envelope import Message

_COLUMNS = ("site_id", "name", "zone", "parent_id", "path", "is_declared")


@click.group()
def sites() -> None:
    """Declare sites, whose days follow their own time zone, and list them.

    \b
    Examples:
      lakehouse sites add berlin --name "Plant Berlin" --zone Europe/Berlin
      lakehouse sites list
    """


@sites.command("add")
@click.argument("site_id", metavar="ID")
@click.option("--name", help="What people call it.")
@click.option("--zone", help="Its IANA time zone, as Europe/Berlin [default: its parent's, else UTC].")
@click.option("--parent", metavar="ID", help="The site that it is a part of.")
def add(site_id: str, name: str | None, zone: str | None, parent: str | None) -> None:
    """Declare the site ID, by a message on the topic lifecycle; what is left out stays as it was.

    It counts for all days, those before it too: the next refresh builds them anew. "" takes a value away.

    \b
    Examples:
      lakehouse sites add berlin --name "Plant Berlin" --zone Europe/Berlin
      lakehouse sites add hall-2 --parent berlin
      lakehouse sites add hall-2 --parent ""
    """
    from lake.local_days import zone_of
    from runtime.errors import UsageError
    from wire.envelope import rfc3339, site_message

    if not site_id:
        raise UsageError("A site needs an id.")
    if zone:
        zone_of(zone)
    given = {"name": name, "zone": zone, "parent_id": parent}
    now = rfc3339(datetime.now(UTC))
    attributes = {key: value for key, value in given.items() if value is not None}
    _send(site_message(site_id, f"declared-{site_id}-{now}", now, attributes))
    click.echo(f"Declared {site_id}. `lakehouse refresh` takes it in and builds the days that it changes.")


@sites.command("list")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def list_(as_json: bool) -> None:
    """List the sites of the newest publication.

    \b
    Examples:
      lakehouse sites list
      lakehouse sites list --json
    """
    import lakehouse
    from lakehouse.cli.output import print_table

    found = lakehouse.open().publication().table("sites").to_arrow().sort_by("path").to_pylist()
    if as_json:
        click.echo(json.dumps(found, ensure_ascii=False, indent=2))
    elif not found:
        click.echo("There are no sites: declare one by `lakehouse sites add`, or name one when a device is registered.")
    else:
        print_table(_COLUMNS, [[row[column] for column in _COLUMNS] for row in found])


def _send(message: "Message") -> None:
    from device_sim.producer import MessageProducer
    from ingestion.landing_topics import ensure_topics
    from ingestion.made_topics import made_by
    from runtime.kafka.broker import running_broker
    from runtime.settings import load_settings

    settings = load_settings()
    with running_broker(settings) as bootstrap:
        ensure_topics(bootstrap, made=made_by(settings))
        producer = MessageProducer(bootstrap)
        producer.send(message)
        producer.flush()
        producer.check()
