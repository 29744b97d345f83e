"""The provisioning service as the unmodified client `azure-iot-deviceprovisioning` speaks with it."""

import base64
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
from azure.core.exceptions import HttpResponseError
from azure.iot.deviceprovisioning import DeviceProvisioningClient

from hub.registry.enrolments import GROUP, Proof, assign, require_enrolment
from hub.registry.identities import find
from tests.support.hub_service import Service, serving
from wire.certificates import Authority, read_chain, thumbprints
from wire.sas import derive_key


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    with serving(tmp_path_factory.mktemp("hub")) as running:
        yield running


@pytest.fixture
def client(service: Service, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(service.root))
    return DeviceProvisioningClient.from_connection_string(service.connection_string())


def by_key(name: str, value: str) -> dict[str, Any]:
    return {name: value, "attestation": {"type": "symmetricKey", "symmetricKey": {}}}


def test_an_enrolment_lives_with_its_etag_and_shows_no_key(client: Any) -> None:
    """Keys are made and told only when asked for; a change needs the etag; what is gone is 404."""
    made = client.enrollment.create_or_update("dev-1", by_key("registrationId", "dev-1"))
    assert made["provisioningStatus"] == "enabled"
    secrets = client.enrollment.get_attestation_mechanism("dev-1")["symmetricKey"]
    assert len(base64.b64decode(secrets["primaryKey"])) == 32
    shown = client.enrollment.get("dev-1")
    assert secrets["primaryKey"] not in str(shown)
    with pytest.raises(HttpResponseError) as taken:
        client.enrollment.create_or_update("dev-1", by_key("registrationId", "dev-1"))
    assert taken.value.status_code == 409
    changed = {**shown, "deviceId": "other"}
    client.enrollment.create_or_update("dev-1", changed, if_match=made["etag"])
    assert client.enrollment.get_attestation_mechanism("dev-1")["symmetricKey"] == secrets
    with pytest.raises(HttpResponseError) as old:
        client.enrollment.create_or_update("dev-1", changed, if_match=made["etag"])
    assert old.value.status_code == 412
    client.enrollment.delete("dev-1")
    with pytest.raises(HttpResponseError) as gone:
        client.enrollment.get("dev-1")
    assert gone.value.status_code == 404


def test_a_certificate_says_who_it_is(client: Any) -> None:
    """An x509 enrolment keeps the certificate and shows its subject and thumbprint only."""
    issued = Authority.root("maker", datetime.now(UTC)).issue_device("x-1", datetime.now(UTC))
    pem = base64.b64encode(issued.chain).decode()
    x509 = {"clientCertificates": {"primary": {"certificate": pem}}}
    made = client.enrollment.create_or_update(
        "x-1", {"registrationId": "x-1", "attestation": {"type": "x509", "x509": x509}}
    )
    info = made["attestation"]["x509"]["clientCertificates"]["primary"]
    assert info["info"]["sha1Thumbprint"] == thumbprints(read_chain(issued.chain)[0])[0]
    assert "certificate" not in info


def test_a_group_provisions_and_revokes(service: Service, client: Any) -> None:
    """Registrations of a group are listed page by page; disabling the group cuts its devices off."""
    client.enrollment_group.create_or_update("line", by_key("enrollmentGroupId", "line"))
    key = client.enrollment_group.get_attestation_mechanism("line")["symmetricKey"]["primaryKey"]
    group = service.registry.read(lambda tx: require_enrolment(tx, "default", GROUP, "line"))
    for n in range(12):
        proof = Proof(primary_key=derive_key(key, f"line-{n:02}"), secondary_key=derive_key(key, f"line-{n:02}"))
        service.registry.write(lambda tx, n=n, proof=proof: assign(tx, group, f"line-{n:02}", proof)).result()
    found = [each["registrationId"] for each in client.device_registration_state.query("line", top=5)]
    assert found == [f"line-{n:02}" for n in range(12)]
    pages = iter(client.device_registration_state.query("line", top=5))
    for n in range(12):
        # one of a page before is forgotten while the next is asked for
        assert next(pages)["registrationId"] == f"line-{n:02}"
        if n == 4:
            client.device_registration_state.delete("line-00")
    assert client.device_registration_state.get("line-03")["status"] == "assigned"
    shown = client.enrollment_group.get("line")
    client.enrollment_group.create_or_update("line", {**shown, "provisioningStatus": "disabled"}, if_match="*")
    device = service.registry.read(lambda tx: find(tx, "line-03"))
    assert device is not None
    assert not device.is_enabled
    client.device_registration_state.delete("line-03")
    with pytest.raises(HttpResponseError) as gone:
        client.device_registration_state.get("line-03")
    assert gone.value.status_code == 404


def test_many_enrolments_at_once_and_by_query(client: Any) -> None:
    """A bulk creates what it can and names what it cannot; a query lists everything."""
    bulk = {"mode": "create", "enrollments": [by_key("registrationId", f"b-{n}") for n in range(5)]}
    assert client.enrollment.run_bulk_operation(bulk)["isSuccessful"]
    again = client.enrollment.run_bulk_operation({**bulk, "enrollments": bulk["enrollments"][:1]})
    assert (again["isSuccessful"], again["errors"][0]["registrationId"]) == (False, "b-0")
    found = {each["registrationId"] for each in client.enrollment.query({"query": "SELECT * FROM enrollments"})}
    assert {f"b-{n}" for n in range(5)} <= found
