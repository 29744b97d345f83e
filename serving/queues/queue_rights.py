"""Rights: what a connection to the queues has proved by its tokens, or by signing in.

Belongs here: which entities a token is for, and until when. What a token is belongs in `wire.sas`, what is done with a
right in `broker_session`.
"""

import math
from base64 import b64encode
from hmac import compare_digest

from runtime.errors import WireError
from serving.queues.queue_administration import KEY_NAME
from serving.queues.queue_entities import path_of
from wire import sas


class QueueRights:
    """One connection's, by the key of the connection string."""

    def __init__(self, key: str) -> None:
        self._key = key
        # until when each resource is its own, in seconds since 1970; the empty one is all that there is
        self._until_s: dict[str, float] = {}

    def sign_in(self, name: str, password: str) -> bool:
        """By the name and the key of the policy that a connection string has: for everything, while it is connected."""
        is_right = name == KEY_NAME and compare_digest(password.encode(), self._key.encode())
        if is_right:
            self._until_s[""] = math.inf
        return is_right

    def take(self, text: str, now_s: float) -> None:
        """Another token, in place of an older one for the same. Raises WireError for one that proves nothing."""
        token = sas.parse(text)
        # Service Bus signs by the key as it stands, where an IoT hub takes it for base64
        is_ours = token.policy == KEY_NAME and token.is_signed_by(b64encode(self._key.encode()).decode())
        if token.is_expired(now_s) or not is_ours:
            raise WireError("The token has expired, or is signed by another key.")
        self._until_s[path_of(token.target.split("://", 1)[-1].partition("/")[2])] = token.expiry

    def hold(self, now_s: float) -> bool:
        """True while anything is allowed; what has expired is forgotten."""
        self._until_s = {resource: until_s for resource, until_s in self._until_s.items() if now_s < until_s}
        return bool(self._until_s)

    def allow(self, address: str, now_s: float) -> bool:
        """True when a token holds that is for this entity, or for what it is a part of."""
        path = path_of(address)
        return any(
            now_s < until_s and (not resource or path == resource or path.startswith(f"{resource}/"))
            for resource, until_s in self._until_s.items()
        )
