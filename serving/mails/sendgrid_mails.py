"""A request of SendGrid's v3 API (`mail/send`) as messages.

Belongs here: reading it and refusing what would be sent otherwise than asked. Sending is in `mail_app`.

Source: "Mail Send" (docs.sendgrid.com, v3). What only counts or groups mails (categories, custom_args, tracking) is
taken and has no effect.
"""

import binascii
import re
from base64 import b64decode
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from email.message import EmailMessage
from email.utils import formataddr, formatdate, make_msgid
from typing import Any

from runtime.variables import mail_address
from serving.problems import Problem

_MOST_RECIPIENTS = 1000
_TAKEN = {
    "personalizations", "from", "reply_to", "subject", "content", "attachments", "headers", "categories", "custom_args",
    "tracking_settings", "mail_settings",
}  # fmt: skip
_TAKEN_EACH = {"to", "cc", "bcc", "subject", "headers", "custom_args", "from"}
_HEADER = re.compile(r"[!-9;-~]+")
"""The name of a header: RFC 5322, section 2.2. Python writes one with a line end as two headers."""
_OURS = {"from", "to", "cc", "bcc", "subject", "reply-to", "message-id", "date", "sender", "return-path"}


@dataclass(frozen=True)
class AskedMail:
    """A message, and who gets it."""

    message: EmailMessage
    recipients: tuple[str, ...]


def mails_of(said: Any, sender: str) -> list[AskedMail]:
    """The messages that a request asks for, from `sender` alone. Raises Problem."""
    try:
        _check_fields(said, _TAKEN, "")
        if _address(said["from"])[1].lower() != sender.lower():
            raise Problem(403, "from", f"Mails come from {sender} only (LAKEHOUSE_MAIL_FROM).")
        found = [_mail(said, each) for each in said["personalizations"]]
    except (KeyError, TypeError, ValueError, AttributeError, IndexError, LookupError) as error:
        raise Problem(400, "request", f"The request is not as SendGrid's API has it: {error!r}.") from error
    if not found or sum(len(each.recipients) for each in found) > _MOST_RECIPIENTS:
        raise Problem(400, "personalizations", f"Give 1 to {_MOST_RECIPIENTS:,} recipients.")
    return found


def is_sandboxed(said: Any) -> bool:
    """True when the request is to be checked and not sent. Raises Problem."""
    try:
        return bool(((said.get("mail_settings") or {}).get("sandbox_mode") or {}).get("enable"))
    except AttributeError as error:
        raise Problem(400, "mail_settings", "mail_settings and its sandbox_mode are objects.") from error


def _check_fields(said: Mapping[str, Any], taken: set[str], where: str) -> None:
    unknown = sorted(name for name, value in said.items() if name not in taken and value not in (None, {}, []))
    if unknown:
        raise Problem(400, f"{where}{unknown[0]}", f"{unknown[0]} is not known here: leave it out.")


def _mail(said: Mapping[str, Any], each: Mapping[str, Any]) -> AskedMail:
    _check_fields(each, _TAKEN_EACH, "personalizations.")
    if each.get("from") is not None and each["from"] != said["from"]:
        raise Problem(400, "personalizations.from", "All mails of a request come from one address.")
    message = EmailMessage()
    message["From"] = formataddr(_address(said["from"]))
    everyone: list[str] = []
    for name in ("to", "cc", "bcc"):
        people = [_address(person) for person in each.get(name) or ()]
        everyone += [address for _, address in people]
        if people and name != "bcc":
            message[name.capitalize()] = ", ".join(map(formataddr, people))
    if not each["to"]:
        raise Problem(400, "personalizations.to", "Each mail has a recipient in to.")
    message["Subject"] = str(each.get("subject") or said["subject"])
    message["Date"], message["Message-ID"] = formatdate(), make_msgid(domain="lakehouse")
    if said.get("reply_to"):
        message["Reply-To"] = formataddr(_address(said["reply_to"]))
    for name, value in {**(said.get("headers") or {}), **(each.get("headers") or {})}.items():
        if not _HEADER.fullmatch(name):
            raise Problem(400, "headers", f"{name[:80]!r} is no name of a header.")
        if name.lower() in _OURS or name.lower().startswith(("content-", "mime-")):
            raise Problem(400, "headers", f"The header {name} follows from the request: leave it out.")
        message[name] = str(value)
    _fill(message, said["content"], said.get("attachments") or ())
    return AskedMail(message, tuple(dict.fromkeys(everyone)))


def _fill(
    message: EmailMessage, content: Sequence[Mapping[str, str]], attachments: Sequence[Mapping[str, str]]
) -> None:
    for number, part in enumerate(content):
        main, _, sub = part["type"].partition("/")
        if main != "text" or not sub:
            raise Problem(400, "content.type", f"Content is of type text/plain or text/html, not {part['type']!r}.")
        if number == 0:
            message.set_content(part["value"], subtype=sub)
        else:
            message.add_alternative(part["value"], subtype=sub)
    for each in attachments:
        main, _, sub = (each.get("type") or "application/octet-stream").partition("/")
        try:
            data = b64decode(each["content"], validate=True)
        except binascii.Error as error:
            raise Problem(400, "attachments.content", "The content of an attachment is base64.") from error
        message.add_attachment(
            data, main, sub or "octet-stream", filename=each["filename"],
            disposition=each.get("disposition") or "attachment",
            cid=f"<{each['content_id']}>" if each.get("content_id") else None,
        )  # fmt: skip


def _address(said: Mapping[str, str]) -> tuple[str, str]:
    """Name and address of a person."""
    return str(said.get("name") or ""), mail_address(said["email"])
