"""Methods between hub processes: a call for a device that another process holds is done there.

Belongs here: asking the other process and waiting for its answer. Doing a call belongs in `session_table`.

Both travel by the registry's change feed, which needs no port, and reaches a process on another machine too; it is read
every 0.2 s, so a forwarded call takes up to 0.4 s more than one that is done where it came.
"""

import asyncio
import secrets
from base64 import b64decode, b64encode
from collections.abc import Awaitable, Callable
from typing import Any

from hub.hub_errors import HubCode, HubError
from hub.methods import MethodCall, MethodResult
from hub.registry.change_feed import POLL_S, Change, record_change
from hub.registry.connections import holder_of
from hub.registry.hub_registry import Registry
from hub.registry.instance_watch import InstanceWatch
from runtime.errors import LakehouseError

CALL, ANSWER = "method_call", "method_answer"
# a device that has only just connected to the other process may not have opened yet
_OPENS_WITHIN_S = 2
_FEED_S = 10 * POLL_S


class MethodForwarding:
    """What this process asks others, and does for them by `do_here`."""

    def __init__(
        self, registry: Registry, instance: str, living: InstanceWatch,
        do_here: Callable[[MethodCall], Awaitable[MethodResult]],
    ) -> None:  # fmt: skip
        self._registry, self._instance, self._do_here = registry, instance, do_here
        self._asked: dict[str, asyncio.Future[MethodResult]] = {}
        self._doing: set[asyncio.Task[None]] = set()
        self._living = living

    def is_unsure(self, holder: str) -> bool:
        """True while it is not known whether that process lives."""
        return self._living.is_unsure(holder)

    def holder_of(self, call: MethodCall) -> str | None:
        """The other process that holds the device, None when none that lives does."""
        holder = self._registry.read(lambda tx: holder_of(tx, call.device_id, call.module_id))
        if holder is None or holder == self._instance:
            return None
        return holder if self._living.is_alive(holder) else None

    async def ask(self, holder: str, call: MethodCall) -> MethodResult:
        """Have another process call the method. Raises HubError as that does, DeviceTimeout when it says nothing."""
        name = secrets.token_hex(8)
        detail = {
            "id": name, "to": holder, "from": self._instance, "method": call.method,
            "payload": b64encode(call.payload).decode(), "answer_within_s": call.answer_within_s,
        }  # fmt: skip
        answer = self._asked[name] = asyncio.get_running_loop().create_future()
        self._record(CALL, call.device_id, call.module_id, detail)
        try:
            return await asyncio.wait_for(answer, _OPENS_WITHIN_S + call.answer_within_s + _FEED_S)
        except TimeoutError:
            raise HubError(
                HubCode.DeviceTimeout, f"{call.client!r} is connected to a hub process that does not answer."
            ) from None
        finally:
            del self._asked[name]

    def changed(self, change: Change) -> None:
        """A call or an answer, if it is for this process."""
        detail = change.detail
        if detail["to"] != self._instance:
            return
        if change.kind == ANSWER:
            answer = self._asked.get(detail["id"])
            if answer is not None and not answer.done():
                _settle(answer, detail)
        else:
            task = asyncio.get_running_loop().create_task(self._do(change))
            self._doing.add(task)
            task.add_done_callback(self._doing.discard)

    async def _do(self, change: Change) -> None:
        asked = change.detail
        call = MethodCall(
            change.device_id, change.module_id, asked["method"], b64decode(asked["payload"]), _OPENS_WITHIN_S,
            asked["answer_within_s"],
        )  # fmt: skip
        found: dict[str, Any]
        try:
            result = await self._do_here(call)
            found = {"status": result.status, "payload": b64encode(result.payload).decode()}
        except HubError as error:
            found = {"code": error.code.name, "error": str(error)}
        except LakehouseError as error:
            found = {"code": HubCode.ServerError.name, "error": str(error)}
        self._record(ANSWER, "", "", {"id": asked["id"], "to": asked["from"], **found})

    def _record(self, kind: str, device_id: str, module_id: str, detail: dict[str, Any]) -> None:
        self._registry.write(lambda tx: record_change(tx, kind, device_id, module_id, detail))


def _settle(answer: asyncio.Future[MethodResult], detail: dict[str, Any]) -> None:
    if "code" in detail:
        answer.set_exception(HubError(HubCode[detail["code"]], detail["error"]))
    else:
        answer.set_result(MethodResult(detail["status"], b64decode(detail["payload"])))
