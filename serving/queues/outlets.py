"""Links on which a queue's messages go out, and what their receivers say of them.

Belongs here: sending under a lock, settling by outcome, and sessions as links carry them. Which message is next is
said by `queue_broker`.
"""

import uuid
from collections.abc import Mapping
from functools import partial
from typing import Any, Protocol

from serving.queues import queue_messages
from serving.queues.queue_broker import Broker
from serving.queues.queue_errors import SESSION_LOST, QueueError
from serving.queues.queue_messages import Held, Receiving
from serving.queues.queue_sessions import HeldSession
from serving.queues.queue_store import QueueStore
from wire.amqp import SETTLED_AT_ONCE
from wire.amqp_ends import Delivery, Link
from wire.amqp_message import outcome_of, rejected
from wire.amqp_types import Described, Long, Symbol

SESSION_FILTER = Symbol("com.microsoft:session-filter")
_FILTER = 7  # its place among the fields of a source
_TICKS_BEFORE_1970 = 621_355_968_000_000_000


class Connection(Protocol):
    """What an outlet needs of its connection."""

    @property
    def is_paused(self) -> bool:
        """True while nothing more should be sent."""


class QueueOutlet:
    """A `queue_broker.Outlet`: one link that receives."""

    def __init__(
        self, connection: Connection, broker: Broker, link: Link, queue: str, held: HeldSession | None = None
    ) -> None:
        self._connection, self._broker, self._link = connection, broker, link
        self.queue, self.held_session = queue, held
        self._is_held = link.asked.snd_settle_mode != SETTLED_AT_ONCE

    @property
    def room(self) -> int:
        """How many messages it takes now."""
        return self._link.credit if self._link.can_send and not self._connection.is_paused else 0

    def receiving(self) -> Receiving:
        """What it receives."""
        held = self.held_session
        if held is None:
            return Receiving(self.queue, is_held=self._is_held)
        return Receiving(self.queue, held.session, held.until_ms, self._is_held)

    def give(self, held: Held) -> None:
        """Send one: its tag is its lock, as .NET writes it."""
        if held.lock is None:
            self._link.send(held.data)
        else:
            self._link.send(held.data, partial(self._told, held.lock), held.lock.bytes_le)

    def nothing_more(self) -> None:
        """There is none for it now."""
        self._link.drained()

    def refused(self, error: QueueError) -> None:
        """Nothing can be received from there any more: the link ends."""
        self._link.detach(error.condition, str(error))
        self._broker.forget(self)

    def session_is_lost(self) -> None:
        """Its lock has run out: the link ends."""
        self.held_session = None
        self._link.detach(SESSION_LOST, "The lock of the session has run out.")
        self._broker.forget(self)

    def renewed(self, held: HeldSession) -> None:
        """Its session is held for longer."""
        self.held_session = held

    def _told(self, lock: uuid.UUID, delivery: Delivery, state: Any) -> None:
        try:
            with self._broker.store.unit():
                _settle(self._broker.store, lock.bytes, state)
        except QueueError as error:
            delivery.settle(rejected(error.condition, str(error)))
            return
        # a dead letter's outcome is sent back without its reason, which a client would take for a refusal
        delivery.settle(rejected() if outcome_of(state) == "rejected" else state)


def _settle(store: QueueStore, lock: bytes, state: Any) -> None:
    """Do what a receiver's outcome says."""
    outcome, said = outcome_of(state), state.value if isinstance(state, Described) else []
    if outcome == "accepted":
        queue_messages.complete(store, lock)
    elif outcome == "released":
        queue_messages.release(store, lock)
    elif outcome == "modified":
        changed = said[2] if len(said) > 2 and isinstance(said[2], Mapping) else {}
        if len(said) > 1 and said[1]:
            queue_messages.defer(store, lock, changed)
        else:
            queue_messages.abandon(store, lock, changed)
    elif outcome == "rejected":
        queue_messages.dead_letter(store, lock, *_reason(said))


def _reason(said: Any) -> tuple[str, str]:
    """Reason and description out of a rejection's error."""
    error = said[0].value if said and isinstance(said[0], Described) else []
    info = error[2] if len(error) > 2 and isinstance(error[2], Mapping) else {}
    reason = info.get("DeadLetterReason") or ""
    described = info.get("DeadLetterErrorDescription") or (error[1] if len(error) > 1 else "") or ""
    return str(reason), str(described)


def session_asked(link: Link) -> tuple[bool, str | None]:
    """Whether a link's source asks for a session, and which; none means the next."""
    fields = link.asked.source.value if isinstance(link.asked.source, Described) else []
    filters = fields[_FILTER] if isinstance(fields, list) and len(fields) > _FILTER else None
    if not isinstance(filters, Mapping) or SESSION_FILTER not in filters:
        return False, None
    named = filters[SESSION_FILTER]
    named = named.value if isinstance(named, Described) else named
    return True, None if named is None else str(named)


def session_source(link: Link, session: str) -> Described:
    """A link's source with the session that it was given."""
    source = link.asked.source
    fields = list(source.value)
    fields[_FILTER] = {SESSION_FILTER: session}
    return Described(source.descriptor, fields)


def ticks_of(ms: int) -> Long:
    """A moment as .NET counts it."""
    return Long(_TICKS_BEFORE_1970 + ms * 10_000)
