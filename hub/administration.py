"""Administration: what a person does with a home's hub from its own machine.

Belongs here: opening the registry of a home, connection strings, and calls to the running hub. What is printed belongs
to the command.
"""

import http.client
import json
import socket
import ssl
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

from hub.hub_errors import HubCode, HubError
from hub.registry.database import Tx
from hub.registry.hub_registry import Registry, utc_now
from hub.registry.identities import Identity, create, new_key, put
from hub.registry.tenants import (
    Policy,
    add_authority,
    add_tenant,
    named_authorities,
    remove_authority,
    require_own,
    rotate_policy,
)
from hub.registry.twins import change_twin
from runtime import processes
from runtime.deadlines import cut_after
from runtime.errors import PlatformError, UsageError, WireError
from runtime.process_ids import ProcessId
from runtime.settings import Settings
from wire.certificates import common_name, is_current, may_issue, read_chain, thumbprints
from wire.envelope import TELEMETRY_TOPIC
from wire.sas import sign

HUB = "hub"
_TOKEN_LIFE = timedelta(hours=1)
_CONNECTS_WITHIN_S = 30
# a method that waits five minutes for its answer has to fit in
_WHOLE_S = 330


def hub_host(settings: Settings) -> str:
    """Host and port of the home's hub, also while it does not run."""
    record = processes.find(settings, HUB)
    return record.address if record is not None else f"localhost:{settings.hub_port}"


def root_certificate(settings: Settings) -> Path:
    """What clients must trust. Raises PlatformError before the hub has made it."""
    path = settings.hub_folder / "pki" / "root.pem"
    if not path.exists():
        raise PlatformError("The hub has no certificates yet: start it once by `lakehouse up --hub`.")
    return path


@contextmanager
def opened_registry(settings: Settings) -> Iterator[Registry]:
    """The home's registry; a running hub hears of what is changed in it within a second."""
    settings.hub_folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    registry = Registry(settings.hub_database_url)
    try:
        yield registry
    finally:
        registry.close()


def create_device(
    registry: Registry, tenant: str, device_id: str, model_id: str | None = None, site_id: str | None = None
) -> Identity:
    """A device with new keys, at a site. Raises HubError when the id is taken, UsageError for an unknown tenant."""

    def work(tx: Tx) -> Identity:
        made = create(tx, Identity(device_id, tenant, model_id=model_id, site_id=site_id))
        if site_id:
            change_twin(tx, device_id, "", {"tags": {"site": site_id}}, None)
        return made

    _owner(registry, tenant)
    return registry.write(work).result()


def set_status(registry: Registry, tenant: str, device_id: str, status: str) -> Identity:
    """Enable or disable a device; a disabled one is cut off."""

    def work(tx: Tx) -> Identity:
        return put(tx, replace(require_own(tx, tenant, device_id), status=status, status_reason="by command"), "*")

    return registry.write(work).result()


def rotate_key(registry: Registry, tenant: str, device_id: str, which: str) -> Identity:
    """Make a device's `primary` or `secondary` key anew; the other one goes on to hold."""

    def work(tx: Tx) -> Identity:
        old = require_own(tx, tenant, device_id)
        if old.primary_key is None:
            raise HubError(HubCode.ArgumentInvalid, f"{device_id!r} has certificates, no keys.")
        key = new_key()
        changed = replace(old, primary_key=key) if which == "primary" else replace(old, secondary_key=key)
        return put(tx, changed, "*")

    return registry.write(work).result()


def rotate_policy_key(registry: Registry, tenant: str, name: str, which: str) -> Policy:
    """Make a policy's `primary` or `secondary` key anew. Raises HubError for an unknown policy."""
    return registry.write(lambda tx: rotate_policy(tx, tenant, name, which)).result()


def add_device_authority(registry: Registry, tenant: str, name: str, pem: bytes) -> None:
    """Trust an authority to vouch for the tenant's devices.

    Raises UsageError for what is no certificate of an authority that is in its time, HubError for a taken name.
    """
    _owner(registry, tenant)
    try:
        (certificate, *_) = read_chain(pem)
    except WireError as error:
        raise UsageError(str(error)) from error
    if not may_issue(certificate):
        raise UsageError(f"The certificate of {common_name(certificate)!r} is none of an authority (CA:TRUE).")
    if not is_current(certificate, utc_now()):
        raise UsageError(f"The certificate of {common_name(certificate)!r} is out of its time.")
    registry.write(lambda tx: add_authority(tx, tenant, name, pem.decode())).result()


def device_authorities(registry: Registry, tenant: str) -> list[dict[str, str]]:
    """The tenant's authorities: name, subject, end and SHA-256 thumbprint."""
    found = []
    for name, pem in registry.read(lambda tx: named_authorities(tx, tenant)).items():
        certificate = read_chain(pem)[0]
        ends_at, thumbprint = certificate.not_valid_after_utc.isoformat(), thumbprints(certificate)[1]
        found.append({"name": name, "subject": common_name(certificate), "ends_at": ends_at, "thumbprint": thumbprint})
    return found


def remove_device_authority(registry: Registry, tenant: str, name: str) -> None:
    """Trust an authority no more. Raises HubError for an unknown name."""
    registry.write(lambda tx: remove_authority(tx, tenant, name)).result()


def device_connection_string(settings: Settings, device: Identity) -> str:
    """What a device SDK connects with. The SDKs add the port of their protocol themselves."""
    return f"HostName={_name_only(hub_host(settings))};DeviceId={device.device_id};" + (
        f"SharedAccessKey={device.primary_key}" if device.primary_key else "x509=true"
    )


def service_connection_string(settings: Settings, registry: Registry, tenant: str) -> str:
    """What a service SDK connects with, as the tenant's owner. Raises UsageError for an unknown tenant."""
    policy = _owner(registry, tenant)
    return connection_string_of(settings, policy.name, policy.primary_key)


def connection_string_of(settings: Settings, policy: str, key: str) -> str:
    """What a service SDK connects with by a policy's key."""
    return f"HostName={hub_host(settings)};SharedAccessKeyName={policy};SharedAccessKey={key}"


def event_hub_connection_string(settings: Settings, registry: Registry, tenant: str) -> str:
    """What a client of Event Hubs receives with what devices sent. Raises UsageError for an unknown tenant.

    Over TLS such a client takes AMQP's own port, whatever port the string has; another one for websockets it is told
    apart from the string.
    """
    policy = _owner(registry, tenant)
    return (
        f"Endpoint=sb://{_name_only(hub_host(settings))}/;SharedAccessKeyName={policy.name};"
        f"SharedAccessKey={policy.primary_key};EntityPath={TELEMETRY_TOPIC}"
    )


def call_hub(
    settings: Settings, registry: Registry, tenant: str, method: str, path: str, body: Any = None
) -> tuple[int, Any]:
    """Ask the running hub; its status and its JSON. Raises PlatformError when it does not answer in time."""
    host, policy = hub_host(settings), _owner(registry, tenant)
    expiry = int((utc_now() + _TOKEN_LIFE).timestamp())
    token = sign(policy.primary_key, host, expiry, policy.name)
    context = ssl.create_default_context(cafile=str(root_certificate(settings)))
    try:
        with _connected(host, context) as connection:
            text = None if body is None else json.dumps(body)
            connection.request(method, f"{path}?api-version=2021-04-12", text, {"Authorization": token})
            answer = connection.getresponse()
            read = answer.read()
        return answer.status, json.loads(read) if read else None
    except (OSError, http.client.HTTPException, ValueError) as error:
        raise PlatformError(f"The hub at {host} does not answer ({error}): is `lakehouse up --hub` running?") from error


@contextmanager
def _connected(host: str, context: ssl.SSLContext) -> Iterator[http.client.HTTPConnection]:
    """A connection to the hub that is cut when the block lasts too long, however little is missing."""
    connection = http.client.HTTPSConnection(host, timeout=_WHOLE_S, context=context)
    plain = socket.create_connection((connection.host, connection.port), _CONNECTS_WITHIN_S)
    with plain, closing(connection), cut_after(plain, _WHOLE_S) as is_late:
        try:
            plain.settimeout(_WHOLE_S)
            connection.sock = context.wrap_socket(plain, server_hostname=connection.host)
            yield connection
        except (OSError, http.client.HTTPException) as error:
            if is_late.is_set() or isinstance(error, TimeoutError):
                raise TimeoutError(f"it was not done after {_WHOLE_S:g} s") from error
            raise


def hub_status(settings: Settings) -> list[dict[str, Any]]:
    """What each process of the running hub last wrote of itself; empty when none runs."""
    if processes.find(settings, HUB) is None:
        return []
    found = []
    for path in sorted(settings.hub_folder.glob("status-*.json")):
        status: dict[str, Any] = json.loads(path.read_text())
        if ProcessId.parse(status["process"]).is_alive():
            found.append(status)
    return found


def _owner(registry: Registry, tenant: str) -> Policy:
    for policy in registry.policy_keys("iothubowner"):
        if policy.tenant == tenant:
            return policy
    raise UsageError(f"There is no tenant {tenant!r}: make it by `lakehouse hub tenants add {tenant}`.")


def _name_only(host: str) -> str:
    return host.rsplit(":", 1)[0]


def new_tenant(registry: Registry, tenant: str) -> Policy:
    """Make a tenant, or leave it as it is."""
    return registry.write(lambda tx: add_tenant(tx, tenant)).result()
