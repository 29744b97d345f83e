"""The device SDK for Python as it comes from the package registry, against the hub: nothing in it is patched."""

import asyncio
import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from azure.iot.device import X509, Message, MethodRequest, MethodResponse
from azure.iot.device.aio import IoTHubDeviceClient
from azure.iot.device.exceptions import CredentialError

from hub.administration import add_device_authority, remove_device_authority
from hub.hub_errors import HubCode, HubError
from hub.links.key_material import key_material
from hub.methods import MethodCall, MethodResult
from hub.registry.database import Tx
from hub.registry.identities import Identity, find, new_key, put, remove
from hub.registry.tenants import add_authority
from hub.registry.twins import change_twin
from tests.conftest import empty_topics
from tests.support.hub_server import TestHub, cloud_message, into, records, running_hub, self_signed
from wire.certificates import Authority, Issued, read_chain, thumbprints

WRONG_CLOCK = """
import asyncio, sys, time
right = time.time
time.time = lambda: right() + int(sys.argv[2])
from azure.iot.device.aio import IoTHubDeviceClient
from azure.iot.device.exceptions import CredentialError

async def main():
    client = IoTHubDeviceClient.create_from_connection_string(sys.argv[1])
    try:
        await client.connect()
        await client.send_message("on time?")
        print("sent")
    except CredentialError:
        print("refused")
    await client.shutdown()

asyncio.run(main())
"""
"""A device's process whose clock is wrong, with the SDK as it is."""


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory, broker: str) -> Iterator[TestHub]:
    """A hub that the tests of this file share; the SDK is told by SSL_CERT_FILE whom to trust."""
    empty_topics(broker)
    with (
        running_hub(tmp_path_factory.mktemp("hub"), broker, ports=(8883, 443)) as running,
        pytest.MonkeyPatch.context() as patch,
    ):
        patch.setenv("SSL_CERT_FILE", str(running.root))
        yield running


def test_a_message_is_in_kafka_when_the_client_hears_that_it_was_sent(hub: TestHub, broker: str) -> None:
    """A message by SAS over TLS is a CloudEvent in `telemetry`, with everything that the app said of it."""
    device = hub.add_device("sdk-1", model_id="dtmi:com:example:Thermostat;1")

    async def send() -> None:
        client = IoTHubDeviceClient.create_from_connection_string(hub.connection_string(device))
        await client.connect()
        message = Message('{"temperature": 21.5}', message_id="m-1", content_encoding="utf-8")
        message.content_type = "application/json"
        message.custom_properties["room"] = "a/b &c"
        message.custom_properties["$.sub"] = "thermostat1"
        await client.send_message(message)
        await client.send_message("plain")
        await client.shutdown()

    asyncio.run(send())
    # the SDK sends again what it has not heard of in time
    first, second = records(broker, "sdk-1")
    assert first.value == b'{"temperature": 21.5}'
    assert first.headers.items() >= {
        ("ce_specversion", "1.0"), ("ce_id", "m-1"), ("ce_source", "/devices/sdk-1"),
        ("ce_type", "lakehouse.telemetry"),
        ("ce_subject", "thermostat1"), ("content-type", "application/json; charset=utf-8"),
        ("iothub-app-room", "a/b &c"),
    }  # fmt: skip
    assert second.value == b"plain"
    assert "content-type" not in second.headers
    assert second.headers["ce_id"].startswith("hub0-")


async def _connected(hub: TestHub, device: Identity) -> IoTHubDeviceClient:
    client = IoTHubDeviceClient.create_from_connection_string(hub.connection_string(device))
    await client.connect()
    return client


def test_a_token_that_the_app_made_lets_in_and_is_replaced(hub: TestHub, broker: str) -> None:
    """As the sample use_custom_sastoken does it: the client has no key, and goes on by the token that follows."""
    device = hub.add_device("sdk-token")
    begin = int(time.time())

    async def send() -> None:
        client = IoTHubDeviceClient.create_from_sastoken(hub.token(device, begin + 3600))
        await client.connect()
        await client.send_message("one")
        await client.update_sastoken(hub.token(device, begin + 7200))
        await client.send_message("two")
        await client.shutdown()

    asyncio.run(send())
    assert [record.value for record in records(broker, "sdk-token")] == [b"one", b"two"]


def test_cloud_messages_come_to_the_device_and_are_completed(hub: TestHub) -> None:
    """A message that waited, and one that is sent while it is connected; each completed, with its feedback."""
    device = hub.add_device("sdk-c2d")
    waiting = cloud_message("sdk-c2d", b"one", properties={"k 1": "v&1"}, system={"mid": "m1"}, ack="full")
    hub.registry.enqueue_cloud_message(waiting).result(60)

    async def receive() -> list[Message]:
        client = await _connected(hub, device)
        got: asyncio.Queue[Message] = asyncio.Queue()
        client.on_message_received = into(got)
        first = await asyncio.wait_for(got.get(), 60)
        hub.registry.enqueue_cloud_message(cloud_message("sdk-c2d", b"two")).result(60)
        second = await asyncio.wait_for(got.get(), 60)
        await client.shutdown()
        return [first, second]

    first, second = asyncio.run(receive())
    assert (first.data, first.message_id, first.custom_properties["k 1"]) == (b"one", "m1", "v&1")
    assert second.data == b"two"
    assert hub.registry.take_cloud_message("sdk-c2d").result(60) is None
    feedback = hub.registry.take_feedback("default").result(60)
    assert feedback is not None
    assert [(each["originalMessageId"], each["statusCode"]) for each in feedback.records] == [("m1", "Success")]


def test_a_direct_method_is_answered(hub: TestHub) -> None:
    """The method's name and payload arrive, the device's status and answer come back; silence is a time-out."""
    device = hub.add_device("sdk-method")

    async def serve() -> tuple[MethodResult, Exception | None]:
        client = await _connected(hub, device)

        async def answer(request: MethodRequest) -> None:
            if request.name != "ignore":
                payload = {"name": request.name, "got": request.payload}
                await client.send_method_response(MethodResponse.create_from_method_request(request, 207, payload))

        client.on_method_request_received = answer
        result = await asyncio.to_thread(_invoke, hub, "comp1*reboot", b'{"a":[1,null]}', 5)
        silent = None
        try:
            await asyncio.to_thread(_invoke, hub, "ignore", b"{}", 1)
        except HubError as error:
            silent = error
        await client.shutdown()
        return result, silent

    result, silent = asyncio.run(serve())
    assert result.status == 207
    assert json.loads(result.payload) == {"name": "comp1*reboot", "got": {"a": [1, None]}}
    assert isinstance(silent, HubError)
    assert silent.code is HubCode.DeviceTimeout
    with pytest.raises(HubError) as offline:
        _invoke(hub, "reboot", b"{}", 1)
    assert offline.value.code is HubCode.DeviceNotOnline


def _invoke(hub: TestHub, method: str, payload: bytes, timeout_s: int) -> MethodResult:
    return hub.run(hub.parts.sessions.invoke(MethodCall("sdk-method", "", method, payload, 0, timeout_s)))


def test_a_twin_is_read_reported_and_patched(hub: TestHub) -> None:
    """Desired and reported with their versions, a report that takes away, a patch pushed to the device."""
    device = hub.add_device("sdk-twin")

    def patch(desired: dict[str, object]) -> None:
        hub.registry.write(lambda tx: change_twin(tx, "sdk-twin", "", {"desired": desired}, None)).result(60)

    async def talk() -> tuple[dict[str, Any], dict[str, Any], list[dict[str, Any]]]:
        patch({"interval": 5})
        client = await _connected(hub, device)
        patches: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        client.on_twin_desired_properties_patch_received = into(patches)
        before = await client.get_twin()
        await client.patch_twin_reported_properties({"a": {"b": 1}, "c": 2})
        await client.patch_twin_reported_properties({"c": None})
        patch({"interval": 7, "more": {"x": True}})
        pushed = [await asyncio.wait_for(patches.get(), 60)]
        after = await client.get_twin()
        await client.shutdown()
        return before, after, pushed

    before, after, pushed = asyncio.run(talk())
    assert before == {"desired": {"interval": 5, "$version": 2}, "reported": {"$version": 1}}
    assert pushed == [{"interval": 7, "more": {"x": True}, "$version": 3}]
    assert after["reported"] == {"a": {"b": 1}, "$version": 3}


def test_a_device_with_components_does_as_the_samples_of_plug_and_play(hub: TestHub, broker: str) -> None:
    """As pnp/simple_thermostat and pnp/temp_controller_with_thermostats: the model named at connecting, telemetry and
    commands of the device and of a component, a writable property that is answered with `ac`, `ad` and `av`."""
    model, component = "dtmi:com:example:TemperatureController;2", "thermostat1"
    device = hub.add_device("sdk-pnp")

    def desired(value: int) -> None:
        patch = {"desired": {component: {"__t": "c", "targetTemperature": value}}}
        hub.registry.write(lambda tx: change_twin(tx, "sdk-pnp", "", patch, None)).result(60)

    def command(name: str) -> MethodResult:
        return hub.run(hub.parts.sessions.invoke(MethodCall("sdk-pnp", "", name, b'"2026-01-01"', 60, 60)))

    async def serve() -> tuple[list[MethodResult], dict[str, Any]]:
        client = IoTHubDeviceClient.create_from_symmetric_key(
            device.primary_key or "", hub.address, "sdk-pnp", product_info=model
        )
        await client.connect()
        patches: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        client.on_twin_desired_properties_patch_received = into(patches)

        async def answer(request: MethodRequest) -> None:
            response = MethodResponse.create_from_method_request(request, 200, {"did": request.name})
            await client.send_method_response(response)

        client.on_method_request_received = answer
        await client.patch_twin_reported_properties({"serialNumber": "alohomora"})
        await client.patch_twin_reported_properties({component: {"__t": "c", "maxTempSinceLastReboot": 98.34}})
        for of in (None, component):
            message = Message(json.dumps({"temperature": 21.5}), content_encoding="utf-8")
            message.content_type = "application/json"
            if of:
                message.custom_properties["$.sub"] = of
            await client.send_message(message)
        done = [await asyncio.to_thread(command, name) for name in ("reboot", f"{component}*getMaxMinReport")]
        # what was pushed before the client had subscribed would be lost
        await client.get_twin()
        await asyncio.to_thread(desired, 56)
        pushed = await asyncio.wait_for(patches.get(), 60)
        told = {"ac": 200, "ad": "Successfully executed patch", "av": pushed["$version"]}
        value = pushed[component]["targetTemperature"]
        await client.patch_twin_reported_properties(
            {component: {"__t": "c", "targetTemperature": {**told, "value": value}}}
        )
        twin: dict[str, Any] = await client.get_twin()
        await client.shutdown()
        return done, twin

    done, twin = asyncio.run(serve())
    assert [(each.status, json.loads(each.payload)["did"]) for each in done] == [
        (200, "reboot"),
        (200, f"{component}*getMaxMinReport"),
    ]
    assert twin["reported"]["serialNumber"] == "alohomora"
    version = twin["desired"]["$version"]
    told = {"ac": 200, "ad": "Successfully executed patch", "av": version, "value": 56}
    assert twin["reported"][component] == {"__t": "c", "maxTempSinceLastReboot": 98.34, "targetTemperature": told}
    known = hub.registry.device("sdk-pnp")
    assert known is not None
    assert known.model_id == model
    whole, part = records(broker, "sdk-pnp")
    assert {whole.headers["ce_dataschema"], part.headers["ce_dataschema"]} == {model}
    assert ("ce_subject" in whole.headers, part.headers["ce_subject"]) == (False, component)


def test_subscriptions_outlive_the_connection(hub: TestHub) -> None:
    """The SDK does not subscribe again after a cut: what it had subscribed to still comes, patches and methods too."""
    device = hub.add_device("sdk-again")

    async def serve() -> MethodResult:
        client = await _connected(hub, device)

        async def answer(request: MethodRequest) -> None:
            await client.send_method_response(MethodResponse.create_from_method_request(request, 200, {}))

        client.on_method_request_received = answer
        while not await asyncio.to_thread(_takes_methods, hub):
            await asyncio.sleep(0.01)
        hub.loop.call_soon_threadsafe(hub.parts.sessions.cut_all, "the test says so")
        result = await asyncio.to_thread(
            lambda: hub.run(hub.parts.sessions.invoke(MethodCall("sdk-again", "", "m", b"{}", 20, 10)))
        )
        await client.shutdown()
        return result

    assert asyncio.run(serve()).status == 200


def _takes_methods(hub: TestHub) -> bool:
    try:
        hub.run(hub.parts.sessions.invoke(MethodCall("sdk-again", "", "probe", b"{}", 0, 1)))
    except HubError:
        return False
    return True


def test_websockets_carry_the_same(hub: TestHub, broker: str) -> None:
    """The SDK's websocket transport, whose port is 443."""
    device = hub.add_device("sdk-ws")

    async def send() -> None:
        text = hub.connection_string(device)
        client = IoTHubDeviceClient.create_from_connection_string(text, websockets=True)
        await client.connect()
        await client.send_message(Message("x" * 100_000, message_id="ws-1"))
        await client.shutdown()

    asyncio.run(send())
    (record,) = records(broker, "sdk-ws")
    assert (record.headers["ce_id"], len(record.value)) == ("ws-1", 100_000)


@pytest.mark.parametrize("kind", ["thumbprint", "hub authority", "tenant authority"])
def test_a_certificate_lets_a_device_in(hub: TestHub, broker: str, tmp_path: Path, kind: str) -> None:
    """By its thumbprint though nobody signed it, by the hub's own authority, by an authority of the tenant."""
    device_id = f"sdk-x509-{kind.replace(' ', '-')}"
    now = datetime.now(UTC)
    if kind == "thumbprint":
        issued = self_signed(device_id, now)
        print_of = thumbprints(read_chain(issued.chain)[0])[0].lower()
        device = hub.add_device(device_id, auth="selfSigned", secondary_thumbprint=print_of)
    elif kind == "hub authority":
        issued = key_material(hub.settings).device_authority().issue_device(device_id, now)
        device = hub.add_device(device_id, auth="certificateAuthority")
    else:
        root = Authority.root("Factory", now)
        issued = root.intermediate("Line 1", now).issue_device(device_id, now)
        hub.registry.write(lambda tx: add_authority(tx, "default", "factory", root.pem.decode())).result(60)
        device = hub.add_device(device_id, auth="certificateAuthority")
    _send_by_certificate(hub, device, issued, tmp_path)
    assert [record.value for record in records(broker, device_id)] == [b"signed"]
    stranger = self_signed(device_id, now)
    with pytest.raises(CredentialError):
        _send_by_certificate(hub, device, stranger, tmp_path)


def _send_by_certificate(hub: TestHub, device: Identity, issued: Issued, folder: Path) -> None:
    (folder / "chain.pem").write_bytes(issued.chain)
    (folder / "key.pem").write_bytes(issued.key)

    async def send() -> None:
        client = IoTHubDeviceClient.create_from_x509_certificate(
            X509(str(folder / "chain.pem"), str(folder / "key.pem")), hub.address, device.device_id
        )
        try:
            await client.connect()
            await client.send_message("signed")
        finally:
            await client.shutdown()

    asyncio.run(send())


def test_an_authority_that_is_removed_lets_nobody_stay(hub: TestHub, tmp_path: Path) -> None:
    """Its devices are cut off within a second and refused from then on; those of another authority stay."""
    now = datetime.now(UTC)

    async def vouched(name: str) -> tuple[IoTHubDeviceClient, asyncio.Event]:
        root, device_id = Authority.root(name, now), f"sdk-of-{name}"
        (tmp_path / f"{name}.pem").write_bytes(root.pem)
        add_device_authority(hub.registry, "default", name, root.pem)
        hub.add_device(device_id, auth="certificateAuthority")
        issued = root.issue_device(device_id, now)
        (tmp_path / "chain.pem").write_bytes(issued.chain)
        (tmp_path / "key.pem").write_bytes(issued.key)
        client = IoTHubDeviceClient.create_from_x509_certificate(
            X509(str(tmp_path / "chain.pem"), str(tmp_path / "key.pem")), hub.address, device_id,
            auto_connect=False, connection_retry=False,
        )  # fmt: skip
        await client.connect()
        lost, loop = asyncio.Event(), asyncio.get_running_loop()
        client.on_connection_state_change = lambda: loop.call_soon_threadsafe(lost.set)  # type: ignore[assignment]
        return client, lost

    async def scenario() -> None:
        (kept, kept_lost), (gone, gone_lost) = await vouched("kept"), await vouched("gone")
        await asyncio.to_thread(remove_device_authority, hub.registry, "default", "gone")
        await asyncio.wait_for(gone_lost.wait(), 60.0)
        with pytest.raises(CredentialError):
            await gone.connect()
        await kept.get_twin()
        assert not kept_lost.is_set()
        for client in (kept, gone):
            await client.shutdown()

    asyncio.run(scenario())


def test_wrong_credentials_are_refused(hub: TestHub) -> None:
    """Another device's key, an expired token, a device that is not there or disabled: the SDK's CredentialError."""
    device = hub.add_device("sdk-refused")
    other = hub.add_device("sdk-other")
    disabled = hub.add_device("sdk-disabled", status="disabled")
    before = hub.parts.counts.refused
    wrong = [
        hub.connection_string(replace(device, primary_key=other.primary_key)),
        hub.connection_string(replace(device, device_id="sdk-nobody")),
        hub.connection_string(disabled),
    ]

    async def refused(make: Callable[[], IoTHubDeviceClient]) -> None:
        client = make()
        with pytest.raises(CredentialError):
            await client.connect()
        await client.shutdown()

    for text in wrong:
        asyncio.run(refused(partial(IoTHubDeviceClient.create_from_connection_string, text)))
    assert hub.parts.counts.refused == before + len(wrong)


@pytest.mark.parametrize(("skew_s", "answer"), [(-86_400, "refused"), (86_400, "sent")])
def test_a_devices_wrong_clock_is_judged_by_the_hubs(hub: TestHub, broker: str, skew_s: int, answer: str) -> None:
    """A day behind, each token that the SDK makes is expired: CredentialError, and it is counted. A day ahead it is let
    in, and its message has the hub's time."""
    device = hub.add_device(f"sdk-clock-{answer}")
    refused, began = hub.parts.counts.refused, datetime.now(UTC)
    command = [sys.executable, "-c", WRONG_CLOCK, hub.connection_string(device), str(skew_s)]
    told = subprocess.run(command, check=True, capture_output=True, text=True, timeout=120).stdout.split()
    assert told == [answer]
    assert (hub.parts.counts.refused > refused) is (answer == "refused")
    found = records(broker, device.device_id) if answer == "sent" else []
    times = [datetime.fromisoformat(each.headers["ce_time"]) for each in found]
    assert all(began <= each <= datetime.now(UTC) for each in times)
    assert bool(times) is (answer == "sent")


def test_a_device_is_cut_off_within_a_second(hub: TestHub) -> None:
    """Disabled, deleted, or its key rolled: the connection ends; rolling the other key leaves it."""

    async def lost_after(device_id: str, change: Callable[[Tx, Identity], object], limit_s: float = 60.0) -> bool:
        device = hub.add_device(device_id)
        client = await _connected(hub, device)
        lost = asyncio.Event()
        loop = asyncio.get_running_loop()
        client.on_connection_state_change = lambda: loop.call_soon_threadsafe(lost.set)  # type: ignore[assignment]
        await asyncio.wrap_future(hub.registry.write(lambda tx: change(tx, find_one(tx, device_id))))
        try:
            await asyncio.wait_for(lost.wait(), limit_s)
        except TimeoutError:
            return False
        finally:
            await client.shutdown()
        return True

    def disabled(tx: Tx, device: Identity) -> object:
        return put(tx, replace(device, status="disabled"), "*")

    def rolled(tx: Tx, device: Identity) -> object:
        return put(tx, replace(device, primary_key=new_key()), "*")

    def other_rolled(tx: Tx, device: Identity) -> object:
        return put(tx, replace(device, secondary_key=new_key()), "*")

    def deleted(tx: Tx, device: Identity) -> object:
        return remove(tx, device.device_id, "", None)

    assert asyncio.run(lost_after("sdk-cut-1", disabled))
    assert asyncio.run(lost_after("sdk-cut-2", rolled))
    assert asyncio.run(lost_after("sdk-cut-3", deleted))
    assert not asyncio.run(lost_after("sdk-cut-4", other_rolled, 1.0))


def find_one(tx: Tx, device_id: str) -> Identity:
    """The device, which is there."""
    found = find(tx, device_id)
    assert found is not None
    return found
