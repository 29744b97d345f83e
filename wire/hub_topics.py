"""The topics of an IoT hub: which of them say what, in both directions, and the bag of properties in them.

Belongs here: the grammar. Source: "Communicate with an IoT hub using the MQTT protocol" and, for provisioning,
"Communicate with DPS using the MQTT protocol" (learn.microsoft.com), and what the SDKs send.

A bag is `name=value` joined by `&`, both percent-encoded; a name without `=` has no value. `+` is a plus.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import NamedTuple
from urllib.parse import quote, unquote

from runtime.errors import WireError

METHODS = "$iothub/methods/POST/"
METHOD_ANSWERS = "$iothub/methods/res/"
TWIN_GET = "$iothub/twin/GET/"
TWIN_REPORT = "$iothub/twin/PATCH/properties/reported/"
TWIN_DESIRED = "$iothub/twin/PATCH/properties/desired/"
TWIN_ANSWERS = "$iothub/twin/res/"
REGISTER = "$dps/registrations/PUT/iotdps-register/"
REGISTRATION = "$dps/registrations/GET/iotdps-get-operationstatus/"
REGISTRATION_ANSWERS = "$dps/registrations/res/"

Bag = dict[str, str | None]


class Route(NamedTuple):
    """A topic to which a client published, taken apart: `kind` is one of this module's, `rest` what it names."""

    kind: str
    rest: str
    bag: Bag


@dataclass(frozen=True, slots=True)
class Username:
    """The user name of a CONNECT: host, client id and the parameters behind it."""

    host: str
    client: str
    parameters: Mapping[str, str]

    @property
    def model_id(self) -> str | None:
        """The DTDL model that the client says it speaks."""
        return self.parameters.get("model-id") or None


def path_of(client: str) -> str:
    """`dev` -> `devices/dev`, `dev/mod` -> `devices/dev/modules/mod`."""
    device, _, module = client.partition("/")
    return f"devices/{device}/modules/{module}" if module else f"devices/{device}"


def events_of(client: str) -> str:
    """The topic to which a client's messages begin."""
    return f"{path_of(client)}/messages/events/"


def inbox_of(client: str) -> str:
    """The topic at which a client's cloud-to-device messages begin."""
    return f"{path_of(client)}/messages/devicebound/"


def inputs_of(client: str) -> str:
    """The topic at which messages to a module's inputs begin."""
    return f"{path_of(client)}/inputs/"


def read_username(text: str) -> Username:
    """`host/client/?a=b` as the SDKs write it, also the older form without `?`. Raises WireError for another."""
    # the last, since a device's id may have a ? too
    path, mark, query = text.rpartition("/?")
    if not mark:
        path, mark, query = text.partition("?")
    parts = path.split("/")
    if not mark and "=" in parts[-1]:
        query = parts.pop()
    parts = [part for part in parts if part]
    if not 2 <= len(parts) <= 3:
        raise WireError("The user name is not {hub host}/{device id}/?api-version=…")
    return Username(parts[0], "/".join(parts[1:]), {k: v or "" for k, v in read_bag(query).items()})


def is_registration(text: str) -> bool:
    """True for the user name of a client that registers, not for that of a device or module called `registrations`."""
    parts = text.split("/")
    return len(parts) >= 4 and parts[1] == "registrations" and not parts[3].startswith("?")


def read_registration_username(text: str) -> tuple[str, str]:
    """`scope/registrations/id/api-version=…` -> (scope, id). Raises WireError for another."""
    parts = text.split("/")
    if len(parts) < 4 or parts[1] != "registrations" or not parts[0] or not parts[2]:
        raise WireError("The user name is not {id scope}/registrations/{registration id}/api-version=…")
    return parts[0], unquote(parts[2])


def read_bag(text: str) -> Bag:
    """The properties of a bag, decoded. Raises WireError for bytes that are not UTF-8."""
    bag: Bag = {}
    try:
        for part in text.removesuffix("/").split("&"):
            name, equals, value = part.partition("=")
            if name:
                bag[unquote(name, errors="strict")] = unquote(value, errors="strict") if equals else None
    except UnicodeDecodeError as error:
        raise WireError("A property that is not UTF-8.") from error
    return bag


def write_bag(properties: Iterable[tuple[str, str | None]]) -> str:
    """A bag of these properties, encoded."""
    return "&".join(
        quote(name, safe="") if value is None else f"{quote(name, safe='')}={quote(value, safe='')}"
        for name, value in properties
    )


def read_route(topic: str, client: str) -> Route | None:
    """What a client says by publishing to `topic`; None for a topic that is not its own, or none at all."""
    events = events_of(client)
    if topic.startswith(events):
        return Route(events, "", read_bag(topic[len(events) :]))
    if topic + "/" == events:
        return Route(events, "", {})
    for kind in (METHOD_ANSWERS, TWIN_REPORT, TWIN_GET, REGISTER, REGISTRATION):
        if topic.startswith(kind):
            rest, _, query = topic[len(kind) :].partition("?")
            return Route(kind, rest.rstrip("/"), read_bag(query))
    return None


def method_topic(name: str, request_id: str) -> str:
    """Where a direct method is sent to."""
    return f"{METHODS}{quote(name, safe='*')}/?$rid={request_id}"


def twin_answer_topic(status: int, request_id: str, version: int | None = None) -> str:
    """Where the answer to a twin request is sent to."""
    versioned = "" if version is None else f"&$version={version}"
    return f"{TWIN_ANSWERS}{status}/?$rid={request_id}{versioned}"


def desired_topic(version: int) -> str:
    """Where a patch of desired properties is sent to."""
    return f"{TWIN_DESIRED}?$version={version}"


def registration_topic(status: int, request_id: str, retry_after_s: int | None = None) -> str:
    """Where the answer to a registration is sent to."""
    later = "" if retry_after_s is None else f"&retry-after={retry_after_s}"
    return f"{REGISTRATION_ANSWERS}{status}/?$rid={request_id}{later}"
