"""`lakehouse keys`: API keys of this home.

Belongs here: arguments and what is printed. What a key may do is in `serving.access`.
"""

import json
from datetime import UTC, datetime, timedelta

import click


@click.group()
def keys() -> None:
    """Make, list, rotate and revoke the keys of the API and of sharing, and see how often each is used.

    \b
    Example:
      lakehouse keys create dashboard --scope read
    """


@keys.command("create")
@click.argument("name")
@click.option(
    "--scope",
    "scopes",
    multiple=True,
    required=True,
    metavar="VERB[:site=NAME|:tenant=NAME]",
    help="What it may do: read, share, release, mail; for one site, or the sites of a tenant. May be given again.",
)
@click.option("--rate", default=50.0, show_default=True, type=click.FloatRange(0.01, 1e5), help="Requests a second.")
@click.option("--days", type=click.IntRange(1, 36_500), help="It expires after so many days [default: never].")
@click.option("--json", "as_json", is_flag=True, help='Print JSON: {"key_id", "key"}.')
def create(name: str, scopes: tuple[str, ...], rate: float, days: int | None, as_json: bool) -> None:
    """Make a key named NAME. It is shown now and never again.

    \b
    Examples:
      lakehouse keys create dashboard --scope read
      lakehouse keys create north --scope read:site=north --rate 10 --days 90 --json
    """
    from runtime.settings import load_settings
    from serving.access.api_keys import ApiKeys
    from serving.access.scopes import parse_scopes

    now = datetime.now(UTC)
    expires_at = None if days is None else now + timedelta(days=days)
    store = ApiKeys(load_settings())
    key_id, key = store.create(name, parse_scopes(scopes), now, requests_a_second=rate, expires_at=expires_at)
    if as_json:
        click.echo(json.dumps({"key_id": key_id, "key": key}))
    else:
        click.echo(f"{key}\n\nThis is the key {name} ({key_id}). It is not kept here: copy it now.", err=False)


@keys.command("list")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def list_(as_json: bool) -> None:
    """List the keys, without their secrets.

    \b
    Examples:
      lakehouse keys list
    """
    from runtime.settings import load_settings
    from serving.access.api_keys import ApiKeys

    found = ApiKeys(load_settings()).list_all()
    if as_json:
        rows = [
            {
                "key_id": key.key_id,
                "name": key.name,
                "scopes": [str(grant) for grant in key.scopes.grants],
                "requests_a_second": key.requests_a_second,
                "created_at": key.created_at.isoformat(),
                "expires_at": key.expires_at and key.expires_at.isoformat(),
                "revoked_at": key.revoked_at and key.revoked_at.isoformat(),
            }
            for key in found
        ]
        click.echo(json.dumps(rows, indent=2))
        return
    for key in found:
        state = "revoked" if key.revoked_at else "" if key.is_valid(datetime.now(UTC)) else "expired"
        click.echo(f"{key.key_id}  {key.name}  {', '.join(map(str, key.scopes.grants))}  {state}".rstrip())
    if not found:
        click.echo("There are no keys: `lakehouse keys create NAME --scope read` makes one.")


@keys.command("revoke")
@click.argument("name_or_id")
def revoke(name_or_id: str) -> None:
    """Refuse a key from now on, by its name or id.

    \b
    Examples:
      lakehouse keys revoke dashboard
    """
    from runtime.settings import load_settings
    from serving.access.api_keys import ApiKeys

    key_id = ApiKeys(load_settings()).revoke(name_or_id, datetime.now(UTC))
    click.echo(f"The key {name_or_id} ({key_id}) is revoked: it is refused within a second.")


@keys.command("rotate")
@click.argument("name_or_id")
@click.option(
    "--overlap-hours",
    default=24.0,
    show_default=True,
    type=click.FloatRange(0, 8760),
    help="The old key holds so long on.",
)
@click.option("--json", "as_json", is_flag=True, help='Print JSON: {"key_id", "key"}.')
def rotate(name_or_id: str, overlap_hours: float, as_json: bool) -> None:
    """Make a new key in place of one, with its name, scopes and rate; the old one holds for a while on.

    \b
    Examples:
      lakehouse keys rotate dashboard
      lakehouse keys rotate dashboard --overlap-hours 1 --json
    """
    from runtime.settings import load_settings
    from serving.access.api_keys import ApiKeys

    overlap = timedelta(hours=overlap_hours)
    key_id, key = ApiKeys(load_settings()).rotate(name_or_id, datetime.now(UTC), overlap)
    if as_json:
        click.echo(json.dumps({"key_id": key_id, "key": key}))
    else:
        click.echo(f"{key}\n\nThis is the new key ({key_id}). It is not kept here: copy it now.")
        click.echo(f"The old one is refused in {overlap_hours:g} hours.")


@keys.command("usage")
@click.option("--days", default=7, show_default=True, type=click.IntRange(1, 36_500), help="So many UTC days back.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def usage(days: int, as_json: bool) -> None:
    """Say how often each key, and each user of the identity provider, asked by UTC day.

    A running server notes it every few seconds.

    \b
    Examples:
      lakehouse keys usage
      lakehouse keys usage --days 30 --json
    """
    from lakehouse.cli.output import print_table
    from runtime.settings import load_settings
    from serving.access.api_keys import ApiKeys

    first = (datetime.now(UTC) - timedelta(days=days - 1)).date()
    found = ApiKeys(load_settings()).usage_since(first)
    if as_json:
        click.echo(json.dumps(found, indent=2))
    elif found:
        names = ("day", "name", "key_id", "request_count", "refused_count")
        print_table(names, [[row[name] for name in names] for row in found])
    else:
        click.echo("No key asked for anything in these days.")
