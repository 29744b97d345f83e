"""Calls of the hub's REST: a token opens what it is for, and no more."""

import time
from pathlib import Path

import pytest
from starlette.requests import Request

from hub.api.calls import service_tenant
from hub.hub_errors import HubError
from hub.registry.hub_registry import Registry
from wire import sas

HOST = "hub.example"


@pytest.mark.parametrize(
    ("resource", "path", "is_let_in"),
    [
        ("", "/devices/other", True), ("/", "/jobs/v2", True), ("/devices/Dev1", "/devices/dev1", True),
        ("/devices/dev1", "/devices/dev1/modules/m", True), ("/devices/dev1/", "/devices/dev1", True),
        ("/devices/dev1", "/devices/other", False), ("/devices/dev1", "/devices/dev10", False),
        ("/devices/dev1", "/devices", False), ("/devices/dev1", "/devices/dev1?x", False),
        ("/devices", "/devices/dev1", True), ("/devices", "/twins/dev1", False),
    ],
)  # fmt: skip
def test_a_token_opens_what_is_below_its_resource(tmp_path: Path, resource: str, path: str, is_let_in: bool) -> None:
    """By segment, in any case; the host's own opens everything."""
    registry = Registry(f"sqlite:///{tmp_path / 'registry.db'}")
    (policy,) = registry.policy_keys("iothubowner")
    token = sas.sign(policy.primary_key, f"{HOST}{resource}", int(time.time()) + 600, policy.name)
    request = Request(
        {"type": "http", "method": "DELETE", "path": path, "query_string": b"", "scheme": "https",
         "headers": [(b"host", HOST.encode()), (b"authorization", token.encode())]}
    )  # fmt: skip
    try:
        if is_let_in:
            assert service_tenant(registry, request, "RegistryWrite") == "default"
        else:
            with pytest.raises(HubError, match="The token is for"):
                service_tenant(registry, request, "RegistryWrite")
    finally:
        registry.close()
