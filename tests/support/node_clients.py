"""Clients from npm, for tests that ask a server with its own SDK.

Belongs here: installing them once beside the virtual environment, and running a script with them. A machine without
Node.js skips such a test, and says so.
"""

import fcntl
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

PACKAGES = {"@microsoft/signalr": "10.0.11"}


def run_script(script: str, *arguments: str, timeout_s: float = 120) -> str:
    """What a script prints; it is run where the packages are found."""
    folder = _installed()
    result = subprocess.run(
        ["node", "-e", script, *arguments], cwd=folder, capture_output=True, text=True, timeout=timeout_s
    )
    assert result.returncode == 0, result.stderr
    return result.stdout


def _installed() -> Path:
    """The folder with the packages. Skips the test where Node.js or its registry is missing."""
    if shutil.which("node") is None or shutil.which("npm") is None:
        pytest.skip("Node.js is not installed")
    folder = Path(sys.prefix) / "share" / "lakehouse-tests" / "node"
    folder.mkdir(parents=True, exist_ok=True)
    names = [f"{name}@{version}" for name, version in sorted(PACKAGES.items())]
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
