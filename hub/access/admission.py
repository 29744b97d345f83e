"""Admission: whether who connects is who it says.

Belongs here: checking a CONNECT, or another client's token, against identities, keys, thumbprints and authorities.
What a token or a chain is belongs in `wire`; what happens then belongs to the sessions.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime

from cryptography import x509

from hub.registry.hub_registry import Registry
from hub.registry.identities import BY_AUTHORITY, SAS, SELF_SIGNED, Identity
from runtime.errors import WireError
from wire import sas
from wire.certificates import common_name, is_current, is_issued_by, read_chain, thumbprints
from wire.hub_topics import path_of

Chain = Sequence[x509.Certificate]

# one text for all who come in by it
_BY_TOKEN = {
    scope: f'{{"scope":"{scope}","type":"sas","issuer":"iothub","acceptingIpFilterRule":null}}'
    for scope in ("hub", "device", "module")
}


@dataclass(frozen=True, slots=True)
class Admitted:
    """Who it is, how it proved itself (in the anchor's words), and until when that holds, in seconds since 1970."""

    identity: Identity
    method: str
    until_s: float


@dataclass(frozen=True)
class Admission:
    """Judges credentials; `roots` are the hub's own authorities, `clock` gives the moment in UTC."""

    registry: Registry
    roots: Sequence[x509.Certificate]
    clock: Callable[[], datetime]

    def admit(self, host: str, client: str, token: str | None, chain: Chain) -> Admitted:
        """The identity behind `client` (`device` or `device/module`).

        Raises WireError, whose text is for the log only, when the credentials do not hold.
        """
        device_id, _, module_id = client.partition("/")
        identity = self.registry.device(device_id, module_id)
        device = identity if not module_id else self.registry.device(device_id)
        if identity is None or device is None or identity.tenant != device.tenant:
            raise WireError(f"{client!r} is not registered.")
        if not (identity.is_enabled and device.is_enabled):
            raise WireError(f"{client!r} is disabled.")
        if token:
            return self._by_token(host, client, identity, token)
        return self._by_certificate(device_id, identity, chain)

    def still_holds(self, admitted: Admitted, client: str, host: str, token: str | None, chain: Chain) -> bool:
        """True when the same credentials would be admitted now: after a change of the identity."""
        try:
            return self.admit(host, client, token, chain).identity.generation_id == admitted.identity.generation_id
        except WireError:
            return False

    def _by_token(self, host: str, client: str, identity: Identity, text: str) -> Admitted:
        token = sas.parse(text)
        if token.is_expired(self.clock().timestamp()):
            raise WireError(f"The token of {client!r} has expired.")
        name, _, path = token.target.partition("/")
        own = path_of(client).lower()
        device = path_of(client.partition("/")[0]).lower()
        if name != host.lower() or path not in ("", own, device):
            raise WireError(f"The token of {client!r} is for {token.target!r}.")
        keys: tuple[str | None, ...]
        if token.policy is not None:
            keys = self._policy_keys(token.policy, identity.tenant)
            scope = "hub"
        elif identity.auth == SAS and path in (own, device):
            keys = (identity.primary_key, identity.secondary_key)
            scope = "device" if not identity.module_id else "module"
        else:
            keys, scope = (), "device"
        if not any(key and token.is_signed_by(key) for key in keys):
            raise WireError(f"The token of {client!r} is signed by none of its keys.")
        return Admitted(identity, _BY_TOKEN[scope], float(token.expiry))

    def _policy_keys(self, name: str, tenant: str) -> tuple[str, ...]:
        return tuple(
            key
            for policy in self.registry.policy_keys(name)
            if policy.tenant == tenant and "DeviceConnect" in policy.rights
            for key in (policy.primary_key, policy.secondary_key)
        )

    def _by_certificate(self, device_id: str, identity: Identity, chain: Chain) -> Admitted:
        now = self.clock()
        if not chain:
            raise WireError(f"{device_id!r} gave neither a token nor a certificate.")
        if not is_current(chain[0], now):
            raise WireError(f"The certificate of {device_id!r} is out of its time.")
        if identity.auth == SELF_SIGNED:
            known = {_plain(each) for each in (identity.primary_thumbprint, identity.secondary_thumbprint) if each}
            if known.isdisjoint(thumbprints(chain[0])):
                raise WireError(f"The certificate of {device_id!r} is not the one that the registry names.")
            kind = "x509Certificate"
        elif identity.auth == BY_AUTHORITY:
            if common_name(chain[0]) != device_id or not is_issued_by(chain, self.authorities(identity.tenant), now):
                raise WireError(f"The certificate of {device_id!r} is from no authority that is trusted for it.")
            kind = "x509CertificateAuthority"
        else:
            raise WireError(f"{device_id!r} proves itself by {identity.auth}, and gave a certificate.")
        method = f'{{"scope":"device","type":"{kind}","issuer":"external","acceptingIpFilterRule":null}}'
        return Admitted(identity, method, chain[0].not_valid_after_utc.timestamp())

    def authorities(self, tenant: str) -> list[x509.Certificate]:
        """Who may vouch for devices of a tenant: the hub's own root, and the tenant's authorities."""
        return [*self.roots, *(read_chain(pem)[0] for pem in self.registry.authorities(tenant))]


def _plain(thumbprint: str) -> str:
    return thumbprint.replace(":", "").upper()
