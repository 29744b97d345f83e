"""`lakehouse hub`: devices, keys, twins and enrolments of a home, without a running hub."""

import json
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from hub.administration import opened_registry
from hub.registry.enrolments import GROUP, INDIVIDUAL, enrolments_of
from hub.registry.registry_tables import OUTBOX
from lakehouse.cli.main import run
from runtime.settings import load_settings
from tests.support.firmware_repository import FirmwareRepository
from wire.certificates import Authority


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home of its own."""
    monkeypatch.setenv("LAKEHOUSE_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


def hub(capsys: pytest.CaptureFixture[str], *arguments: str, code: int = 0) -> str:
    """What a command prints, on stdout or as its error."""
    assert run(["hub", *arguments]) == code
    printed = capsys.readouterr()
    return printed.err if code else printed.out


def of_json(text: str) -> Any:
    return json.loads(text)


def test_a_device_is_made_shown_rotated_and_disabled(capsys: pytest.CaptureFixture[str]) -> None:
    """The primary key changes by rotation only, the list says what holds, and a taken id is a sentence."""
    made = of_json(hub(capsys, "devices", "create", "p-1", "--site", "north", "--json"))
    assert made["device_id"] == "p-1"
    assert made["connection_string"].startswith("HostName=localhost;DeviceId=p-1;SharedAccessKey=")
    assert of_json(hub(capsys, "devices", "show", "p-1", "--json")) == made
    hub(capsys, "devices", "rotate", "p-1", "--key", "secondary")
    assert of_json(hub(capsys, "devices", "show", "p-1", "--json")) == made
    assert of_json(hub(capsys, "devices", "rotate", "p-1", "--json")) != made
    assert "disabled" in hub(capsys, "devices", "disable", "p-1")
    (listed,) = of_json(hub(capsys, "devices", "list", "--json"))
    assert (listed["status"], listed["site_id"], listed["last_activity_at"]) == ("disabled", "north", "")
    assert "already registered" in hub(capsys, "devices", "create", "p-1", code=1)
    assert "There is no model" in hub(capsys, "devices", "create", "p-2", "--model", "dtmi:x:y;1", code=2)


def test_what_the_command_changes_waits_for_the_lake(capsys: pytest.CaptureFixture[str]) -> None:
    """Model, site and interval are in the outbox in the order of the commands."""
    hub(capsys, "devices", "create", "p-1", "--model", "dtmi:lakehouse:pump;1", "--site", "north")
    hub(capsys, "twin", "patch", "p-1", '{"tags": {"site": "south"}, "desired": {"reporting_interval_s": 30}}')
    with opened_registry(load_settings()) as registry:
        rows = registry.read(lambda tx: tx.connection.execute(OUTBOX.select().order_by(OUTBOX.c.n)).all())
    assert [row.value for row in rows if row.topic == "lifecycle"] == [
        {"model_id": "dtmi:lakehouse:pump;1", "site_id": "north"},
        {"site_id": "south", "reporting_interval_s": 30},
    ]
    assert of_json(hub(capsys, "twin", "get", "p-1"))["tags"] == {"site": "south"}


def test_tenants_have_scopes_and_devices_of_their_own(capsys: pytest.CaptureFixture[str]) -> None:
    """What one tenant has the other does not find; an unknown tenant is wrong usage."""
    hub(capsys, "tenants", "add", "acme")
    hub(capsys, "devices", "create", "p-1", "--tenant", "acme")
    assert of_json(hub(capsys, "devices", "list", "--json")) == []
    assert "no device" in hub(capsys, "devices", "show", "p-1", code=1)
    found = [of_json(hub(capsys, "connection-string", "--json", "--tenant", name)) for name in ("acme", "default")]
    assert found[0]["id_scope"] != found[1]["id_scope"]
    assert found[0]["events_connection_string"] != found[1]["events_connection_string"]
    assert "no tenant" in hub(capsys, "devices", "create", "p-2", "--tenant", "nobody", code=2)
    enrolled = of_json(hub(capsys, "enroll", "line", "--group", "--tenant", "acme", "--json"))
    assert (enrolled["id_scope"], bool(enrolled["primary_key"])) == (found[0]["id_scope"], True)


def test_an_enrolment_asks_for_firmware(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """Root and target are kept with it; a file that is no JSON, or no root, is refused and enrols nothing."""
    root = FirmwareRepository(datetime.now(UTC)).root()
    (tmp_path / "root.json").write_text(json.dumps(root))
    (tmp_path / "bad.json").write_bytes(b"\xff")
    (tmp_path / "none.json").write_text("{}")
    hub(capsys, "enroll", "line", "--group", "--firmware", str(tmp_path / "root.json"), "pump.bin", "--json")
    hub(capsys, "enroll", "bad", "--firmware", str(tmp_path / "bad.json"), "pump.bin", code=2)
    assert "no root metadata" in hub(capsys, "enroll", "no", "--firmware", str(tmp_path / "none.json"), "p", code=1)
    with opened_registry(load_settings()) as registry:
        groups, others = (
            registry.read(partial(enrolments_of, tenant="default", kind=kind)) for kind in (GROUP, INDIVIDUAL)
        )
    assert [each.attestation["manifest"] for each in groups] == [{"root": root, "target": "pump.bin"}]
    assert others == []


def test_a_certificate_that_is_no_text_is_wrong_usage(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """One in DER is named, and enrols nothing."""
    (tmp_path / "pump.crt").write_bytes(b"\x30\x82\xff")
    said = hub(capsys, "enroll", "pump", "--certificate", str(tmp_path / "pump.crt"), code=2)
    assert f"{tmp_path / 'pump.crt'} is no text" in said
    with opened_registry(load_settings()) as registry:
        assert registry.read(partial(enrolments_of, tenant="default", kind=INDIVIDUAL)) == []


def test_the_connection_string_for_events_is_one_of_event_hubs(capsys: pytest.CaptureFixture[str]) -> None:
    """Scheme, policy, key and entity as its clients read them; the host without a port, of which they know better."""
    plain = dict(part.split("=", 1) for part in hub(capsys, "connection-string").strip().split(";"))
    events = dict(part.split("=", 1) for part in hub(capsys, "connection-string", "--events").strip().split(";"))
    assert events == {
        "Endpoint": "sb://localhost/", "SharedAccessKeyName": "iothubowner", "EntityPath": "telemetry",
        "SharedAccessKey": plain["SharedAccessKey"],
    }  # fmt: skip


def test_authorities_are_added_listed_and_removed(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """By name and once; what is no authority's certificate is wrong usage, and nothing is trusted by it."""
    root = Authority.root("factory root", datetime.now(UTC))
    device = root.issue_device("d", datetime.now(UTC))
    for name, pem in (("root", root.pem), ("device", device.chain), ("none", b"-")):
        (tmp_path / name).write_bytes(pem)
    hub(capsys, "authorities", "add", "factory", str(tmp_path / "root"))
    hub(capsys, "authorities", "add", "factory", str(tmp_path / "root"), code=1)
    assert "CA:TRUE" in hub(capsys, "authorities", "add", "other", str(tmp_path / "device"), code=2)
    assert "no certificate" in hub(capsys, "authorities", "add", "other", str(tmp_path / "none"), code=2)
    (found,) = of_json(hub(capsys, "authorities", "list", "--json"))
    assert (found["name"], found["subject"]) == ("factory", "factory root")
    hub(capsys, "authorities", "remove", "factory")
    assert of_json(hub(capsys, "authorities", "list", "--json")) == []
    assert "no authority" in hub(capsys, "authorities", "remove", "factory", code=1)


def test_a_policy_gets_one_key_anew(capsys: pytest.CaptureFixture[str]) -> None:
    """The secondary leaves what `connection-string` prints, the primary changes it; other policies are as before."""
    before = hub(capsys, "connection-string")
    secondary = hub(capsys, "policies", "rotate", "iothubowner", "--key", "secondary")
    assert hub(capsys, "connection-string") == before != secondary
    service = hub(capsys, "policies", "rotate", "service")
    assert "SharedAccessKeyName=service;" in service
    assert hub(capsys, "connection-string") == before
    assert hub(capsys, "policies", "rotate", "iothubowner") == hub(capsys, "connection-string") != before
    assert {"name": "service", "rights": "ServiceConnect"} in of_json(hub(capsys, "policies", "list", "--json"))
    assert "no policy" in hub(capsys, "policies", "rotate", "nobody", code=1)


def test_env_says_that_the_hub_never_ran(capsys: pytest.CaptureFixture[str]) -> None:
    """Before the first start there is nothing to trust."""
    assert "up --hub" in hub(capsys, "env", code=1)
