"""The hub's REST application over TLS, in a thread, for unmodified clients.

Belongs here: starting and ending it, its certificate, and devices that answer methods without a connection.
"""

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import uvicorn

from hub.api.service_app import build_app
from hub.hub_errors import HubCode, HubError
from hub.methods import MethodCall, MethodResult
from hub.registry.hub_registry import Registry
from hub.registry.tenants import DEFAULT_TENANT, add_tenant
from wire.certificates import Authority

HTTPS = 443


@dataclass
class Answering:
    """Holds the devices named in `online`: each echoes a method's payload; the others are not there."""

    online: set[str] = field(default_factory=set)
    calls: list[MethodCall] = field(default_factory=list)

    async def invoke(self, call: MethodCall) -> MethodResult:
        """As a session would."""
        if call.device_id not in self.online:
            raise HubError(HubCode.DeviceNotOnline, f"Device {call.device_id!r} is not connected.")
        self.calls.append(call)
        return MethodResult(200, call.payload)


@dataclass
class Service:
    """A running application."""

    registry: Registry
    devices: Answering
    host: str
    root: Path

    def connection_string(self, tenant: str = DEFAULT_TENANT, policy: str = "iothubowner") -> str:
        """For the service side of a tenant."""
        self.registry.write(lambda tx: add_tenant(tx, tenant)).result()
        key = next(each for each in self.registry.policy_keys(policy) if each.tenant == tenant).primary_key
        return f"HostName={self.host};SharedAccessKeyName={policy};SharedAccessKey={key}"


@contextmanager
def serving(folder: Path, address: str = "localhost", port: int = 0) -> Iterator[Service]:
    """The application on a port (0: a free one) of an address; `root` is the certificate that clients must trust."""
    now = datetime.now(UTC)
    authority = Authority.root("hub under test", now)
    issued = authority.issue_server([address, "127.0.0.1"], now)
    for name, pem in (("root.pem", authority.pem), ("server.pem", issued.chain), ("server.key", issued.key)):
        (folder / name).write_bytes(pem)
    registry, devices = Registry(f"sqlite:///{folder / 'registry.db'}"), Answering()
    listener = socket.create_server((address, port))
    config = uvicorn.Config(
        build_app(registry, devices, folder / "files"),
        ssl_certfile=folder / "server.pem",
        ssl_keyfile=str(folder / "server.key"),
        log_level="warning",
        timeout_graceful_shutdown=1,
    )
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, args=([listener],), daemon=True)
    thread.start()
    while not server.started:
        time.sleep(0.01)
    try:
        host = address if port == HTTPS else f"{address}:{listener.getsockname()[1]}"
        yield Service(registry, devices, host, folder / "root.pem")
    finally:
        server.should_exit = True
        thread.join()
        listener.close()
        registry.close()
