"""Senders: doing an action once, over HTTP, by mail, through the hub or into a queue.

Belongs here: one attempt of each kind and whether another is worth it. When it is made is in `action_entries`.

Each attempt carries the key of its entry, so that a receiver can tell a repeat: `Idempotency-Key` of a webhook,
`Message-ID` of a mail, the message id of a device's or a queue's message.
"""

import hashlib
import http.client
import json
import smtplib
import time
from collections.abc import Mapping
from email.message import EmailMessage
from ipaddress import ip_network
from typing import Any
from urllib.parse import urlsplit

from runtime import processes
from runtime.errors import LakehouseError, PlatformError
from runtime.guarded_http import RefusedError, post, signature
from runtime.private_files import known_key
from runtime.settings import Settings
from runtime.smtp_sessions import smtp_session
from streams.action_declarations import Action
from streams.alert_queue import send_to_queue
from wire.amqp_message import AmqpMessage

_SHOWN = 200
_TIMEOUT_S = 10.0
_AGAIN = (408, 425, 429)
_TOLD = ("rule", "change", "severity", "device_id")


class TryAgainError(Exception):
    """It did not work, and may work later."""


def send(settings: Settings, action: Action, key: str, alert: Mapping[str, Any]) -> None:
    """Do an action. Raises TryAgainError, or RefusedError for what no other attempt will change."""
    body = json.dumps(alert, ensure_ascii=False, sort_keys=True).encode()
    try:
        if action.kind == "webhook":
            _call(settings, action, key, body)
        elif action.kind == "mail":
            _mail(settings, action, key, alert)
        elif action.kind == "queue":
            _put_in_queue(settings, action, key, alert, body)
        else:
            _tell_device(settings, key, alert, body)
    except (OSError, http.client.HTTPException, smtplib.SMTPException) as error:
        if isinstance(error, smtplib.SMTPResponseException) and error.smtp_code >= 500:
            raise RefusedError(f"the mail server says {error.smtp_code} {error.smtp_error!r}") from error
        if isinstance(error, smtplib.SMTPRecipientsRefused) and max(c for c, _ in error.recipients.values()) >= 500:
            raise RefusedError(f"the mail server refuses {', '.join(error.recipients)}") from error
        raise TryAgainError(f"{type(error).__name__}: {error}") from error


def _call(settings: Settings, action: Action, key: str, body: bytes) -> None:
    if not settings.actions_secret:
        raise RefusedError("a webhook is signed: set LAKEHOUSE_ACTIONS_SECRET")
    headers = {
        "Content-Type": "application/json",
        "Idempotency-Key": key,
        "User-Agent": "lakehouse",
        "X-Lakehouse-Signature": signature(settings.actions_secret, int(time.time()), body),
    }
    allowed = [ip_network(each) for each in (settings.actions_allow or "").split(",") if each]
    answer = post(action.url, body, headers, allowed, timeout_s=_TIMEOUT_S)
    if 200 <= answer.status < 300:
        return
    said = f"the receiver answers {answer.status}: {' '.join(answer.text[:_SHOWN].split())}"
    if answer.status >= 500 or answer.status in _AGAIN:
        raise TryAgainError(said)
    raise RefusedError(f"{said}{' (redirects are not followed)' if 300 <= answer.status < 400 else ''}")


def _mail(settings: Settings, action: Action, key: str, alert: Mapping[str, Any]) -> None:
    if not settings.smtp or not settings.mail_from:
        raise RefusedError("there is no mail server: set LAKEHOUSE_SMTP and LAKEHOUSE_MAIL_FROM")
    message = EmailMessage()
    message["From"], message["To"] = settings.mail_from, ", ".join(action.to)
    message["Subject"] = " ".join(f"{alert['severity']}: {alert['rule']} {alert['change']}".split())
    message["Message-ID"] = f"<{hashlib.sha256(key.encode()).hexdigest()[:32]}@lakehouse>"
    message.set_content(json.dumps(alert, ensure_ascii=False, indent=2) + "\n")
    with smtp_session(settings.smtp, _TIMEOUT_S, 3 * _TIMEOUT_S) as server:
        server.send_message(message)


def _put_in_queue(settings: Settings, action: Action, key: str, alert: Mapping[str, Any], body: bytes) -> None:
    """Under the identity of the alert's revision, so that the queue takes it once, whichever actions send it."""
    record = processes.find(settings, "queues")
    if record is None:
        raise TryAgainError("the queues are not served: start them by `lakehouse up --serve`")
    place = urlsplit(record.address)
    message = AmqpMessage(
        body,
        properties={
            "message_id": key.removeprefix(f"{action.name}/"),
            "subject": str(alert.get("rule", "")),
            "content_type": "application/json",
        },
        application={name: str(alert[name]) for name in _TOLD if alert.get(name) is not None},
    )
    send_to_queue((place.hostname or "", place.port or 0), known_key(settings.home, "queues"), action.queue, message,
                  _TIMEOUT_S)  # fmt: skip


def _tell_device(settings: Settings, key: str, alert: Mapping[str, Any], body: bytes) -> None:
    """By the registry of this home's hub, which a running hub reads within a second; it waits for the device there."""
    device_id = alert.get("device_id")
    if not device_id:
        raise RefusedError("the alarm is of no device: give its rule by: [device_id]")
    if settings.hub_database is None and not settings.hub_folder.exists():
        raise RefusedError("this home has no hub: start it once by `lakehouse up --hub`")
    from hub.administration import opened_registry
    from hub.hub_errors import HubCode, HubError
    from hub.registry.cloud_queue import CloudMessage

    busy = (HubCode.DeviceMaximumQueueDepthExceeded, HubCode.ThrottlingException)
    system = {"mid": key, "ct": "application/json", "to": f"/devices/{device_id}/messages/devicebound"}
    message = CloudMessage(0, str(device_id), body, {"lakehouse": "alert"}, system, "none", 0, 0, 0, None)
    try:
        with opened_registry(settings) as registry:
            registry.enqueue_cloud_message(message).result(_TIMEOUT_S)
    except TimeoutError as error:
        raise TryAgainError("the hub's registry does not answer") from error
    except LakehouseError as error:
        is_for_now = isinstance(error, PlatformError) or (isinstance(error, HubError) and error.code in busy)
        raise (TryAgainError if is_for_now else RefusedError)(str(error)) from error
