"""Actions as they are declared: what may be done about an alarm, from YAML.

Belongs here: reading one declaration and saying what is wrong with it. Doing it is in `senders`; secrets are settings
and never stand in a declaration.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from runtime.errors import UsageError

KINDS = {"webhook": ("url",), "mail": ("to",), "device": (), "queue": ("queue",)}
"""Kind -> what must be said besides; `device` sends to the device of the alarm."""

_QUEUE = re.compile(r"[A-Za-z0-9]([A-Za-z0-9._/-]{0,258}[A-Za-z0-9])?")


@dataclass(frozen=True)
class Action:
    """A declared action. `url` is a webhook's; `to` are a mail's recipients; `queue` is one of this home's."""

    name: str
    kind: str
    url: str = ""
    to: tuple[str, ...] = ()
    queue: str = ""


def action_of(name: str, said: Mapping[str, Any], path: Path) -> Action:
    """The action of a declaration. Raises UsageError."""
    where = f"the action {name} in {path}"
    kind = said.get("kind")
    if kind not in KINDS:
        raise UsageError(f"{where} has kind {kind!r}: give one of {', '.join(KINDS)}.")
    known = {"kind", *KINDS[kind]}
    if set(said) != known:
        raise UsageError(f"{where} says {', '.join(map(str, said))}: write {', '.join(sorted(known))}.")
    if kind == "webhook":
        return Action(name, kind, url=_url(said["url"], where))
    if kind == "mail":
        to = said["to"] if isinstance(said["to"], list) else [said["to"]]
        return Action(name, kind, to=tuple(_address(each, where) for each in to))
    if kind == "queue":
        if not isinstance(said["queue"], str) or not _QUEUE.fullmatch(said["queue"]):
            raise UsageError(f"{where} has queue {said['queue']!r}: write the name of a queue, such as alerts.")
        return Action(name, kind, queue=said["queue"])
    return Action(name, kind)


def _url(value: Any, where: str) -> str:
    try:
        parts = urlsplit(str(value))
        (parts.hostname or "").encode("idna")
        is_good = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0
    except ValueError:  # no address, no number of a port, or a name that has empty or too long parts
        is_good = None
    if not is_good or parts.username or parts.fragment:
        raise UsageError(f"{where} has url {value!r}: write https://host/path, without a name or password in it.")
    return str(value)


def _address(value: Any, where: str) -> str:
    text = str(value)
    if text.count("@") != 1 or any(sign.isspace() or sign in ',;<>"' for sign in text):
        raise UsageError(f"{where} names {value!r}: write an address as name@example.com.")
    return text
