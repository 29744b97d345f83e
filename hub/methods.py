"""Direct methods: what the service side asks of a connected device.

Belongs here: the question, the answer, and the face that the sessions give. How it travels belongs in them.
"""

from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True)
class MethodResult:
    """A device's answer: its own status, and its payload as JSON text."""

    status: int
    payload: bytes


class MethodInvoker(Protocol):
    """Whoever holds the devices' connections."""

    async def invoke(
        self,
        device_id: str,
        module_id: str,
        method: str,
        payload: bytes,
        connect_timeout_s: int,
        response_timeout_s: int,
    ) -> MethodResult:
        """Call a method and wait for its answer.

        Raises HubError DeviceNotOnline when the device does not connect in time, DeviceTimeout when it gives no answer.
        """
        ...
