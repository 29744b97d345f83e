"""Direct methods: what the service side asks of a connected device.

Belongs here: the question, the answer, and the face that the sessions give. How it travels belongs in them.
"""

from dataclasses import dataclass
from typing import Any, Protocol

import orjson

from hub.hub_errors import HubCode, HubError


@dataclass(frozen=True, slots=True)
class MethodCall:
    """A question to a device, or to one of its modules (none: an empty `module_id`), with its payload as JSON text.

    A device has `connect_within_s` to come and subscribe to methods, and then `answer_within_s` to answer.
    """

    device_id: str
    module_id: str
    method: str
    payload: bytes
    connect_within_s: int
    answer_within_s: int

    @property
    def client(self) -> str:
        """Who is asked, by its client id."""
        return f"{self.device_id}/{self.module_id}" if self.module_id else self.device_id


@dataclass(frozen=True)
class MethodResult:
    """A device's answer: its own status, and its payload as JSON text."""

    status: int
    payload: bytes

    def value(self) -> Any:
        """The payload; None when there is none. Raises HubError for one that is no JSON.

        The code is one after which no client calls again by itself: the device has done what it was asked.
        """
        try:
            return orjson.loads(self.payload) if self.payload.strip() else None
        except ValueError as error:
            raise HubError(
                HubCode.GenericBadRequest, f"The device's answer is no JSON: {self.payload!r:.200}."
            ) from error


class MethodInvoker(Protocol):
    """Whoever holds the devices' connections."""

    async def invoke(self, call: MethodCall) -> MethodResult:
        """Call a method and wait for its answer.

        Raises HubError DeviceNotOnline when the device does not connect in time, DeviceTimeout when it gives no answer.
        """
        ...
