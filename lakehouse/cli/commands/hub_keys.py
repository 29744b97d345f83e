"""`lakehouse hub authorities` and `lakehouse hub policies`: who vouches for devices, and the keys of services.

Belongs here: arguments and what is printed. What happens is in `hub.administration`.
"""

import json
from pathlib import Path

import click

from lakehouse.cli.hub_home import as_json_option, of_tenant, opened_hub


@click.group()
def authorities() -> None:
    """Certificate authorities whose certificates let devices in.

    \b
    Example:
      lakehouse hub authorities add factory factory-ca.pem
    """


@authorities.command("add")
@click.argument("name", metavar="NAME")
@click.argument("certificate", metavar="FILE", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@of_tenant
def add(name: str, certificate: Path, tenant: str) -> None:
    """Trust the authority whose certificate FILE holds in PEM: a device with a certificate of its is let in.

    \b
    Example:
      lakehouse hub authorities add factory factory-ca.pem
    """
    from hub.administration import add_device_authority

    with opened_hub() as (_, registry):
        add_device_authority(registry, tenant, name, certificate.read_bytes())
    click.echo(f"{name} is trusted.")


@authorities.command("list")
@of_tenant
@as_json_option
def list_authorities(tenant: str, as_json: bool) -> None:
    """List the authorities of a tenant; the hub's own is trusted beside them.

    \b
    Example:
      lakehouse hub authorities list
    """
    from hub.administration import device_authorities
    from lakehouse.cli.output import print_table

    with opened_hub() as (_, registry):
        found = device_authorities(registry, tenant)
    if as_json:
        click.echo(json.dumps(found, indent=2))
    else:
        print_table(("name", "subject", "ends_at", "thumbprint"), [tuple(each.values()) for each in found])


@authorities.command("remove")
@click.argument("name", metavar="NAME")
@of_tenant
def remove(name: str, tenant: str) -> None:
    """Trust an authority no more; devices that no other one vouches for are cut off within a second.

    \b
    Example:
      lakehouse hub authorities remove factory
    """
    from hub.administration import remove_device_authority

    with opened_hub() as (_, registry):
        remove_device_authority(registry, tenant, name)
    click.echo(f"{name} is trusted no more.")


@click.group()
def policies() -> None:
    """Shared access policies: what services sign their tokens by.

    \b
    Example:
      lakehouse hub policies rotate service --key secondary
    """


@policies.command("list")
@of_tenant
@as_json_option
def list_policies(tenant: str, as_json: bool) -> None:
    """List the policies of a tenant and their rights, without keys.

    \b
    Example:
      lakehouse hub policies list
    """
    from hub.registry.tenants import policies_of
    from lakehouse.cli.output import print_table

    with opened_hub() as (_, registry):
        found = registry.read(lambda tx: policies_of(tx, tenant))
    rows = [(policy.name, " ".join(sorted(policy.rights))) for policy in found]
    if as_json:
        click.echo(json.dumps([dict(zip(("name", "rights"), row, strict=True)) for row in rows], indent=2))
    else:
        print_table(("name", "rights"), rows)


@policies.command("rotate")
@click.argument("name", metavar="NAME")
@click.option("--key", "which", type=click.Choice(["primary", "secondary"]), default="primary", show_default=True)
@of_tenant
def rotate(name: str, which: str, tenant: str) -> None:
    """Make one of a policy's two keys anew and print what connects by it; who used the old one is cut off.

    \b
    Example:
      lakehouse hub policies rotate service --key secondary
    """
    from hub.administration import connection_string_of, rotate_policy_key

    with opened_hub() as (settings, registry):
        made = rotate_policy_key(registry, tenant, name, which)
        key = made.primary_key if which == "primary" else made.secondary_key
        click.echo(connection_string_of(settings, made.name, key))
