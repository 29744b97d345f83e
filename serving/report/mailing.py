"""Mailing: a report of the newest publication to each of its recipients, once.

Belongs here: which mails are due and sending them. What a report says is in `mail_figures` and `mail`.
"""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime
from email.message import EmailMessage
from email.utils import format_datetime

from lake.records.publications import Publication
from runtime.errors import PlatformError
from runtime.settings import Settings
from serving.report.mail import report_message
from serving.report.mail_figures import mail_figures
from serving.report.mail_server import RefusedError, hand_over
from serving.report.sent_mails import OPEN, REFUSED, SENT, SentMail, SentMails
from serving.report.subscriptions import Subscription
from serving.snapshots import Snapshot

Tell = Callable[[str], None]


@dataclass(frozen=True)
class Due:
    """A mail that is to be sent now."""

    subscription: Subscription
    mail: SentMail


def due_mails(sent: SentMails, subscription: Subscription, publication: Publication, now: datetime) -> list[Due]:
    """What a subscription is to send of a publication: nothing that was sent or refused, one a day or week at most."""
    period = subscription.period(now)
    if not period:
        return []
    known = sent.of_report(subscription.name)
    this = identity(publication)
    closed = {mail.recipient for mail in known if mail.state != OPEN and mail.publication == this}
    if period != "publication":
        closed |= {mail.recipient for mail in known if mail.state == SENT and mail.period == period}
    wanted = (SentMail(subscription.name, this, to, period, _message_id(this, subscription, to), OPEN, "", "")
              for to in subscription.to if to not in closed)  # fmt: skip
    return [Due(subscription, mail) for mail in wanted]


def send_due(settings: Settings, snapshot: Snapshot, due: list[Due], now: datetime, tell: Tell) -> list[SentMail]:
    """Send mails of one report; returns them as they ended. Raises PlatformError when the server takes none now."""
    if not due:
        return []
    figures = mail_figures(snapshot, due[0].subscription)
    message, sent, ended = report_message(due[0].subscription, figures), SentMails(settings), []
    later: PlatformError | None = None
    for each in due:
        sent.begin(each.mail, now)
        try:
            said, state = hand_over(settings, _addressed(message, settings, each.mail, now), each.mail.recipient), SENT
        except RefusedError as error:
            said, state = str(error), REFUSED
        except PlatformError as error:
            later = error  # the others may be taken; this one stays open
            continue
        sent.end(each.mail, state, said, now)
        what = f"Report {each.mail.report}, publication {figures.publication_id}"
        tell(f"{what}, to {each.mail.recipient}: {state} ({said})")
        ended.append(replace(each.mail, state=state, said=said))
    if later is not None:
        raise later
    return ended


def identity(publication: Publication) -> str:
    """What tells a publication from every other one: `7 of 2026-11-20T05:10:00+00:00`."""
    return f"{publication.publication_id} of {publication.published_at.isoformat()}"


def _message_id(publication: str, subscription: Subscription, recipient: str) -> str:
    said = f"{subscription.name}\n{publication}\n{recipient}"
    return f"<{hashlib.sha256(said.encode()).hexdigest()[:32]}@lakehouse>"


def _addressed(message: EmailMessage, settings: Settings, mail: SentMail, now: datetime) -> EmailMessage:
    headers = {"From": settings.mail_from or "", "To": mail.recipient, "Message-ID": mail.message_id,
               "Date": format_datetime(now)}  # fmt: skip
    for name, value in headers.items():
        del message[name]
        message[name] = value
    return message
