"""Two processes of one hub: a service that comes to one reaches the device that is connected to the other."""

import asyncio
import time
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from azure.iot.device import IoTHubDeviceClient, MethodRequest, MethodResponse
from azure.iot.hub import IoTHubRegistryManager
from azure.iot.hub.models import CloudToDeviceMethod
from msrest.exceptions import HttpOperationError

from hub.api.service_app import build_app
from hub.hub_errors import HubCode, HubError
from hub.methods import MethodCall
from hub.registry.change_feed import Change
from hub.registry.connections import holder_of
from hub.registry.identities import Identity
from hub.registry.instance_watch import SILENT_S
from tests.conftest import empty_topics
from tests.support.awaiting import awaited
from tests.support.hub_server import TestHub, own_address, running_hub

SERVICE_PORT = 8884


@pytest.fixture(scope="module")
def hubs(tmp_path_factory: pytest.TempPathFactory, broker: str) -> Iterator[tuple[TestHub, TestHub]]:
    """Two hubs on one registry."""
    empty_topics(broker)
    home = tmp_path_factory.mktemp("hub")

    def make_app(parts: Any) -> Any:
        return build_app(parts.registry, parts.sessions, home / "files")

    # one certificate, so one address: of the second process only services are clients, which take any port
    address = own_address()
    with (
        running_hub(home, broker, address, make_app=make_app) as one,
        running_hub(home, broker, address, make_app=make_app, worker=1, ports=(SERVICE_PORT,)) as other,
        pytest.MonkeyPatch.context() as patch,
    ):
        patch.setenv("SSL_CERT_FILE", str(one.root))
        patch.setenv("REQUESTS_CA_BUNDLE", str(one.root))
        yield one, other


def connect(hub: TestHub, device: Identity) -> IoTHubDeviceClient:
    """The device SDK, with a method that says back what it is asked."""
    client = IoTHubDeviceClient.create_from_connection_string(hub.connection_string(device))

    def answer(request: MethodRequest) -> None:
        if request.name != "silent":
            client.send_method_response(MethodResponse.create_from_method_request(request, 207, request.payload))

    client.on_method_request_received = answer
    client.connect()
    return client


def service(hub: TestHub) -> IoTHubRegistryManager:
    """The service SDK, at the second process."""
    (policy,) = hub.registry.policy_keys("iothubowner")
    key = f"SharedAccessKeyName=iothubowner;SharedAccessKey={policy.primary_key}"
    made: IoTHubRegistryManager = IoTHubRegistryManager.from_connection_string(
        f"HostName={hub.address}:{SERVICE_PORT};{key}"
    )
    return made


def call(name: str, within_s: int = 120) -> CloudToDeviceMethod:
    return CloudToDeviceMethod(method_name=name, payload={"ü": [1, None]}, response_timeout_in_seconds=within_s)


def refusal(error: pytest.ExceptionInfo[HttpOperationError]) -> str:
    return str(error.value.response.headers["iothub-errorcode"])


def test_a_method_reaches_a_device_of_another_process(hubs: tuple[TestHub, TestHub]) -> None:
    """Its answer comes back; silence is a time-out; once the device has gone it is not online."""
    one, other = hubs
    device = one.add_device("far-1")
    client, manager = connect(one, device), service(other)
    assert (one.parts.sessions.is_connected("far-1"), other.parts.sessions.is_connected("far-1")) == (True, False)
    answer = manager.invoke_device_method("far-1", call("reboot"))
    assert (answer.status, answer.payload) == (207, {"ü": [1, None]})
    with pytest.raises(HttpOperationError) as silent:
        manager.invoke_device_method("far-1", call("silent", 5))
    assert refusal(silent) == "DeviceTimeout"
    client.shutdown()
    with pytest.raises(HttpOperationError) as gone:
        manager.invoke_device_method("far-1", call("reboot"))
    assert refusal(gone) == "DeviceNotOnline"


def test_a_method_waits_for_a_device_that_comes_to_another_process(hubs: tuple[TestHub, TestHub]) -> None:
    """Within its time to connect, wherever that is."""
    one, other = hubs
    client = connect(one, one.add_device("far-2"))
    client.disconnect()
    while one.registry.read(lambda tx: holder_of(tx, "far-2")) is not None:
        time.sleep(0.01)
    asked = MethodCall("far-2", "", "reboot", b"{}", 120, 60)
    answer = asyncio.run_coroutine_threadsafe(other.parts.sessions.invoke(asked), other.loop)
    # a turn of the loop later it waits
    other.run(asyncio.sleep(0))
    client.connect()
    assert answer.result(120).status == 207
    client.shutdown()


def test_a_connection_of_the_past_ends_no_wait(hubs: tuple[TestHub, TestHub]) -> None:
    """The feed may tell of a connection that is over: who waits for the device goes on waiting."""
    one, other = hubs
    device = one.add_device("far-4")

    async def told(change: Change) -> None:
        other.parts.sessions._changed(change)

    asked = MethodCall("far-4", "", "reboot", b"{}", 120, 60)
    answer = asyncio.run_coroutine_threadsafe(other.parts.sessions.invoke(asked), other.loop)
    for epoch in (1, 2):
        other.run(told(Change("connected", "far-4", "", {"instance": "gone", "epoch": epoch})))
    client = connect(one, device)
    assert answer.result(120).status == 207
    client.shutdown()


def test_who_gives_up_waiting_ends_no_other_wait(hubs: tuple[TestHub, TestHub]) -> None:
    """Two callers wait for one device; the time of the first is over before it comes, and the second is answered."""
    one, other = hubs
    device = one.add_device("far-5")
    asked = MethodCall("far-5", "", "reboot", b"{}", connect_within_s=1, answer_within_s=120)
    hurried, patient = (
        asyncio.run_coroutine_threadsafe(other.parts.sessions.invoke(each), other.loop)
        for each in (asked, replace(asked, connect_within_s=120))
    )
    with pytest.raises(HubError) as gone:
        hurried.result(120)
    assert gone.value.code is HubCode.DeviceNotOnline
    client = connect(one, device)
    began = time.monotonic()
    assert patient.result(240).status == 207
    assert time.monotonic() - began < 100, "it was answered when its own time was over"
    client.shutdown()


def test_a_process_that_was_killed_holds_nobody(hubs: tuple[TestHub, TestHub], monkeypatch: pytest.MonkeyPatch) -> None:
    """A device whose process no longer beats is not online, at once; one whose process beats stays so."""
    one, other = hubs
    client = connect(one, one.add_device("far-6"))
    one.add_device("far-3")
    one.registry.next_epoch("far-3", "", "killed", None).result()
    living = other.parts.sessions._beats.living
    assert living.is_alive("killed")
    monkeypatch.setattr(living, "_clock", lambda: time.monotonic() + SILENT_S)
    awaited(lambda: not living.is_alive("killed"), "a look at the beats")
    with pytest.raises(HttpOperationError) as gone:
        service(other).invoke_device_method("far-3", call("reboot"))
    assert refusal(gone) == "DeviceNotOnline"
    awaited(lambda: living.is_alive(one.parts.instance), "a beat of the other process")
    assert service(other).invoke_device_method("far-6", call("reboot")).status == 207
    client.shutdown()
