"""Administration: what a person does with a home's queues from its own machine.

Belongs here: the connection string, queues that actions ask for, and sending dead letters again. What is printed
belongs to the command.
"""

import logging
from collections import Counter
from collections.abc import Callable
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlsplit

from runtime import processes
from runtime.errors import PlatformError, UsageError
from runtime.private_files import home_key
from runtime.settings import Settings
from serving.queues.queue_entities import DEAD_LETTERS, EntityOptions, create, entities, path_of, rules_of
from serving.queues.queue_messages import peek
from serving.queues.queue_store import QueueStore
from streams.declarations import load_declarations
from wire.amqp_message import read_message

QUEUES = "queues"
_log = logging.getLogger(__name__)
KEY_NAME = "RootManageSharedAccessKey"
ALERTS = EntityOptions(duplicates_s=7 * 86_400)
"""What a queue is like that an action asks for: an alert that is sent again within a week comes once."""


def connection_string(settings: Settings) -> str:
    """What clients are given. Raises PlatformError while the queues are not served."""
    record = processes.find(settings, QUEUES)
    if record is None:
        raise PlatformError("The queues are not served: start them by `lakehouse up --serve`.")
    key = home_key(settings, QUEUES)
    place = urlsplit(record.address).netloc
    return f"Endpoint=sb://{place};SharedAccessKeyName={KEY_NAME};SharedAccessKey={key};UseDevelopmentEmulator=true;"


def declared_queues(settings: Settings) -> Callable[[QueueStore, str], None]:
    """Makes the queue that is asked for, when an action of this home names it."""

    def declared(store: QueueStore, path: str) -> None:
        try:
            actions = load_declarations(settings).actions.values()
        except UsageError as error:
            _log.warning("The declarations of the hot path cannot be read: %s", error)
            return
        for action in actions:
            if action.queue and path_of(action.queue) == path:
                create(store, action.queue, ALERTS)
                return

    return declared


def overview(store: QueueStore) -> list[dict[str, Any]]:
    """Every queue, topic and subscription with how many messages it has, by what becomes of them next."""
    rows = store.db.execute(
        "SELECT queue, state, lock IS NOT NULL AND locked_ms > ? AS is_held, count(*) AS n FROM messages "
        "GROUP BY 1, 2, 3",
        (store.now(),),
    )
    counts: Counter[tuple[str, str]] = Counter()
    for row in rows:
        name = "held" if row["is_held"] else ("waiting", "deferred", "scheduled")[row["state"]]
        path = row["queue"].removesuffix(DEAD_LETTERS)
        counts[path, name if path == row["queue"] else "dead"] += row["n"]
    names = ("waiting", "held", "deferred", "scheduled", "dead")
    return [
        {"name": each.name, "kind": each.kind, **{name: counts[each.path, name] for name in names},
         "options": asdict(each.options), "rules": rules_of(store, each.path)}
        for each in entities(store)
    ]  # fmt: skip


def shown_messages(store: QueueStore, address: str, first: int, most: int) -> list[dict[str, Any]]:
    """Messages as a person reads them."""
    found = []
    for held in peek(store, address, first, most):
        message = read_message(held.data)
        said, ours = message.properties, message.annotations
        found.append({
            "number": held.number,
            "state": ("active", "deferred", "scheduled")[int(ours["x-opt-message-state"])],
            "enqueued_at": datetime.fromtimestamp(int(ours["x-opt-enqueued-time"]) / 1000, UTC).isoformat(),
            "message_id": _text(said.get("message_id")),
            "session_id": _text(said.get("group_id")),
            "deliveries": int(message.header.get("delivery_count", 0)),
            "reason": _text(message.application.get("DeadLetterReason")),
            "description": _text(message.application.get("DeadLetterErrorDescription")),
            "body": message.content.decode("utf-8", "replace"),
        })  # fmt: skip
    return found


def _text(value: Any) -> str | None:
    return None if value is None else str(value)


def send_again(store: QueueStore, address: str, numbers: list[int] | None = None) -> int:
    """Put dead letters back into their queue, with all their deliveries; how many there were."""
    path = path_of(address).removesuffix(DEAD_LETTERS)
    rows = store.db.execute(
        "SELECT number, content FROM messages WHERE queue = ? AND locked_ms IS NULL", (path + DEAD_LETTERS,)
    )
    wanted = [row for row in rows.fetchall() if numbers is None or row["number"] in numbers]
    for row in wanted:
        session = read_message(row["content"]).properties.get("group_id")
        store.db.execute(
            "UPDATE messages SET queue = ?, session = ?, deliveries = 0, source = NULL WHERE queue = ? AND number = ?",
            (path, session, path + DEAD_LETTERS, row["number"]),
        )
    return len(wanted)
