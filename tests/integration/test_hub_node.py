"""The service side as the unmodified node client `azure-iothub` speaks with it; skipped where there is no node."""

import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.hub_server import own_address
from tests.support.hub_service import HTTPS, Service, serving

PACKAGE = "azure-iothub@1.16.6"
SCRIPT = """
const { Registry, Client, JobClient } = require('azure-iothub');
const connection = process.argv[2];
const registry = Registry.fromConnectionString(connection);
const attempt = async (work) => { try { await work(); return 'done'; } catch (e) { return e.name; } };

(async () => {
  const found = {};
  await registry.create({ deviceId: 'node-1', status: 'enabled' });
  found.again = await attempt(() => registry.create({ deviceId: 'node-1' }));
  found.missing = await attempt(() => registry.get('node-2'));
  const twin = (await registry.getTwin('node-1')).responseBody;
  await registry.updateTwin('node-1', { tags: { site: 'north' }, properties: { desired: { rate: 3 } } }, twin.etag);
  found.stale = await attempt(() => registry.updateTwin('node-1', { tags: { site: 'south' } }, twin.etag));
  await registry.addDevices([{ deviceId: 'node-3' }, { deviceId: 'node-4' }]);
  const query = registry.createQuery("SELECT * FROM devices WHERE STARTSWITH(deviceId, 'node-')", 2);
  found.devices = [];
  while (query.hasMoreResults) {
    for (const each of (await query.nextAsTwin()).result) found.devices.push(each.deviceId);
  }
  const method = { methodName: 'reboot', payload: { in: 5 }, responseTimeoutInSeconds: 10 };
  const client = Client.fromConnectionString(connection);
  found.offline = await attempt(() => client.invokeDeviceMethod('node-3', method));
  found.method = (await client.invokeDeviceMethod('node-1', method)).result;
  const jobs = JobClient.fromConnectionString(connection);
  await jobs.scheduleTwinUpdate('node-job', "deviceId = 'node-3'", { tags: { wave: 1 } }, new Date(), 60);
  for (;;) {
    const job = (await jobs.getJob('node-job')).jobStatus;
    if (job.status === 'completed' || job.status === 'failed') { found.job = job.deviceJobStatistics; break; }
    await new Promise((go) => setTimeout(go, 100));
  }
  await registry.delete('node-1');
  found.gone = await attempt(() => registry.get('node-1'));
  console.log(JSON.stringify(found));
})();
"""


@pytest.fixture(scope="module")
def node_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the package installed by its own client."""
    if shutil.which("node") is None or shutil.which("npm") is None:
        pytest.skip("node and npm are not installed")
    folder = tmp_path_factory.mktemp("node")
    (folder / "package.json").write_text("{}")
    install = ["npm", "install", "--no-audit", "--no-fund", "--ignore-scripts", PACKAGE]
    done = subprocess.run(install, cwd=folder, capture_output=True, text=True, timeout=300, check=False)
    if done.returncode:
        pytest.skip(f"npm cannot install {PACKAGE}: {done.stderr.splitlines()[-1:]}")
    return folder


@pytest.fixture
def service(tmp_path: Path) -> Iterator[Service]:
    # the client always takes HTTPS' own port
    try:
        with serving(tmp_path, own_address(), HTTPS) as running:
            yield running
    except PermissionError:
        pytest.skip("this user may not listen on port 443")


def test_the_node_service_client_finds_what_it_knows(node_folder: Path, service: Service) -> None:
    """Create and conflict, twin and stale etag, query by pages, method, job and delete, each as IoT Hub answers."""
    service.devices.online.add("node-1")
    (node_folder / "service.js").write_text(SCRIPT)
    done = subprocess.run(
        ["node", "service.js", service.connection_string()],
        cwd=node_folder, env={**os.environ, "NODE_EXTRA_CA_CERTS": str(service.root)}, capture_output=True, text=True,
        timeout=90, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    counts = found.pop("job")
    assert (counts["deviceCount"], counts["succeededCount"]) == (1, 1)
    assert found == {
        "again": "DeviceAlreadyExistsError",
        "missing": "DeviceNotFoundError",
        "stale": "InvalidEtagError",
        "devices": ["node-1", "node-3", "node-4"],
        # the client has no name of its own for a device that is not connected
        "offline": "Error",
        "method": {"status": 200, "payload": {"in": 5}},
        "gone": "DeviceNotFoundError",
    }
