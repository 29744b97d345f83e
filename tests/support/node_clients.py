"""Clients from npm, for tests that ask a server with its own SDK.

Belongs here: installing them once beside the virtual environment, and running a script with them. A machine without
Node.js skips such a test, and says so.
"""

import fcntl
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

PACKAGES = {"@microsoft/signalr": "10.0.11"}
QUEUE_PACKAGES = {"@azure/service-bus": "7.9.5"}
EVENT_PACKAGES = {"@azure/event-hubs": "6.0.4"}
DEVICE_PACKAGES = {"azure-iot-device": "1.18.4", "azure-iot-device-mqtt": "1.16.4"}
BROWSER_PACKAGES = {"puppeteer-core": "24.43.1", "axe-core": "4.14.1"}
_KINDS = {
    "node": PACKAGES, "queues": QUEUE_PACKAGES, "events": EVENT_PACKAGES, "devices": DEVICE_PACKAGES,
    "browser": BROWSER_PACKAGES,
}  # fmt: skip


def run_script(script: str, *arguments: str, timeout_s: float = 120, packages: Mapping[str, str] = PACKAGES) -> str:
    """What a script prints; it is run where the packages are found, in this process' environment."""
    folder = _installed(packages)
    result = subprocess.run(
        ["node", "-e", script, *arguments], cwd=folder, capture_output=True, text=True, timeout=timeout_s
    )
    assert result.returncode == 0, result.stderr
    return result.stdout


def script_lines(script: str, *arguments: str, packages: Mapping[str, str] = PACKAGES) -> Iterator[str]:
    """The same line by line, as it is printed: a script can be waited for in the middle."""
    command = ["node", "-e", script, *arguments]
    with subprocess.Popen(command, cwd=_installed(packages), stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        yield from (line.rstrip("\n") for line in process.stdout)
    assert process.returncode == 0


def browser() -> str:
    """Chromium's program. Skips the test where there is none."""
    found = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if found is None:
        pytest.skip("Chromium is not installed")
    return found


def _installed(packages: Mapping[str, str]) -> Path:
    """The folder with the packages. Skips the test where Node.js or its registry is missing."""
    if shutil.which("node") is None or shutil.which("npm") is None:
        pytest.skip("Node.js is not installed")
    kind = next(name for name, known in _KINDS.items() if known is packages)
    folder = Path(sys.prefix) / "share" / "lakehouse-tests" / kind
    folder.mkdir(parents=True, exist_ok=True)
    names = [f"{name}@{version}" for name, version in sorted(packages.items())]
    stamp = folder / "installed"
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not stamp.exists() or stamp.read_text() != "\n".join(names):
            command = ["npm", "install", "--no-save", "--no-audit", "--no-fund", "--ignore-scripts", *names]
            result = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=300)
            if result.returncode != 0:
                pytest.skip(f"npm cannot install {' '.join(names)}: {result.stderr[-300:]}")
            stamp.write_text("\n".join(names))
    return folder
