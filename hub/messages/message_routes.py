"""Message routes: which topics a device's message goes to, by its properties.

Belongs here: the rules and reading them from their file. Which record is made belongs in `device_messages`.

Without rules everything goes to `telemetry`. A rule copies what it matches to another topic, so that a figure is never
missing from the lake because somebody routes it; `only` says that the copy is to be all.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from runtime.errors import UsageError
from wire.envelope import LIFECYCLE_TOPIC, TELEMETRY_TOPIC

_DEFAULT = (TELEMETRY_TOPIC,)


@dataclass(frozen=True, slots=True)
class Route:
    """Messages with `name` among their properties, and this value if one is given, go to `topic`."""

    topic: str
    name: str
    value: str | None = None
    is_only: bool = False
    tenant: str | None = None

    def matches(self, properties: Mapping[str, str], tenant: str) -> bool:
        """True for a message that the rule means."""
        if self.tenant is not None and self.tenant != tenant:
            return False
        return self.name in properties and (self.value is None or properties[self.name] == self.value)


@dataclass(frozen=True, slots=True)
class MessageRoutes:
    """All rules."""

    rules: tuple[Route, ...] = ()

    def topics(self, properties: Mapping[str, str], tenant: str) -> tuple[str, ...]:
        """Where a message with these properties goes to, each topic once."""
        if not self.rules or not properties:
            return _DEFAULT
        found = [rule for rule in self.rules if rule.matches(properties, tenant)]
        kept = [] if any(rule.is_only for rule in found) else [TELEMETRY_TOPIC]
        return tuple(dict.fromkeys([*kept, *(rule.topic for rule in found)]))

    def every_topic(self) -> tuple[str, ...]:
        """All topics that a message may go to."""
        return tuple(dict.fromkeys([TELEMETRY_TOPIC, *(rule.topic for rule in self.rules)]))


def read_routes(path: Path) -> MessageRoutes:
    """The rules of a file; none when there is no file.

    A list of objects: `{"topic": "alarms", "property": "level", "equals": "critical", "only": false, "tenant": "a"}`;
    without `equals` the property need only be there. Raises UsageError for anything else.
    """
    if not path.exists():
        return MessageRoutes()
    try:
        found = json.loads(path.read_text("utf-8"))
        return MessageRoutes(tuple(_route(each) for each in found))
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise UsageError(
            f"The message routes in {path} cannot be used ({error}): give a list of objects with topic and property."
        ) from error


def _route(found: Mapping[str, object]) -> Route:
    unknown = set(found) - {"topic", "property", "equals", "only", "tenant"}
    if unknown:
        raise ValueError(f"unknown: {', '.join(sorted(unknown))}")
    topic, value, tenant = found["topic"], found.get("equals"), found.get("tenant")
    if not isinstance(topic, str) or topic in ("", TELEMETRY_TOPIC, LIFECYCLE_TOPIC):
        raise ValueError(f"{topic!r} is no topic to copy to")
    if (
        not isinstance(found["property"], str)
        or not isinstance(value, str | None)
        or not isinstance(tenant, str | None)
    ):
        raise ValueError("property, equals and tenant are texts")
    return Route(topic, found["property"], value, found.get("only") is True, tenant)
