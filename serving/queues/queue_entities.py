"""Queues, topics and subscriptions: what there is, and how each behaves.

Belongs here: their names, options and rules. Their messages are in `queue_messages`, what a rule takes in
`queue_filters`.

A path is a name in lower case, as Service Bus compares them: `orders`, `readings/subscriptions/night`, and for dead
letters either with `/$deadletterqueue` behind it.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from typing import Any

from serving.queues.queue_errors import ARGUMENT, EXISTS, NOT_FOUND, QueueError
from serving.queues.queue_filters import TRUE, check_filter
from serving.queues.queue_store import QueueStore

QUEUE, TOPIC, SUBSCRIPTION = "queue", "topic", "subscription"
DEAD_LETTERS = "/$deadletterqueue"
DEFAULT_RULE = "$Default"
_BETWEEN = "/subscriptions/"
_NAME = re.compile(r"[A-Za-z0-9]([A-Za-z0-9._/-]{0,258}[A-Za-z0-9])?")
_SUBSCRIPTION_NAME = re.compile(r"[A-Za-z0-9]([A-Za-z0-9._-]{0,48}[A-Za-z0-9])?")


@dataclass(frozen=True)
class EntityOptions:
    """How an entity behaves; the defaults are Service Bus's, of which a lock lasts at most five minutes."""

    lock_s: float = 60.0
    most_deliveries: int = 10
    ttl_s: float | None = None
    duplicates_s: float = 0.0
    """So long a message id is remembered, and a message that has it again is taken and dropped."""
    has_sessions: bool = False
    keeps_expired: bool = False
    """Messages that nobody received in time become dead letters, else they are gone."""

    def checked(self) -> "EntityOptions":
        """Itself. Raises QueueError for values that cannot be."""
        if not 0 < self.lock_s <= 300:
            raise QueueError(ARGUMENT, "A lock lasts more than 0 and at most 300 seconds.")
        if not 1 <= self.most_deliveries <= 2000:
            raise QueueError(ARGUMENT, "A message is delivered 1 to 2,000 times.")
        if (self.ttl_s is not None and self.ttl_s <= 0) or not 0 <= self.duplicates_s <= 7 * 86_400:
            raise QueueError(ARGUMENT, "Messages live more than 0 s, and ids are remembered for at most seven days.")
        return self


@dataclass(frozen=True)
class Entity:
    """A queue, topic or subscription; the path with which its messages are kept."""

    path: str
    name: str
    kind: str
    topic: str | None = None
    options: EntityOptions = field(default_factory=EntityOptions)


def path_of(address: str) -> str:
    """An address as it is compared."""
    return address.strip("/").lower()


def subscription_name(topic: str, name: str) -> str:
    """How a subscription is addressed."""
    return f"{topic}/Subscriptions/{name}"


def create(store: QueueStore, name: str, options: EntityOptions, kind: str = QUEUE) -> Entity:
    """A queue or topic. Raises QueueError for a name that cannot be, or is there already."""
    if not _NAME.fullmatch(name) or _BETWEEN in name.lower() or name.lower() == "$cbs":
        raise QueueError(ARGUMENT, f"{name!r} is no name for a {kind}: use letters, digits, and . _ - / between them.")
    return _insert(store, Entity(path_of(name), name, kind, None, options.checked()))


def create_subscription(store: QueueStore, topic: str, name: str, options: EntityOptions) -> Entity:
    """A subscription that takes everything until it has rules. Raises QueueError."""
    of = require(store, topic)
    if of.kind != TOPIC:
        raise QueueError(ARGUMENT, f"{topic!r} is a {of.kind}: subscriptions are of a topic.")
    if not _SUBSCRIPTION_NAME.fullmatch(name):
        raise QueueError(ARGUMENT, f"{name!r} is no name for a subscription: up to 50 letters, digits, and . _ -.")
    full = subscription_name(of.name, name)
    made = _insert(
        store, Entity(path_of(full), full, SUBSCRIPTION, of.path, replace(options, duplicates_s=0).checked())
    )
    add_rule(store, made.path, DEFAULT_RULE, TRUE)
    return made


def _insert(store: QueueStore, entity: Entity) -> Entity:
    if find(store, entity.path) is not None:
        raise QueueError(EXISTS, f"There is a {require(store, entity.path).kind} {entity.name!r} already.")
    store.db.execute(
        "INSERT INTO entities (path, name, kind, topic, options) VALUES (?, ?, ?, ?, ?)",
        (entity.path, entity.name, entity.kind, entity.topic, json.dumps(asdict(entity.options))),
    )
    return entity


def find(store: QueueStore, address: str) -> Entity | None:
    """The entity at an address, that of its dead letters too."""
    path = path_of(address).removesuffix(DEAD_LETTERS)
    row = store.db.execute("SELECT * FROM entities WHERE path = ?", (path,)).fetchone()
    return None if row is None else _entity(row)


def require(store: QueueStore, address: str) -> Entity:
    """The same. Raises QueueError when there is none."""
    found = find(store, address)
    if found is None:
        raise QueueError(
            NOT_FOUND, f"There is no queue or topic {address!r}: `lakehouse queues create {address}` makes one."
        )
    return found


def entities(store: QueueStore) -> list[Entity]:
    """All of them by name."""
    return [_entity(row) for row in store.db.execute("SELECT * FROM entities ORDER BY path")]


def subscriptions_of(store: QueueStore, topic: str) -> list[Entity]:
    """A topic's subscriptions."""
    return [_entity(row) for row in store.db.execute("SELECT * FROM entities WHERE topic = ?", (topic,))]


def delete(store: QueueStore, address: str) -> None:
    """An entity with all its messages, a topic with its subscriptions. Raises QueueError when there is none."""
    gone = require(store, address)
    for each in [gone, *subscriptions_of(store, gone.path)]:
        store.db.execute("DELETE FROM messages WHERE queue IN (?, ?)", (each.path, each.path + DEAD_LETTERS))
        for table in ("seen", "sessions"):
            store.db.execute(f"DELETE FROM {table} WHERE queue = ?", (each.path,))
        store.db.execute("DELETE FROM rules WHERE subscription = ?", (each.path,))
        store.db.execute("DELETE FROM entities WHERE path = ?", (each.path,))


def add_rule(store: QueueStore, subscription: str, name: str, given: Mapping[str, Any]) -> None:
    """A rule of a subscription, by which it takes messages too. Raises QueueError for a filter that cannot be."""
    check_filter(given)
    of = require(store, subscription)
    if of.kind != SUBSCRIPTION:
        raise QueueError(ARGUMENT, f"{of.name!r} is a {of.kind}: rules are of a subscription.")
    if name in rules_of(store, of.path):
        raise QueueError(EXISTS, f"The subscription has a rule {name!r} already.")
    store.db.execute("INSERT INTO rules VALUES (?, ?, ?)", (of.path, name, json.dumps(given)))


def remove_rule(store: QueueStore, subscription: str, name: str) -> None:
    """Raises QueueError when there is no such rule."""
    path = require(store, subscription).path
    if not store.db.execute("DELETE FROM rules WHERE subscription = ? AND name = ?", (path, name)).rowcount:
        raise QueueError(NOT_FOUND, f"The subscription has no rule {name!r}.")


def rules_of(store: QueueStore, subscription: str) -> dict[str, dict[str, Any]]:
    """A subscription's filters by the names of their rules."""
    rows = store.db.execute("SELECT name, filter FROM rules WHERE subscription = ? ORDER BY name", (subscription,))
    return {row["name"]: json.loads(row["filter"]) for row in rows}


def _entity(row: Any) -> Entity:
    known = {each.name for each in fields(EntityOptions)}
    options = {name: value for name, value in json.loads(row["options"]).items() if name in known}
    return Entity(row["path"], row["name"], row["kind"], row["topic"], EntityOptions(**options))
