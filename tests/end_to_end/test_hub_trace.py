"""A device made by the command sends by the unmodified SDK, and its message is found in silver and in gold."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from hub.administration import opened_registry
from hub.registry.outbox import pending
from hub.registry.sender_lease import SenderLease
from runtime.ports import is_port_open
from runtime.settings import Settings
from tests.end_to_end.lakehouse import lakehouse, query
from tests.support.awaiting import awaited
from tests.support.hub_server import PORT, own_address

PUMP = "dtmi:lakehouse:pump;1"
DEVICE = """
import json, sys
from azure.iot.device import IoTHubDeviceClient, Message

client = IoTHubDeviceClient.create_from_connection_string(sys.argv[1], product_info=sys.argv[2])
client.connect()
for name, component, body in (
    ("whole", None, {"state": "running", "isRunning": True, "pressure": 210.5}),
    ("part", "motor", {"vibration": 1.5, "temperature": 40.25, "speed": 1450}),
):
    message = Message(json.dumps(body), message_id=name, content_type="application/json", content_encoding="utf-8")
    if component:
        message.custom_properties["$.sub"] = component
    client.send_message(message)
client.shutdown()
"""


@contextmanager
def hub_process(settings: Settings, address: str) -> Iterator[None]:
    """The program that `up --hub` starts, on an address of its own."""
    environment = {**os.environ, **settings.child_environment()}
    arguments = ["-m", "hub", "--port", str(PORT), "--listen-on", address, "--host", address]
    process = subprocess.Popen([sys.executable, *arguments], env=environment)
    try:
        awaited(lambda: is_port_open(address, PORT) or process.poll() is not None, "the hub")
        assert process.poll() is None, "the hub ended"
        yield
    finally:
        process.terminate()
        assert process.wait(120) == 0


def await_lifecycle(settings: Settings) -> None:
    """The running hub has sent what the registry has to tell."""
    with opened_registry(settings) as registry:
        awaited(lambda: not registry.read(lambda tx: pending(tx, 1)), "the end of the outbox")


def test_a_message_of_the_sdk_is_traced_to_silver_and_gold(settings: Settings) -> None:
    """Model, component and site are what the command and the client said; disabled, the device is in maintenance."""
    address = own_address()
    with hub_process(settings, address):
        made: dict[str, Any] = json.loads(
            lakehouse(
                settings, "hub", "devices", "create", "traced-1", "--model", PUMP, "--site", "north", "--json"
            ).output
        )
        connection = made["connection_string"].replace("HostName=localhost", f"HostName={address}")
        trusting = {**os.environ, "SSL_CERT_FILE": str(settings.hub_folder / "pki" / "root.pem")}
        subprocess.run([sys.executable, "-c", DEVICE, connection, PUMP], env=trusting, check=True, timeout=120)
        lakehouse(settings, "hub", "devices", "disable", "traced-1")
        await_lifecycle(settings)
    with opened_registry(settings) as registry:
        assert SenderLease(registry, "the next hub").take(), "a hub that ended in order kept the outbox's lease"
    lakehouse(settings, "refresh", exit_codes=[0, 3])

    sql = 'SELECT ce_id, topic, "partition", "offset" FROM bronze.telemetry WHERE ce_source = \'/devices/traced-1\''
    places = {row["ce_id"]: f"{row['topic']}:{row['partition']}:{row['offset']}" for row in query(settings, sql)}
    assert set(places) == {"whole", "part"}
    part = json.loads(lakehouse(settings, "trace", "--message", places["part"], "--json").output)
    assert (part["table"], part["row"]["model_id"], part["row"]["component_name"]) == ("silver.pumps", PUMP, "motor")
    assert part["gold"], part["why_not"]
    assert {row["site_id"] for _, row in part["gold"] if "site_id" in row} == {"north"}
    history = query(settings, "SELECT status, model_id, site_id FROM silver.devices ORDER BY valid_from")
    assert history[-1] == {"status": "maintenance", "model_id": PUMP, "site_id": "north"}
