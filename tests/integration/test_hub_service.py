"""The hub's service side as the unmodified client `azure-iot-hub` speaks with it."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from azure.iot.hub import IoTHubRegistryManager
from azure.iot.hub.iothub_http_runtime_manager import IoTHubHttpRuntimeManager
from azure.iot.hub.models import CloudToDeviceMethod, ExportImportDevice, QuerySpecification, Twin, TwinProperties
from msrest.exceptions import HttpOperationError
from sqlalchemy import select

from hub.registry.cloud_queue import CloudMessage
from hub.registry.identities import new_key
from hub.registry.registry_tables import FEEDBACK
from hub.registry.tenants import refusal_count
from tests.support.hub_service import Service, serving


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    with serving(tmp_path_factory.mktemp("hub")) as running:
        yield running


@pytest.fixture(autouse=True)
def trust(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(service.root))


@pytest.fixture
def manager(service: Service) -> Any:
    return IoTHubRegistryManager.from_connection_string(service.connection_string())


def add(manager: Any, device_id: str) -> Any:
    return manager.create_device_with_sas(device_id, new_key(), new_key(), "enabled")


def status_of(error: pytest.ExceptionInfo[HttpOperationError]) -> tuple[int, str]:
    response = error.value.response
    return response.status_code, response.headers["iothub-errorcode"]


def test_devices_live_and_die_with_etags(manager: Any) -> None:
    """Created once (409), changed by the right etag only (412), listed, deleted, then 404."""
    made = add(manager, "etags-1")
    assert made.authentication.symmetric_key.primary_key
    with pytest.raises(HttpOperationError) as taken:
        add(manager, "etags-1")
    assert status_of(taken) == (409, "DeviceAlreadyExists")
    keys = made.authentication.symmetric_key
    changed = manager.update_device_with_sas("etags-1", made.etag, keys.primary_key, keys.secondary_key, "disabled")
    assert (changed.status, changed.etag != made.etag) == ("disabled", True)
    with pytest.raises(HttpOperationError) as other:
        manager.update_device_with_sas("etags-1", made.etag, keys.primary_key, keys.secondary_key, "enabled")
    assert status_of(other) == (412, "PreconditionFailed")
    assert "etags-1" in {each.device_id for each in manager.get_devices(1000)}
    manager.delete_device("etags-1")
    with pytest.raises(HttpOperationError) as gone:
        manager.get_device("etags-1")
    assert status_of(gone) == (404, "DeviceNotFound")


def test_x509_devices_and_modules(manager: Any) -> None:
    """Thumbprints and authorities are kept as they are given; a module has keys and a twin of its own."""
    device = manager.create_device_with_x509("x-1", "a" * 40, "B" * 40, "enabled")
    assert device.authentication.type == "selfSigned"
    assert device.authentication.x509_thumbprint.primary_thumbprint == "A" * 40
    assert (
        manager.create_device_with_certificate_authority("x-2", "enabled").authentication.type == "certificateAuthority"
    )
    module = manager.create_module_with_sas("x-1", "m", "me", new_key(), new_key())
    assert [each.module_id for each in manager.get_modules("x-1")] == ["m"]
    patch = Twin(properties=TwinProperties(desired={"rate": 5}))
    assert manager.update_module_twin("x-1", "m", patch).properties.desired["rate"] == 5
    manager.delete_module("x-1", "m", module.etag)
    assert manager.get_modules("x-1") == []


def test_twins_are_patched_and_replaced(manager: Any) -> None:
    """A patch merges and null takes away; a replacement leaves only what it has; another's etag is 412."""
    add(manager, "twin-1")
    twin = manager.get_twin("twin-1")
    first = Twin(tags={"site": "north", "old": 1}, properties=TwinProperties(desired={"a": {"b": 1, "c": 2}}))
    made = manager.update_twin("twin-1", first, twin.etag)
    assert made.properties.desired["$version"] == 2
    manager.update_twin("twin-1", Twin(tags={"old": None}, properties=TwinProperties(desired={"a": {"b": None}})))
    found = manager.get_twin("twin-1")
    assert found.tags == {"site": "north"}
    assert found.properties.desired["a"] == {"c": 2}
    with pytest.raises(HttpOperationError) as other:
        manager.update_twin("twin-1", first, twin.etag)
    assert status_of(other) == (412, "PreconditionFailed")
    whole = manager.replace_twin("twin-1", Twin(tags={"only": 1}, properties=TwinProperties(desired={})), found.etag)
    assert whole.tags == {"only": 1}
    assert set(whole.properties.desired) == {"$metadata", "$version"}


def test_many_devices_at_once_and_queries_by_pages(manager: Any) -> None:
    """A bulk of 100 is created at once, found by pages that miss nothing, projected, counted and grouped."""
    devices = [
        ExportImportDevice(id=f"bulk-{n:03}", import_mode="create", status="enabled", tags={"bulk": n % 3})
        for n in range(100)
    ]
    assert manager.bulk_create_or_update_devices(devices).is_successful
    seen, more = [], None
    while True:
        page = manager.query_iot_hub(
            QuerySpecification(query="SELECT * FROM devices WHERE STARTSWITH(deviceId, 'bulk-')"), more, 30
        )
        assert len(page.items) <= 30
        seen += [twin.device_id for twin in page.items]
        more = page.continuation_token
        if not more:
            break
    assert seen == [f"bulk-{n:03}" for n in range(100)]
    grouped = manager.query_iot_hub(
        QuerySpecification(
            query="SELECT tags.bulk AS kind, COUNT() AS n FROM devices WHERE is_defined(tags.bulk) GROUP BY tags.bulk"
        )
    )
    assert [(each.additional_properties["kind"], each.additional_properties["n"]) for each in grouped.items] == [
        (0, 34), (1, 33), (2, 33)
    ]  # fmt: skip
    again = ExportImportDevice(id="bulk-000", import_mode="create")
    refused = manager.bulk_create_or_update_devices([again])
    assert (refused.is_successful, refused.errors[0].error_code) == (False, "DeviceAlreadyExists")


def test_methods_reach_who_is_connected(service: Service, manager: Any) -> None:
    """A connected device answers; who is not there is 404 DeviceNotOnline."""
    add(manager, "method-1")
    method = CloudToDeviceMethod(method_name="reboot", payload={"in": 5}, response_timeout_in_seconds=10)
    with pytest.raises(HttpOperationError) as offline:
        manager.invoke_device_method("method-1", method)
    assert status_of(offline) == (404, "DeviceNotOnline")
    service.devices.online.add("method-1")
    answer = manager.invoke_device_method("method-1", method)
    assert (answer.status, answer.payload) == (200, {"in": 5})


def test_statistics_count_devices(manager: Any) -> None:
    """Totals follow the registry."""
    before = manager.get_device_registry_statistics()
    manager.create_device_with_sas("count-1", "", "", "disabled")
    after = manager.get_device_registry_statistics()
    assert after.total_device_count == before.total_device_count + 1
    assert after.disabled_device_count == before.disabled_device_count + 1
    assert manager.get_service_statistics().connected_device_count == 0


def test_feedback_is_received_and_completed(service: Service, manager: Any) -> None:
    """The sender of a message that was purged hears of it once."""
    add(manager, "feedback-1")
    message = CloudMessage(0, "feedback-1", b"x", {}, {"mid": "m-1"}, "full", 0, 0, 0, None)
    service.registry.enqueue_cloud_message(message).result()
    runtime = IoTHubHttpRuntimeManager.from_connection_string(service.connection_string())
    purged = runtime.protocol.cloud_to_device_messages.purge_cloud_to_device_message_queue("feedback-1")
    assert purged.total_messages_purged == 1
    runtime.receive_feedback_notification()
    assert service.registry.take_feedback("default").result() is None
    lock: str = service.registry.read(lambda tx: tx.connection.execute(select(FEEDBACK.c.lock_token)).scalar_one())
    runtime.abandon_feedback_notification(lock)
    batch = service.registry.take_feedback("default").result()
    assert batch is not None
    assert [record["originalMessageId"] for record in batch.records] == ["m-1"]
    runtime.complete_feedback_notification(batch.lock_token)
    with pytest.raises(HttpOperationError) as lost:
        runtime.complete_feedback_notification(batch.lock_token)
    assert status_of(lost) == (412, "DeviceMessageLockLost")


def test_tenants_and_rights_are_kept_apart(service: Service, manager: Any) -> None:
    """Another tenant finds nothing and is counted; a policy does what its rights say; no key, no entry."""
    add(manager, "mine-1")
    other = IoTHubRegistryManager.from_connection_string(service.connection_string("acme"))
    before = service.registry.read(refusal_count)
    for attempt in (other.get_device, other.get_twin, other.delete_device):
        with pytest.raises(HttpOperationError) as hidden:
            attempt("mine-1")
        assert status_of(hidden) == (404, "DeviceNotFound")
    assert service.registry.read(refusal_count) == before + 3
    assert other.get_devices() == []
    assert other.query_iot_hub(QuerySpecification(query="SELECT * FROM devices")).items == []
    reader = IoTHubRegistryManager.from_connection_string(service.connection_string(policy="registryRead"))
    assert reader.get_device("mine-1").device_id == "mine-1"
    with pytest.raises(HttpOperationError) as denied:
        reader.delete_device("mine-1")
    assert status_of(denied) == (401, "IotHubUnauthorizedAccess")
    forged = service.connection_string().rsplit("SharedAccessKey=", 1)[0] + f"SharedAccessKey={new_key()}"
    with pytest.raises(HttpOperationError) as unknown:
        IoTHubRegistryManager.from_connection_string(forged).get_devices()
    assert status_of(unknown) == (401, "IotHubUnauthorized")


def test_a_wrong_query_says_where(manager: Any, tmp_path: Path) -> None:
    """What cannot be read is 400 with its place, and SQL in a value stays a value."""
    with pytest.raises(HttpOperationError) as wrong:
        manager.query_iot_hub(QuerySpecification(query="SELECT * FROM devices WHERE tags.x ="))
    assert status_of(wrong) == (400, "ArgumentInvalid")
    text = "SELECT * FROM devices WHERE tags.x = '''; DROP TABLE identities; --'"
    assert manager.query_iot_hub(QuerySpecification(query=text)).items == []
    assert manager.get_devices(1)
