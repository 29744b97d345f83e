"""Provisioning over MQTT: a device that knows only an id scope gets a hub and an identity.

Belongs here: the registration requests and their answers, and asking an operator's handler which twin a device begins
with. Who may come in belongs in `attestation`, what is stored in `hub.registry.enrolments`.
"""

import asyncio
import http.client
import json
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from ipaddress import ip_network
from typing import Any
from urllib.parse import urlsplit

import orjson
from cryptography import x509

from hub.access.attestation import Claim, attest
from hub.access.firmware_attestation import attest_firmware
from hub.hub_errors import HubCode, HubError
from hub.registry.database import Tx
from hub.registry.enrolments import GROUP, Enrolment, Proof, Registration, assign, registration_of
from hub.registry.firmware_versions import accept_firmware
from hub.registry.identities import find
from hub.registry.tenants import DEFAULT_TENANT
from hub.sessions.hub_parts import HubParts
from runtime.errors import WireError
from runtime.guarded_http import RefusedError, post
from wire import hub_topics as topics
from wire.mqtt import Connect
from wire.mqtt_packets import publish

_HANDLER_TIMEOUT_S = 5.0
_RETRY_AFTER_S = 3
_EVERYWHERE = (ip_network("0.0.0.0/0"), ip_network("::/0"))
_log = logging.getLogger(__name__)


class Registering:
    """A connection of a client that registers. Raises WireError when its credentials let it in nowhere."""

    def __init__(self, parts: HubParts, connect: Connect, chain: Sequence[x509.Certificate]) -> None:
        self._parts = parts
        scope, registration_id = topics.read_registration_username(connect.username or "")
        if registration_id != connect.client_id:
            raise WireError(f"The client id {connect.client_id!r} is not the registration id {registration_id!r}.")
        tenant = parts.registry.tenant_of_scope(scope)
        if tenant is None:
            raise WireError(f"There is no id scope {scope!r}.")
        self._tenant = tenant
        token = (connect.password or b"").decode("utf-8", "replace") or None
        self._claim = Claim(scope, registration_id, token, chain, parts.admission.clock())
        self._attested()

    def _attested(self) -> tuple[Claim, Enrolment, Proof]:
        claim = replace(self._claim, now=self._parts.admission.clock())
        return claim, *self._parts.registry.read(lambda tx: attest(tx, self._tenant, claim))

    async def answer(
        self, route: topics.Route, request_id: str, payload: bytes, write: Callable[[bytes], None]
    ) -> None:
        """Register the device, or say what became of it."""
        later: int | None = None
        try:
            if route.kind == topics.REGISTER:
                registration = await self._register(payload)
            else:
                registration = self._found(route.bag.get("operationId"))
            status, body = 200, self._document(registration)
        except (HubError, WireError) as error:
            code = error.code if isinstance(error, HubError) else HubCode.IotHubUnauthorized
            status, body = code.status, {"errorCode": code.number, "message": str(error)}
            if status == 401:
                self._parts.counts.refused += 1
                _log.warning("The registration of %r was refused: %s", self._claim.registration_id, error)
            later = _RETRY_AFTER_S if status >= 429 else None
        write(publish(topics.registration_topic(status, request_id, later), orjson.dumps(body)))

    async def _register(self, payload: bytes) -> Registration:
        if not self._parts.quotas.take("registrations", self._tenant):
            raise HubError(HubCode.ThrottlingException, "Too many registrations.")
        claim, enrolment, proof = self._attested()
        asked = _object(payload)
        if asked.get("registrationId", self._claim.registration_id) != self._claim.registration_id:
            raise HubError(HubCode.ArgumentInvalid, "The registration id is not the one that connected.")
        given = asked.get("payload")
        firmware = attest_firmware(enrolment, claim, proof, given)
        returned = None
        if enrolment.body.get("allocationPolicy") == "custom":
            wishes = await asyncio.to_thread(_ask_handler, enrolment, self._claim.registration_id, given)
            twin = wishes.get("initialTwin") or enrolment.body.get("initialTwin")
            enrolment, returned = (
                replace(enrolment, body={**enrolment.body, "initialTwin": twin}),
                wishes.get("payload"),
            )

        def work(tx: Tx) -> Registration:
            if firmware is not None:
                accept_firmware(tx, enrolment, claim.registration_id, firmware.versions, firmware.at_ms)
            return assign(tx, enrolment, claim.registration_id, proof, returned)

        return await asyncio.wrap_future(self._parts.registry.write(work))

    def _found(self, operation_id: str | None) -> Registration:
        found = self._parts.registry.read(lambda tx: _allowed(tx, self._tenant, self._claim.registration_id))
        if found is None or operation_id not in (None, found.etag):
            raise HubError(HubCode.RegistrationNotFound, f"There is no operation {operation_id!r}.")
        return found

    def _document(self, registration: Registration) -> dict[str, Any]:
        state = {**registration.body, "assignedHub": self._parts.hosts[0]}
        return {"operationId": registration.etag, "status": registration.status, "registrationState": state}


def _allowed(tx: Tx, tenant: str, registration_id: str) -> Registration | None:
    found = registration_of(tx, tenant, registration_id)
    device = find(tx, found.device_id or "") if found is not None else None
    return found if device is not None and device.is_enabled and device.tenant == tenant else None


def _object(payload: bytes) -> Mapping[str, Any]:
    try:
        found = orjson.loads(payload) if payload.strip() else {}
    except orjson.JSONDecodeError as error:
        raise HubError(HubCode.IotHubFormatError, "The registration is not JSON.") from error
    if not isinstance(found, dict):
        raise HubError(HubCode.IotHubFormatError, "The registration is not a JSON object.")
    return found


def _ask_handler(enrolment: Enrolment, registration_id: str, payload: Any) -> Mapping[str, Any]:
    """What the enrolment's custom allocation handler answers: `initialTwin` and `payload`, each if it likes.

    It is called as the anchor calls its webhook: by https at a public address. The default tenant is the operator's
    own: its handlers may be at private ones too, and on this machine by http. Raises HubError when it does not answer
    so, which the device will try again.
    """
    url = str((enrolment.body.get("customAllocationDefinition") or {}).get("webhookUrl") or "")
    parts = urlsplit(url)
    is_own = enrolment.tenant == DEFAULT_TENANT
    is_local = is_own and parts.scheme == "http" and parts.hostname in ("127.0.0.1", "::1", "localhost")
    if parts.scheme != "https" and not is_local:
        raise HubError(
            HubCode.ArgumentInvalid, "The custom allocation's webhookUrl is neither https nor http on this machine."
        )
    name = "enrollmentGroup" if enrolment.kind == GROUP else "individualEnrollment"
    shown = {key: value for key, value in enrolment.body.items() if key != "attestation"}
    asked = {
        name: shown, "deviceRuntimeContext": {"registrationId": registration_id, "payload": payload}, "linkedHubs": [],
    }  # fmt: skip
    headers = {"Content-Type": "application/json"}
    try:
        answer = post(url, json.dumps(asked).encode(), headers, _EVERYWHERE if is_own else (),
                      timeout_s=_HANDLER_TIMEOUT_S)  # fmt: skip
        found = json.loads(answer.text)
        if answer.status != 200 or not isinstance(found, dict):
            raise ValueError(f"status {answer.status}")
        return found
    except RefusedError as error:
        _log.warning("The custom allocation handler %s of %s was not asked: %s", url, enrolment.tenant, error)
        raise HubError(
            HubCode.ArgumentInvalid, "The custom allocation's webhookUrl is at a private address."
        ) from error
    except (OSError, http.client.HTTPException, ValueError) as error:
        _log.warning("The custom allocation handler %s failed: %s", url, error)
        raise HubError(HubCode.ServerError, "The custom allocation handler did not answer.") from error
