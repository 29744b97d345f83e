"""A hub as a program that a test can kill: `python -m tests.support.hub_program HOME BOOTSTRAP ADDRESS`."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import uvloop
from starlette.applications import Starlette

from hub.hub_process import HubOptions, run_hub
from hub.registry.hub_registry import Registry
from hub.registry.identities import Identity, create
from hub.registry.tenants import DEFAULT_TENANT
from runtime.ports import is_port_open
from runtime.settings import Settings
from tests.support.awaiting import awaited
from tests.support.hub_server import PORT, own_address
from wire import sas


def settings_of(home: Path, bootstrap: str) -> Settings:
    """A home's settings."""
    return Settings(home=home, lake_uri=str(home / "lake"), kafka_bootstrap=bootstrap)


@dataclass
class HubProgram:
    """A hub that is started and killed."""

    home: Path
    bootstrap: str
    address: str
    process: subprocess.Popen[bytes] | None = None

    @property
    def root(self) -> Path:
        """What clients trust."""
        return settings_of(self.home, self.bootstrap).hub_folder / "pki" / "root.pem"

    def start(self) -> None:
        """Start, and wait until connections are taken."""
        command = [sys.executable, "-m", "tests.support.hub_program", str(self.home), self.bootstrap, self.address]
        process = self.process = subprocess.Popen(command)
        awaited(lambda: is_port_open(self.address, PORT) or process.poll() is not None, "the hub", every_s=0.02)
        assert process.poll() is None, "the hub ended"

    def kill(self) -> None:
        """SIGKILL."""
        assert self.process is not None
        self.process.kill()
        self.process.wait()

    def add_devices(self, names: list[str]) -> list[Identity]:
        """Devices in the registry, before the hub is started."""
        url = settings_of(self.home, self.bootstrap).hub_database_url
        registry = Registry(url)
        try:
            made = [registry.write(lambda tx, name=name: create(tx, Identity(name, DEFAULT_TENANT))) for name in names]
            return [each.result(120) for each in made]
        finally:
            registry.close()

    def token(self, device: Identity) -> str:
        """A token of the device."""
        return sas.sign(device.primary_key or "", f"{self.address}/devices/{device.device_id}", 4_000_000_000)

    def connection_string(self, device: Identity) -> str:
        """What the SDK is given."""
        return f"HostName={self.address};DeviceId={device.device_id};SharedAccessKey={device.primary_key}"


@contextmanager
def hub_program(home: Path, bootstrap: str) -> Iterator[HubProgram]:
    """A hub that is not started yet; killed when the block ends."""
    settings_of(home, bootstrap).hub_folder.mkdir(parents=True, exist_ok=True)
    program = HubProgram(home, bootstrap, own_address())
    try:
        yield program
    finally:
        if program.process is not None:
            program.kill()


def main(home: str, bootstrap: str, address: str) -> None:
    """Serve until killed."""
    options = HubOptions((PORT,), bootstrap, (address, "localhost"), address)
    uvloop.run(run_hub(settings_of(Path(home), bootstrap), options, lambda _: Starlette()))


if __name__ == "__main__":
    main(*sys.argv[1:])
