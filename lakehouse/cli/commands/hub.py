"""`lakehouse hub`: devices, keys and twins of this home's hub.

Belongs here: arguments and what is printed. What happens is in `hub.administration` and the registry.
"""

import json
from pathlib import Path
from typing import Any

import click

from lakehouse.cli.commands.hub_devices import devices
from lakehouse.cli.commands.hub_keys import authorities, policies
from lakehouse.cli.given_files import json_of, text_of
from lakehouse.cli.hub_home import as_json_option, of_tenant, opened_hub


@click.group()
def hub() -> None:
    """Devices that connect with the SDK that they already have.

    \b
    Examples:
      lakehouse up --hub
      eval "$(lakehouse hub env)"
      lakehouse hub devices create pump-1 --site north
    """


for group in (devices, authorities, policies):
    hub.add_command(group)


@hub.command("env")
def env() -> None:
    """Print shell lines that make clients trust this hub, and find it.

    \b
    Example:
      eval "$(lakehouse hub env)"
    """
    from hub.administration import hub_host, root_certificate
    from runtime.settings import load_settings

    settings = load_settings()
    path = str(root_certificate(settings)).replace("'", "'\\''")
    for name in ("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "NODE_EXTRA_CA_CERTS"):
        click.echo(f"export {name}='{path}'")
    click.echo(f"export LAKEHOUSE_HUB_HOST='{hub_host(settings)}'")


@hub.command("connection-string")
@click.option("--events", is_flag=True, help="For a client of Event Hubs, which receives what devices send.")
@of_tenant
@as_json_option
def connection_string(events: bool, tenant: str, as_json: bool) -> None:
    """Print what a service SDK connects with.

    \b
    Examples:
      lakehouse hub connection-string --json
      lakehouse hub connection-string --events
    """
    from hub.administration import event_hub_connection_string, service_connection_string
    from hub.registry.tenants import id_scope

    with opened_hub() as (settings, registry):
        text = service_connection_string(settings, registry, tenant)
        receiving = event_hub_connection_string(settings, registry, tenant)
        scope = registry.read(lambda tx: id_scope(tx, tenant))
    found = {"connection_string": text, "events_connection_string": receiving, "id_scope": scope}
    click.echo(json.dumps(found) if as_json else receiving if events else text)


@hub.command("enroll")
@click.argument("enrolment_id", metavar="ID")
@click.option("--group", is_flag=True, help="Many devices, whose keys follow from the group's.")
@click.option(
    "--certificate", type=click.Path(exists=True, dir_okay=False, path_type=Path), help="PEM instead of keys."
)
@click.option("--site", help="Where its devices are.")
@click.option(
    "--firmware",
    nargs=2,
    type=(click.Path(exists=True, dir_okay=False, path_type=Path), str),
    metavar="ROOT TARGET",
    help="What its devices must show that they run: the root.json of an update repository (TUF), a target's name.",
)
@of_tenant
@as_json_option
def enroll(enrolment_id: str, group: bool, tenant: str, as_json: bool, **wanted: Any) -> None:
    """Let a device, or a group of them, be provisioned.

    \b
    Examples:
      lakehouse hub enroll line-3 --group --site north --json
      lakehouse hub enroll pump-9 --certificate pump-9.pem
      lakehouse hub enroll line-4 --group --firmware root.json pump/2.1.bin
    """
    from hub.api.enrolment_json import new_enrolment
    from hub.registry.enrolments import GROUP, INDIVIDUAL, put_enrolment
    from hub.registry.tenants import id_scope

    kind = GROUP if group else INDIVIDUAL
    certificate, firmware = wanted["certificate"], wanted["firmware"]
    pem = text_of(certificate) if certificate else None
    manifest = (
        {"root": json_of(firmware[0].read_bytes(), str(firmware[0])), "target": firmware[1]} if firmware else None
    )
    body = new_enrolment(kind, enrolment_id, pem, wanted["site"], manifest)
    with opened_hub() as (_, registry):
        made = registry.write(lambda tx: put_enrolment(tx, tenant, kind, enrolment_id, body, None)).result()
        scope = registry.read(lambda tx: id_scope(tx, tenant))
    keys = made.attestation.get("symmetricKey", {})
    found = {
        "enrollment_id": enrolment_id, "id_scope": scope, "primary_key": keys.get("primaryKey"),
        "secondary_key": keys.get("secondaryKey"),
    }  # fmt: skip
    click.echo(
        json.dumps(found) if as_json else "\n".join(f"{name}: {value}" for name, value in found.items() if value)
    )


@hub.group()
def methods() -> None:
    """Direct methods of connected devices.

    \b
    Example:
      lakehouse hub methods call pump-1 reboot
    """


@methods.command("call")
@click.argument("device_id", metavar="ID")
@click.argument("method", metavar="NAME")
@click.argument("payload", default="null", metavar="[JSON]")
@click.option("--timeout", "timeout_s", type=click.IntRange(5, 300), default=30, show_default=True, help="Seconds.")
@of_tenant
def call(device_id: str, method: str, payload: str, timeout_s: int, tenant: str) -> int:
    """Call a method and print its answer: {"status", "payload"}.

    \b
    Example:
      lakehouse hub methods call pump-1 reboot '{"delay": 5}'
    """
    body = {"methodName": method, "payload": json_of(payload, repr(payload)), "responseTimeoutInSeconds": timeout_s}
    return _ask("POST", f"/twins/{device_id}/methods", body, tenant)


@hub.group()
def twin() -> None:
    """A device's tags, desired and reported properties.

    \b
    Example:
      lakehouse hub twin get pump-1
    """


@twin.command("get")
@click.argument("device_id", metavar="ID")
@of_tenant
def get(device_id: str, tenant: str) -> None:
    """Print a device's twin.

    \b
    Example:
      lakehouse hub twin get pump-1
    """
    from hub.registry.tenants import require_own
    from hub.twins.identity_json import known, twin_json

    with opened_hub() as (_, registry):
        found = registry.read(lambda tx: twin_json(known(tx, require_own(tx, tenant, device_id))))
    click.echo(json.dumps(found, indent=2, ensure_ascii=False))


@twin.command("patch")
@click.argument("device_id", metavar="ID")
@click.argument("patch", metavar="JSON")
@of_tenant
def patch(device_id: str, patch: str, tenant: str) -> None:
    """Merge tags and desired properties; null takes a property away.

    \b
    Example:
      lakehouse hub twin patch pump-1 '{"tags": {"site": "south"}, "desired": {"reporting_interval_s": 30}}'
    """
    from hub.registry.tenants import require_own
    from hub.registry.twins import change_twin
    from runtime.errors import UsageError

    sections = json_of(patch, repr(patch))
    if not isinstance(sections, dict) or not sections.keys() <= {"tags", "desired"}:
        raise UsageError('The patch is no JSON object of "tags" and "desired".')
    with opened_hub() as (_, registry):
        registry.read(lambda tx: require_own(tx, tenant, device_id))
        made = registry.write(lambda tx: change_twin(tx, device_id, "", sections, None)).result()
    click.echo(f"Desired properties have version {made.desired_version}.")


@hub.group()
def tenants() -> None:
    """Tenants: who owns devices, twins and keys.

    \b
    Example:
      lakehouse hub tenants add acme
    """


@tenants.command("add")
@click.argument("tenant", metavar="NAME")
def add(tenant: str) -> None:
    """Make a tenant; `lakehouse hub connection-string --tenant NAME` is how it connects.

    \b
    Example:
      lakehouse hub tenants add acme
    """
    from hub.administration import new_tenant

    with opened_hub() as (_, registry):
        new_tenant(registry, tenant)
    click.echo(f"There is a tenant {tenant}.")


def _ask(method: str, path: str, body: Any, tenant: str) -> int:
    from hub.administration import call_hub

    with opened_hub() as (settings, registry):
        status, answer = call_hub(settings, registry, tenant, method, path, body)
    if status >= 300:
        click.echo(f"Error: {answer.get('Message', answer) if isinstance(answer, dict) else answer}", err=True)
        return 1
    click.echo(json.dumps(answer, ensure_ascii=False))
    return 0
