"""The queues' process on a home of a test, as clients of Azure Service Bus reach it.

Belongs here: what several tests of queues share: starting it, killing it, and the connection string.
"""

import signal
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from azure.servicebus import ServiceBusClient

from runtime.ports import accepts, free_port
from runtime.private_files import home_key
from runtime.settings import Settings, inherited_environment, load_settings
from serving.queues.queue_administration import KEY_NAME
from serving.queues.queue_entities import QUEUE, SUBSCRIPTION, EntityOptions, create, create_subscription
from serving.queues.queue_store import opened_store
from tests.support.awaiting import awaited


@dataclass
class QueueServer:
    """A home's queues, served while `process` runs."""

    home: Path
    port: int = field(default_factory=free_port)
    process: "subprocess.Popen[bytes] | None" = None

    @property
    def settings(self) -> Settings:
        """Of its home."""
        return load_settings({"LAKEHOUSE_HOME": str(self.home)})

    @property
    def connection_string(self) -> str:
        """As an emulator's."""
        return (
            f"Endpoint=sb://127.0.0.1:{self.port};SharedAccessKeyName={KEY_NAME};"
            f"SharedAccessKey={home_key(self.settings, 'queues')};UseDevelopmentEmulator=true;"
        )

    def create(self, name: str, kind: str = QUEUE, **options: object) -> str:
        """A queue, topic or (`topic/name`) subscription."""
        with opened_store(self.settings) as store:
            made = EntityOptions(**options)  # type: ignore[arg-type]
            if kind == SUBSCRIPTION:
                topic, subscription = name.split("/")
                create_subscription(store, topic, subscription, made)
            else:
                create(store, name, made, kind)
        return name

    def start(self) -> None:
        """Until it takes connections."""
        self.process = subprocess.Popen(
            [sys.executable, "-m", "serving.queues", str(self.port)],
            env=inherited_environment(self.settings.child_environment()),
        )
        self.await_connections()

    def await_connections(self) -> None:
        """Of `process`."""
        process = self.process
        assert process is not None
        awaited(lambda: accepts(f"127.0.0.1:{self.port}") or process.poll() is not None, "the queues", every_s=0.02)
        assert process.poll() is None, "the queues' process has ended"

    def kill(self) -> None:
        """As a power cut."""
        assert self.process is not None
        self.process.send_signal(signal.SIGKILL)
        self.process.wait(60)

    def stop(self) -> None:
        """As `down` does it."""
        if self.process is not None and self.process.poll() is None:
            self.process.terminate()
            assert self.process.wait(60) == 0

    def client(self, **options: Any) -> ServiceBusClient:
        """The unmodified client."""
        return ServiceBusClient.from_connection_string(self.connection_string, **options)
