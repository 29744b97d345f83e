"""Shared access signatures: the tokens that devices and services of an IoT hub prove themselves by.

Belongs here: reading, signing and checking them, and keys derived from a group's key. Whose key it is, and whether
the resource is the one that was asked for, belongs in the registry and the listener.

Source: "Control access to IoT Hub by using shared access signatures" (learn.microsoft.com): the signed text is the
resource as it stands in the token, a newline, the expiry; HMAC-SHA256 by the decoded key, in base64.
"""

import binascii
import hmac
from base64 import b64decode, b64encode
from dataclasses import dataclass
from hashlib import sha256
from urllib.parse import quote, unquote

from runtime.errors import WireError

_SCHEME = "SharedAccessSignature "


@dataclass(frozen=True, slots=True)
class Token:
    """A token in parts: `resource` as it stands in the token, `signature` base64, `expiry` seconds since 1970."""

    resource: str
    signature: str
    expiry: int
    policy: str | None = None

    @property
    def target(self) -> str:
        """The resource in plain text, lower case, as host and path are compared."""
        return unquote(self.resource).lower()

    @property
    def path(self) -> str:
        """What of its host it is for, without slashes round it; empty for all."""
        return self.target.split("://", 1)[-1].partition("/")[2].strip("/")

    def is_expired(self, now_s: float) -> bool:
        """True from its expiry on."""
        return now_s >= self.expiry

    def is_signed_by(self, key: str) -> bool:
        """True when `key` (base64) made it.

        Some clients sign the resource before they encode it (azure-iot-deviceprovisioning), so that counts too.
        """
        return any(
            hmac.compare_digest(_signature(key, text, self.expiry).encode(), self.signature.encode())
            for text in dict.fromkeys((self.resource, unquote(self.resource)))
        )


def parse(text: str) -> Token:
    """A token from its text. Raises WireError for what is none."""
    if not text.startswith(_SCHEME):
        raise WireError("The credentials are no shared access signature.")
    fields = dict(part.split("=", 1) for part in text.removeprefix(_SCHEME).split("&") if "=" in part)
    resource, signature, expiry = fields.get("sr", ""), unquote(fields.get("sig", "")), fields.get("se", "")
    if not resource or not signature or not expiry.isascii() or not expiry.isdigit() or len(expiry) > 15:
        raise WireError("The shared access signature lacks its resource (sr), signature (sig) or expiry (se).")
    return Token(resource, signature, int(expiry), unquote(fields["skn"]) if fields.get("skn") else None)


def sign(key: str, resource: str, expiry: int, policy: str | None = None) -> str:
    """A token for `resource` in plain text, signed by `key` in base64. Raises WireError for a key that is none."""
    encoded = quote(resource, safe="")
    signature = quote(_signature(key, encoded, expiry), safe="")
    named = "" if policy is None else f"&skn={quote(policy, safe='')}"
    return f"{_SCHEME}sr={encoded}&sig={signature}&se={expiry}{named}"


def derive_key(group_key: str, registration_id: str) -> str:
    """The key of one device of an enrolment group, both in base64. Raises WireError for a key that is none."""
    return b64encode(hmac.digest(_decoded(group_key), registration_id.encode(), sha256)).decode()


def _signature(key: str, resource: str, expiry: int) -> str:
    return b64encode(hmac.digest(_decoded(key), f"{resource}\n{expiry}".encode(), sha256)).decode()


def _decoded(key: str) -> bytes:
    try:
        return b64decode(key, validate=True)
    except (binascii.Error, ValueError) as error:
        raise WireError("The key is not base64: take it as it was given out.") from error
