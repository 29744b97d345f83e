"""`lakehouse hub devices`: devices of this home's hub.

Belongs here: arguments and what is printed. What happens is in `hub.administration`.
"""

import json
import sys
from typing import TYPE_CHECKING

import click

from lakehouse.cli.hub_home import as_json_option, of_tenant, opened_hub

if TYPE_CHECKING:
    from hub.registry.identities import Identity
    from runtime.settings import Settings


@click.group()
def devices() -> None:
    """Create, list, disable devices, and give them new keys.

    \b
    Example:
      lakehouse hub devices create pump-1 --site north --json
    """


@devices.command("create")
@click.argument("device_id", metavar="ID")
@click.option("--model", metavar="DTMI", help="The device's model.")
@click.option("--site", help="Where it is.")
@of_tenant
@as_json_option
def create(device_id: str, model: str | None, site: str | None, tenant: str, as_json: bool) -> None:
    """Register a device and print what it connects with.

    \b
    Example:
      lakehouse hub devices create pump-1 --model "dtmi:lakehouse:pump;1" --site north --json
    """
    from hub.administration import create_device
    from lake.models.catalog import known_models
    from runtime.errors import UsageError

    with opened_hub() as (settings, registry):
        if model is not None and model not in (known := known_models(settings)):
            raise UsageError(
                f"There is no model {model}: there are {', '.join(sorted(known))}. See `lakehouse models`."
            )
        _print_device(settings, create_device(registry, tenant, device_id, model, site), as_json)


@devices.command("show")
@click.argument("device_id", metavar="ID")
@of_tenant
@as_json_option
def show(device_id: str, tenant: str, as_json: bool) -> None:
    """Print again what a device connects with.

    \b
    Example:
      lakehouse hub devices show pump-1 --json
    """
    from hub.registry.tenants import require_own

    with opened_hub() as (settings, registry):
        _print_device(settings, registry.read(lambda tx: require_own(tx, tenant, device_id)), as_json)


@devices.command("list")
@of_tenant
@as_json_option
def list_(tenant: str, as_json: bool) -> None:
    """List the devices of a tenant.

    \b
    Example:
      lakehouse hub devices list
    """
    from hub.registry.identities import devices_of
    from hub.registry.moments import NEVER
    from hub.twins.identity_json import identity_json
    from lakehouse.cli.output import print_table

    with opened_hub() as (_, registry):
        found = registry.read(
            lambda tx: [(each, identity_json(tx, each)) for each in devices_of(tx, tenant, sys.maxsize)]
        )
    rows = [
        (
            d.device_id,
            d.status,
            about["connectionState"].lower(),
            d.model_id,
            d.site_id,
            about["lastActivityTime"].replace(NEVER, ""),
        )
        for d, about in found
    ]
    names = ("device_id", "status", "connection", "model_id", "site_id", "last_activity_at")
    if as_json:
        click.echo(json.dumps([dict(zip(names, row, strict=True)) for row in rows], indent=2))
    else:
        print_table(names, [[each or "" for each in row] for row in rows])


@devices.command("disable")
@click.argument("device_id", metavar="ID")
@click.option("--undo", is_flag=True, help="Let it in again.")
@of_tenant
def disable(device_id: str, undo: bool, tenant: str) -> None:
    """Cut a device off within a second, and let it in no more.

    \b
    Examples:
      lakehouse hub devices disable pump-1
      lakehouse hub devices disable pump-1 --undo
    """
    from hub.administration import set_status

    with opened_hub() as (_, registry):
        made = set_status(registry, tenant, device_id, "enabled" if undo else "disabled")
    click.echo(f"{device_id} is {made.status}.")


@devices.command("rotate")
@click.argument("device_id", metavar="ID")
@click.option("--key", "which", type=click.Choice(["primary", "secondary"]), default="primary", show_default=True)
@of_tenant
@as_json_option
def rotate(device_id: str, which: str, tenant: str, as_json: bool) -> None:
    """Make one of a device's two keys anew; connections by the other stay.

    \b
    Example:
      lakehouse hub devices rotate pump-1 --key secondary
    """
    from hub.administration import rotate_key

    with opened_hub() as (settings, registry):
        _print_device(settings, rotate_key(registry, tenant, device_id, which), as_json)


def _print_device(settings: "Settings", device: "Identity", as_json: bool) -> None:
    from hub.administration import device_connection_string

    text = device_connection_string(settings, device)
    click.echo(json.dumps({"device_id": device.device_id, "connection_string": text}) if as_json else text)
