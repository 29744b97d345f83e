"""Jobs, configurations and Plug and Play twins as the unmodified client `azure-iot-hub` speaks with the hub."""

from collections.abc import Iterator
from typing import Any

import pytest
from azure.iot.hub import DigitalTwinClient, IoTHubConfigurationManager, IoTHubJobManager, IoTHubRegistryManager
from azure.iot.hub.models import Configuration, ConfigurationContent, JobRequest, Twin, TwinProperties
from msrest.exceptions import HttpOperationError

from hub.methods import MethodCall
from hub.registry.identities import Identity, create
from tests.support.awaiting import awaited
from tests.support.hub_service import Service, serving


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    with serving(tmp_path_factory.mktemp("hub")) as running:
        yield running


@pytest.fixture(autouse=True)
def trust(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(service.root))


def add(service: Service, *names: str) -> None:
    for done in [service.registry.write(lambda tx, n=n: create(tx, Identity(n, "default"))) for n in names]:
        done.result()


def ended(jobs: Any, job_id: str) -> Any:
    """The job once it ended; the runner works in the server's thread."""

    def found() -> Any:
        job = jobs.get_scheduled_job(job_id)
        return None if job.status in ("queued", "running", "scheduled") else job

    return awaited(found, f"the end of job {job_id}")


def test_a_job_changes_the_twins_of_a_thousand_devices(service: Service) -> None:
    """Every device that the condition finds has the change, no other has, and the counts say so."""
    add(service, *(f"job-{n:04}" for n in range(1000)), "other")
    jobs = IoTHubJobManager.from_connection_string(service.connection_string())
    change = Twin(tags={"wave": 7}, properties=TwinProperties(desired={"rate": 9}))
    request = JobRequest(
        job_id="j1", type="scheduleUpdateTwin", query_condition="STARTSWITH(deviceId, 'job-')", update_twin=change,
        max_execution_time_in_seconds=300,
    )  # fmt: skip
    jobs.create_scheduled_job("j1", request)
    found = ended(jobs, "j1")
    assert (found.status, found.device_job_statistics.succeeded_count) == ("completed", 1000)
    assert found.device_job_statistics.device_count == 1000
    assert service.registry.twin("job-0999").desired == {"rate": 9}
    assert service.registry.twin("other").tags == {}
    with pytest.raises(HttpOperationError):
        jobs.create_scheduled_job("j1", request)


def test_a_job_calls_a_method_and_counts_who_is_not_there(service: Service) -> None:
    """Who is connected answers, who is not fails, and the job ends all the same."""
    add(service, "call-1", "call-2")
    service.devices.online.add("call-1")
    jobs = IoTHubJobManager.from_connection_string(service.connection_string())
    method = {"methodName": "reboot", "payload": {"in": 1}, "responseTimeoutInSeconds": 5}
    request = JobRequest(
        job_id="j2", type="scheduleDeviceMethod", query_condition="deviceId IN ['call-1', 'call-2']",
        cloud_to_device_method=method, max_execution_time_in_seconds=60,
    )  # fmt: skip
    jobs.create_scheduled_job("j2", request)
    counts = ended(jobs, "j2").device_job_statistics
    assert (counts.succeeded_count, counts.failed_count) == (1, 1)
    assert service.devices.calls == [MethodCall("call-1", "", "reboot", b'{"in": 1}', 0, 5)]


def test_a_configuration_reaches_its_targets(service: Service) -> None:
    """Devices of the condition have its content; the higher priority wins; etags guard changes."""
    add(service, "conf-1", "conf-2")
    registry = IoTHubRegistryManager.from_connection_string(service.connection_string())
    registry.update_twin("conf-1", Twin(tags={"line": 3}))
    manager = IoTHubConfigurationManager.from_connection_string(service.connection_string())

    def configuration(name: str, priority: int, rate: int) -> Configuration:
        content = ConfigurationContent(device_content={"properties.desired.rate": rate})
        return Configuration(id=name, content=content, target_condition="tags.line = 3", priority=priority)

    manager.create_configuration(configuration("high", 10, 5))
    made = manager.create_configuration(configuration("low", 1, 99))
    assert service.registry.twin("conf-1").desired == {"rate": 5}
    assert service.registry.twin("conf-2").desired == {}
    assert [each.id for each in manager.get_configurations()] == ["high", "low"]
    assert manager.get_configuration("low").system_metrics.results["targetedCount"] == 1
    manager.delete_configuration("low", made.etag)
    with pytest.raises(HttpOperationError):
        manager.get_configuration("low")
    wrong = Configuration(id="wrong", content=ConfigurationContent(device_content={}), target_condition="tags.line =")
    with pytest.raises(HttpOperationError) as refused:
        manager.create_configuration(wrong)
    assert refused.value.response.status_code == 400


def test_a_plug_and_play_twin_is_shown_patched_and_commanded(service: Service) -> None:
    """Components and acknowledgements are told apart, a patch becomes desired, a command a method."""
    add(service, "pnp-1")
    service.devices.online.add("pnp-1")
    service.registry.next_epoch("pnp-1", "", "test", "dtmi:com:example:TemperatureController;2").result()
    report = {
        "serialNumber": "s", "thermostat1": {"__t": "c", "target": {"value": 20, "ac": 200, "av": 3, "ad": "ok"}}
    }  # fmt: skip
    service.registry.patch_reported("pnp-1", "", report).result()
    client = DigitalTwinClient.from_connection_string(service.connection_string())
    twin = client.get_digital_twin("pnp-1")
    assert twin["$metadata"]["$model"] == "dtmi:com:example:TemperatureController;2"
    assert (twin["serialNumber"], twin["thermostat1"]["target"]) == ("s", 20)
    assert twin["thermostat1"]["$metadata"]["target"]["ackCode"] == 200
    client.update_digital_twin("pnp-1", [{"op": "add", "path": "/thermostat1/target", "value": 21}])
    assert service.registry.twin("pnp-1").desired == {"thermostat1": {"__t": "c", "target": 21}}
    service.devices.calls.clear()
    assert client.invoke_component_command("pnp-1", "thermostat1", "report", {"since": 1}) == {"since": 1}
    assert service.devices.calls[0].method == "thermostat1*report"
