"""AMQP links of the hub's service side: tokens, cloud messages, feedback.

Belongs here: what a message on each kind of link does. Connections, sessions and frames belong in `amqp_session`.
"""

import asyncio
import json
import logging
from base64 import b64encode
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from hub.hub_errors import HubCode, HubError
from hub.registry.cloud_queue import CloudMessage
from hub.sessions.hub_parts import HubParts
from runtime.errors import LakehouseError, WireError
from wire import sas
from wire.amqp_ends import Delivery, Link
from wire.amqp_message import ACCEPTED, AmqpMessage, outcome_of, rejected
from wire.amqp_types import Described, Int
from wire.envelope import TELEMETRY_TOPIC

_FEEDBACK_S = 0.25
_FEEDBACK_TYPE = "application/vnd.microsoft.iothub.feedback.json"
_CONDITIONS = {
    HubCode.DeviceNotFound: "amqp:not-found",
    HubCode.DeviceMaximumQueueDepthExceeded: "amqp:resource-limit-exceeded",
    HubCode.MessageTooLarge: "amqp:link:message-size-exceeded",
    HubCode.ThrottlingException: "com.microsoft:device-container-throttled",
    HubCode.IotHubUnauthorizedAccess: "amqp:unauthorized-access",
}
# messages/devicebound, /servicebound and /events, and the built-in endpoint by its topic
_PATHS = ("messages", TELEMETRY_TOPIC)
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Held:
    """A token, whose it is, and until when it holds, in seconds since 1970."""

    text: str
    tenant: str
    until_s: float


@dataclass
class Rights:
    """What a connection's tokens have proved, by the resources that they are for: that it may speak as a service."""

    held: dict[str, Held] = field(default_factory=dict)
    keys_seen: int = 0

    def tenant(self) -> str:
        """The tenant. Raises HubError before a token came."""
        if not self.held:
            raise HubError(HubCode.IotHubUnauthorizedAccess, "No token with the right ServiceConnect has come.")
        return next(iter(self.held.values())).tenant

    def take(self, parts: HubParts, text: str) -> None:
        """Another token, in place of an older one for the same. Raises WireError for one that proves nothing."""
        token, tenant = sas.parse(text), _tenant_of(parts, text)
        if any(held.tenant != tenant for held in self.held.values()):
            raise WireError("This connection speaks for another tenant.")
        self.held[token.target] = Held(text, tenant, token.expiry)

    def still_hold(self, parts: HubParts, wall_s: float) -> bool:
        """False once every token that came has expired, or its key was changed."""
        is_changed = self.keys_seen != parts.registry.keys_changed_count
        self.keys_seen = parts.registry.keys_changed_count
        had = bool(self.held)
        for target, held in tuple(self.held.items()):
            if wall_s >= held.until_s or (is_changed and not _holds(parts, held.text)):
                del self.held[target]
        return bool(self.held) or not had


def put_token(parts: HubParts, rights: Rights, message: AmqpMessage) -> AmqpMessage:
    """Take a token in; the answer that its sender waits for."""
    status, description = 200, "OK"
    try:
        if message.application.get("operation") != "put-token":
            raise WireError("Only put-token is asked of $cbs.")
        text = message.value if isinstance(message.value, str) else message.content.decode("utf-8", "replace")
        rights.take(parts, text)
    except WireError as error:
        parts.counts.refused += 1
        status, description = 401, str(error)
    return AmqpMessage(
        value=None,
        properties={"correlation_id": message.properties.get("message_id")},
        application={"status-code": Int(status), "status-description": description},
    )


def _tenant_of(parts: HubParts, text: str) -> str:
    token = sas.parse(text)
    if token.is_expired(parts.admission.clock().timestamp()) or token.policy is None:
        raise WireError("The token has expired, or names no policy.")
    # clients of Event Hubs name the scheme too
    path = token.target.split("://", 1)[-1].partition("/")[2]
    if path and not path.startswith(_PATHS):
        raise WireError(f"The token is for {token.target!r} only.")
    for policy in parts.registry.policy_keys(token.policy):
        if "ServiceConnect" in policy.rights and any(
            token.is_signed_by(key) for given in (policy.primary_key, policy.secondary_key) for key in _spellings(given)
        ):
            return policy.tenant
    raise WireError(f"The token is signed by no key of a policy {token.policy!r} that may ServiceConnect.")


def _holds(parts: HubParts, text: str) -> bool:
    try:
        _tenant_of(parts, text)
    except WireError:
        return False
    return True


def _spellings(key: str) -> tuple[str, str]:
    """A key as clients sign by it: those of Event Hubs take its text, not what the text stands for."""
    return key, b64encode(key.encode()).decode()


async def send_to_device(parts: HubParts, rights: Rights, message: AmqpMessage) -> Described:
    """Queue a cloud message; the outcome for its sender."""
    try:
        made = _cloud_message(message)
        tenant = rights.tenant()
        device = parts.registry.device(made.device_id)
        if device is None or device.tenant != tenant:
            raise HubError(HubCode.DeviceNotFound, f"There is no device {made.device_id!r}.")
        if not parts.quotas.take("cloud_messages", tenant):
            raise HubError(HubCode.ThrottlingException, "Too many cloud messages.")
        await asyncio.wrap_future(parts.registry.enqueue_cloud_message(made))
    except HubError as error:
        condition = _CONDITIONS.get(error.code, "amqp:precondition-failed")
        return rejected(condition, f"ErrorCode:{error.code.name};{error}")
    except LakehouseError as error:
        _log.error("A cloud message could not be queued: %s", error)
        return rejected("amqp:internal-error", str(error))
    return ACCEPTED


def _cloud_message(message: AmqpMessage) -> CloudMessage:
    found = message.properties
    parts = str(found.get("to") or "").strip("/").split("/")
    if len(parts) < 4 or parts[0] != "devices" or parts[-2:] != ["messages", "devicebound"]:
        raise HubError(HubCode.ArgumentInvalid, "The message is to no /devices/{id}/messages/devicebound.")
    names = {
        "message_id": "mid",
        "correlation_id": "cid",
        "user_id": "uid",
        "content_type": "ct",
        "content_encoding": "ce",
    }
    system = {short: _text(found[name]) for name, short in names.items() if found.get(name) is not None}
    system["to"] = _text(found["to"])
    application = {str(name): value for name, value in message.application.items()}
    ack = str(application.pop("iothub-ack", "none") or "none")
    properties = {name: None if value is None else _text(value) for name, value in application.items()}
    expires_ms = int(found.get("absolute_expiry_time") or 0)
    return CloudMessage(0, parts[1], message.content, properties, system, ack, 0, expires_ms * 1000, 0, None)


def _text(value: Any) -> str:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)


async def send_feedback(parts: HubParts, rights: Rights, link: Link) -> None:
    """Send feedback on a link while its peer takes some, until cancelled."""
    tenant = rights.tenant()
    while True:
        await asyncio.sleep(_FEEDBACK_S)
        if not link.can_send:
            continue
        batch = await asyncio.wrap_future(parts.registry.take_feedback(tenant))
        if batch is None:
            continue
        told: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        link.send(_feedback(batch.records).encoded(), partial(_hear, told))
        outcome = outcome_of(await told)
        end = parts.registry.complete_feedback if outcome == "accepted" else parts.registry.abandon_feedback
        try:
            await asyncio.wrap_future(end(tenant, batch.lock_token))
        except HubError as error:
            _log.info("Feedback comes again: %s", error)


def _hear(told: asyncio.Future[Any], delivery: Delivery, state: Any) -> None:
    delivery.settle(state)
    if not told.done():
        told.set_result(state)


def _feedback(records: Sequence[Mapping[str, Any]]) -> AmqpMessage:
    return AmqpMessage(json.dumps(list(records)).encode(), properties={"content_type": _FEEDBACK_TYPE})
