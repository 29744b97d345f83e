"""Questions on an entity's `$management`, and their answers.

Belongs here: the operations by the names that Service Bus gives them, from and to AMQP. What each does belongs in
`queue_messages` and `queue_sessions`.
"""

import uuid
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from runtime.errors import WireError
from serving.queues import queue_messages, queue_sessions
from serving.queues.queue_entities import add_rule, remove_rule
from serving.queues.queue_errors import ARGUMENT, NOT_IMPLEMENTED, SESSION_LOST, QueueError
from serving.queues.queue_messages import Held, Receiving
from serving.queues.queue_sending import SCHEDULED_AT, send
from serving.queues.queue_sessions import HeldSession
from serving.queues.queue_store import QueueStore
from wire.amqp_message import AmqpMessage, read_message
from wire.amqp_types import Int, Long, Timestamp

_PREFIX = "com.microsoft:"
_MOST = 1000
_CORRELATION = {
    "correlation-id": "sys.CorrelationId", "message-id": "sys.MessageId", "to": "sys.To", "reply-to": "sys.ReplyTo",
    "label": "sys.Label", "session-id": "sys.SessionId", "content-type": "sys.ContentType",
    "reply-to-session-id": "sys.ReplyToSessionId",
}  # fmt: skip


class SessionHolder(Protocol):
    """A link that holds a session."""

    held_session: HeldSession | None

    def renewed(self, held: HeldSession) -> None:
        """It is held for longer."""


@dataclass(frozen=True)
class Asked:
    """Which entity is asked, and the sessions of it that the asker's connection holds."""

    path: str
    sessions: Mapping[str, SessionHolder]

    def holder(self, session: Any) -> SessionHolder:
        """Who holds a session. Raises QueueError for none."""
        found = self.sessions.get(str(session))
        if found is None or found.held_session is None:
            raise QueueError(SESSION_LOST, f"The session {session!r} is not held by this client.")
        return found

    def receiving(self, said: Mapping[str, Any]) -> Receiving:
        """As who asks receives."""
        is_held = said.get("receiver-settle-mode") != 0
        if said.get("session-id") is None:
            return Receiving(self.path, is_held=is_held)
        held = self.holder(said["session-id"]).held_session
        return Receiving(self.path, str(said["session-id"]), held.until_ms if held else 0, is_held)


def answer(store: QueueStore, asked: Asked, message: AmqpMessage) -> AmqpMessage:
    """What is answered to a question; what was to be changed is."""
    operation = str(message.application.get("operation", ""))
    status, said, condition, body = 200, "OK", None, None
    try:
        done = _OPERATIONS.get(operation.removeprefix(_PREFIX)) if operation.startswith(_PREFIX) else None
        if done is None or not isinstance(message.value, Mapping):
            raise QueueError(NOT_IMPLEMENTED, f"There is no operation {operation!r} here.")
        with store.unit():
            body = done(store, asked, message.value)
        if body is None:
            status, said = 204, "No content"
    except QueueError as error:
        status, said, condition = error.status, str(error), error.condition
    except (WireError, KeyError, TypeError, ValueError) as error:
        status, said, condition = 400, f"The question cannot be read: {error!r}", ARGUMENT
    return AmqpMessage(
        value=body,
        properties={"correlation_id": message.properties.get("message_id")},
        application={
            "statusCode": Int(status), "statusDescription": said, "status-code": Int(status),
            "status-description": said, **({"errorCondition": condition} if condition else {}),
        },
    )  # fmt: skip


_Body = dict[str, Any]


def _locks(said: Mapping[str, Any]) -> Iterable[bytes]:
    for each in said["lock-tokens"]:
        yield (each if isinstance(each, uuid.UUID) else uuid.UUID(str(each))).bytes


def _messages(found: Iterable[Held]) -> _Body | None:
    each = [{"message": held.data, **({"lock-token": held.lock} if held.lock is not None else {})} for held in found]
    return {"messages": each} if each else None


def _renew_lock(store: QueueStore, asked: Asked, said: Mapping[str, Any]) -> _Body:
    return {"expirations": [Timestamp(queue_messages.renew(store, lock)) for lock in _locks(said)]}


def _update_disposition(store: QueueStore, asked: Asked, said: Mapping[str, Any]) -> _Body:
    changed, status = said.get("properties-to-modify") or {}, said["disposition-status"]
    for lock in _locks(said):
        if status == "completed":
            queue_messages.complete(store, lock)
        elif status == "abandoned":
            queue_messages.abandon(store, lock, changed)
        elif status in ("defered", "deferred"):
            queue_messages.defer(store, lock, changed)
        elif status == "suspended":
            reason, described = said.get("deadletter-reason") or "", said.get("deadletter-description") or ""
            queue_messages.dead_letter(store, lock, str(reason), str(described))
        else:
            raise QueueError(ARGUMENT, f"There is no disposition {status!r}.")
    return {}


def _peek(store: QueueStore, asked: Asked, said: Mapping[str, Any]) -> _Body | None:
    session = said.get("session-id")
    found = queue_messages.peek(
        store, asked.path, int(said["from-sequence-number"]), min(int(said["message-count"]), _MOST),
        None if session is None else str(session),
    )  # fmt: skip
    return _messages(found)


def _receive_deferred(store: QueueStore, asked: Asked, said: Mapping[str, Any]) -> _Body | None:
    numbers = [int(each) for each in said["sequence-numbers"]]
    return _messages(queue_messages.receive_deferred(store, asked.receiving(said), numbers))


def _schedule(store: QueueStore, asked: Asked, said: Mapping[str, Any]) -> _Body:
    numbers = []
    for each in said["messages"]:
        data = bytes(each["message"])
        at = read_message(data).annotations.get(SCHEDULED_AT)
        if at is None:
            raise QueueError(ARGUMENT, "A message that is scheduled says when.")
        number = send(store, asked.path, data, int(at))
        numbers.append(Long(number or 0))
    return {"sequence-numbers": numbers}


def _cancel(store: QueueStore, asked: Asked, said: Mapping[str, Any]) -> _Body:
    queue_messages.cancel_scheduled(store, asked.path, [int(each) for each in said["sequence-numbers"]])
    return {}


def _renew_session(store: QueueStore, asked: Asked, said: Mapping[str, Any]) -> _Body:
    holder = asked.holder(said["session-id"])
    if holder.held_session is not None:
        holder.renewed(queue_sessions.renew(store, holder.held_session))
    return {"expiration": Timestamp(holder.held_session.until_ms if holder.held_session else 0)}


def _get_state(store: QueueStore, asked: Asked, said: Mapping[str, Any]) -> _Body:
    asked.holder(said["session-id"])
    return {"session-state": queue_sessions.state_of(store, asked.path, str(said["session-id"]))}


def _set_state(store: QueueStore, asked: Asked, said: Mapping[str, Any]) -> _Body:
    held, state = asked.holder(said["session-id"]).held_session, said.get("session-state")
    if held is not None:
        queue_sessions.set_state(store, held, None if state is None else bytes(state))
    return {}


def _sessions(store: QueueStore, asked: Asked, said: Mapping[str, Any]) -> _Body | None:
    skip, most = int(said.get("skip") or 0), min(int(said.get("top") or _MOST), _MOST)
    found = queue_sessions.sessions_of(store, asked.path, skip, most)
    return {"skip": Int(skip + len(found)), "sessions-ids": found} if found else None


def _add_rule(store: QueueStore, asked: Asked, said: Mapping[str, Any]) -> _Body:
    described = said["rule-description"]
    if described.get("sql-rule-action"):
        raise QueueError(NOT_IMPLEMENTED, "Rules have no actions here: change messages where they are sent.")
    if "sql-filter" in described:
        given: dict[str, Any] = {"sql": str(described["sql-filter"]["expression"])}
    else:
        wanted = described["correlation-filter"]
        system = {_CORRELATION[name]: value for name, value in wanted.items() if name in _CORRELATION and value}
        given = {"correlation": {**system, **(wanted.get("properties") or {})}}
    add_rule(store, asked.path, str(said["rule-name"]), given)
    return {}


def _remove_rule(store: QueueStore, asked: Asked, said: Mapping[str, Any]) -> _Body:
    remove_rule(store, asked.path, str(said["rule-name"]))
    return {}


_OPERATIONS: dict[str, Callable[[QueueStore, Asked, Mapping[str, Any]], _Body | None]] = {
    "renew-lock": _renew_lock,
    "update-disposition": _update_disposition,
    "peek-message": _peek,
    "receive-by-sequence-number": _receive_deferred,
    "schedule-message": _schedule,
    "cancel-scheduled-message": _cancel,
    "renew-session-lock": _renew_session,
    "get-session-state": _get_state,
    "set-session-state": _set_state,
    "get-message-sessions": _sessions,
    "add-rule": _add_rule,
    "remove-rule": _remove_rule,
}
