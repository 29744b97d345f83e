"""Twin requests: what a device asks of its twin over MQTT.

Belongs here: get and report, and their answers. The twin itself is the registry's.
"""

import asyncio
import logging
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import orjson

from hub.hub_errors import HubCode, HubError
from hub.registry.identities import Identity
from hub.sessions.hub_parts import HubParts
from runtime.errors import PlatformError
from wire import hub_topics as topics
from wire.mqtt_packets import publish

# threads of their own: slow reads keep those of the loop for others, as those that ask an allocation handler
_READERS = ThreadPoolExecutor(8, thread_name_prefix="twin-reader")
_log = logging.getLogger(__name__)


async def answer_twin(
    parts: HubParts, identity: Identity, route: topics.Route, payload: bytes, write: Callable[[bytes], None]
) -> None:
    """Do what a device asks and answer it; a refusal has the status that the anchor's has, and no body."""
    request_id = route.bag.get("$rid") or ""
    version: int | None = None
    status, body = 204, b""
    try:
        kind = "twin_reads" if route.kind == topics.TWIN_GET else "twin_updates"
        if not parts.quotas.take(kind, identity.tenant):
            raise HubError(HubCode.ThrottlingException, "Too many twin operations.")
        if route.kind == topics.TWIN_GET:
            # in a thread: a registry that is slow keeps those waiting who read their twins, and nobody else
            loop = asyncio.get_running_loop()
            status, body = 200, await loop.run_in_executor(_READERS, _document, parts, identity)
        else:
            version = await _report(parts, identity, payload)
    except HubError as error:
        status, body = error.code.status, _error(error)
    except PlatformError as error:
        _log.error("A twin request of %s failed: %s", identity.device_id, error)
        status = 500
    write(publish(topics.twin_answer_topic(status, request_id, version), body))


def _document(parts: HubParts, identity: Identity) -> bytes:
    twin = parts.registry.twin(identity.device_id, identity.module_id)
    return orjson.dumps(
        {
            "desired": {**twin.desired, "$version": twin.desired_version},
            "reported": {**twin.reported, "$version": twin.reported_version},
        }
    )


async def _report(parts: HubParts, identity: Identity, payload: bytes) -> int:
    try:
        patch = orjson.loads(payload)
    except orjson.JSONDecodeError as error:
        raise HubError(HubCode.IotHubFormatError, "The reported properties are not JSON.") from error
    if not isinstance(patch, dict):
        raise HubError(HubCode.IotHubFormatError, "The reported properties are not a JSON object.")
    future = parts.registry.patch_reported(identity.device_id, identity.module_id, patch)
    return await asyncio.wrap_future(future)


def _error(error: HubError) -> bytes:
    return orjson.dumps({"errorCode": error.code.number, "message": str(error)})
