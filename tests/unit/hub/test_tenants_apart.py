"""Tenants of a hub are kept apart: none reads, answers for or makes what is under another's device."""

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from hub.amqp.amqp_links import Rights, put_token
from hub.api.identity_routes import _import
from hub.hub_errors import HubError
from hub.mqtt.provisioning import _allowed
from hub.registry.cloud_queue import CloudMessage
from hub.registry.database import Tx
from hub.registry.enrolments import INDIVIDUAL, Proof, assign, put_enrolment
from hub.registry.identities import find, new_key, remove
from hub.registry.registry_tables import IDENTITIES
from hub.registry.tenants import SERVICE, CrossTenantError, add_tenant, id_scope, policies_of
from tests.support.small_hub import WITHIN_S, Client, SmallHub, on_a_loop, until
from wire import mqtt_packets, sas
from wire.amqp_message import AmqpMessage
from wire.mqtt import SUBSCRIPTION_FAILED, Connect

INBOX = "devices/victim/messages/devicebound/#"
ANSWERS = "$dps/registrations/res/#"


@asynccontextmanager
async def two_tenants(folder: Path) -> AsyncIterator[SmallHub]:
    """With a device of the default tenant, and a tenant beside it."""
    hub = SmallHub(folder)
    hub.registry.write(lambda tx: add_tenant(tx, "evil")).result(WITHIN_S)
    yield hub
    hub.close()


@on_a_loop
async def test_who_registers_under_a_devices_name_gets_none_of_its_messages(tmp_path: Path) -> None:
    """It may hear the answers to its registration; the message waits for the device, which gets it."""
    async with two_tenants(tmp_path) as hub:
        device, key = hub.add("victim"), new_key()
        attestation = {"type": "symmetricKey", "symmetricKey": {"primaryKey": key, "secondaryKey": key}}
        body = {"registrationId": "victim", "attestation": attestation}
        hub.registry.write(lambda tx: put_enrolment(tx, "evil", INDIVIDUAL, "victim", body, None)).result(WITHIN_S)
        message = CloudMessage(0, "victim", b"secret", {}, {}, "none", 0, 0, 0, None)
        hub.registry.enqueue_cloud_message(message).result(WITHIN_S)

        resource = f"{hub.registry.read(lambda tx: id_scope(tx, 'evil'))}/registrations/victim"
        token = sas.sign(key, resource, int(time.time()) + 3600, "registration").encode()
        other = Client(hub, Connect("victim", 60, True, f"{resource}/api-version=2019-03-31", token))
        assert await other.answered() == mqtt_packets.connack(0)
        other.session.data_received(mqtt_packets.subscribe(1, [(INBOX, 1), (ANSWERS, 1)]))
        assert await other.answered() == mqtt_packets.suback(1, [SUBSCRIPTION_FAILED, 1])

        own = hub.connect(device)
        assert await own.answered() == mqtt_packets.connack(0)
        own.session.data_received(mqtt_packets.subscribe(1, [(ANSWERS, 1), (INBOX, 1)]))
        await until(lambda: len(own.link.sent) == 2)
        assert own.link.sent[0] == mqtt_packets.suback(1, [SUBSCRIPTION_FAILED, 1])
        assert b"secret" in own.link.sent[1]
        assert not other.link.sent
        for each in (own, other):
            each.session.connection_lost()


@pytest.mark.parametrize("mode", ["create", "createOrUpdate"])
@on_a_loop
async def test_no_module_is_imported_under_another_tenants_device(tmp_path: Path, mode: str) -> None:
    """The attempt is one across tenants, and leaves nothing."""
    async with two_tenants(tmp_path) as hub:
        hub.add("victim")
        wanted = {"id": "victim", "moduleId": "m", "importMode": mode}
        with pytest.raises(CrossTenantError):
            hub.registry.write(lambda tx: _import(tx, "evil", wanted)).result(WITHIN_S)
        assert hub.registry.read(lambda tx: find(tx, "victim", "m")) is None
        hub.registry.write(lambda tx: _import(tx, "default", wanted)).result(WITHIN_S)
        assert hub.registry.read(lambda tx: find(tx, "victim", "m")) is not None


@on_a_loop
async def test_the_registry_itself_makes_no_such_module(tmp_path: Path) -> None:
    """Whoever asks for it."""
    async with two_tenants(tmp_path) as hub:
        hub.add("victim")
        with pytest.raises(HubError):
            hub.add("victim", "evil", "m")


@on_a_loop
async def test_a_module_of_another_tenant_is_not_admitted(tmp_path: Path) -> None:
    """One that came to be before that was so."""
    async with two_tenants(tmp_path) as hub:
        hub.add("victim")
        module = hub.add("victim", "default", "m")
        change = IDENTITIES.update().where(IDENTITIES.c.module_id == "m").values(tenant="evil")
        hub.registry.write(lambda tx: tx.connection.execute(change)).result(WITHIN_S)
        assert await hub.connect(module).answered() == mqtt_packets.connack(5)


@on_a_loop
async def test_a_connection_of_services_is_of_one_tenant(tmp_path: Path) -> None:
    """A token of another tenant is refused, and takes the place of none."""
    async with two_tenants(tmp_path) as hub:

        def token(tenant: str) -> str:
            policies = hub.registry.read(lambda tx: policies_of(tx, tenant))
            policy = next(each for each in policies if SERVICE in each.rights)
            return sas.sign(policy.primary_key, "localhost/messages", int(time.time()) + 600, policy.name)

        rights = Rights()
        for tenant, status in (("evil", 200), ("default", 401), ("evil", 200)):
            answer = put_token(
                hub.parts, rights, AmqpMessage(value=token(tenant), application={"operation": "put-token"})
            )
            assert answer.application["status-code"] == status
            assert rights.tenant() == "evil"


@on_a_loop
async def test_a_registration_says_nothing_of_another_tenants_device(tmp_path: Path) -> None:
    """Its own device was deleted, and another tenant has one of that name now."""
    async with two_tenants(tmp_path) as hub:
        body = {"registrationId": "d", "attestation": {"type": "symmetricKey"}}

        def register(tx: Tx) -> None:
            assign(tx, put_enrolment(tx, "evil", INDIVIDUAL, "d", body, None), "d", Proof(primary_key=new_key()))

        def is_told() -> bool:
            return hub.registry.read(lambda tx: _allowed(tx, "evil", "d")) is not None

        hub.registry.write(register).result(WITHIN_S)
        assert is_told()
        hub.registry.write(lambda tx: remove(tx, "d", "", None)).result(WITHIN_S)
        hub.add("d")
        assert not is_told()
