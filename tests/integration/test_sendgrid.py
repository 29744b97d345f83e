"""Mails by the unmodified `sendgrid` (PyPI): a real server of ours, a real mail server behind it."""

import email
import json
import urllib.error
import urllib.request
from collections.abc import Iterator
from datetime import UTC, datetime
from email.message import EmailMessage
from email.policy import default
from pathlib import Path
from queue import Queue
from typing import Any

import pytest
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, Envelope, Session
from python_http_client.exceptions import BadRequestsError, ForbiddenError, UnauthorizedError
from sendgrid import SendGridAPIClient
from sendgrid.helpers.mail import Attachment, Bcc, Cc, Mail

from runtime.ports import free_port
from runtime.settings import load_settings
from serving.access.api_keys import ApiKeys
from serving.access.scopes import parse_scopes
from tests.support.served_gold import served

FROM = "lake@example.com"


class Mailbox:
    """Keeps who got what, and knows nobody whose name begins with `gone`."""

    def __init__(self) -> None:
        self.mails: Queue[tuple[str, str, EmailMessage]] = Queue()

    async def handle_RCPT(  # noqa: N802  # aiosmtpd's own name
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        if address.startswith("gone"):
            return "550 nobody of that name"
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:  # noqa: N802
        content = envelope.content
        assert isinstance(content, bytes)
        assert envelope.mail_from is not None
        message = email.message_from_bytes(content, policy=default)
        assert isinstance(message, EmailMessage)
        self.mails.put((envelope.mail_from, envelope.rcpt_tos[0], message))
        return "250 OK"


@pytest.fixture(scope="module")
def mailbox() -> Iterator[tuple[Mailbox, int]]:
    box, port = Mailbox(), free_port()
    controller = Controller(box, hostname="127.0.0.1", port=port)
    controller.start()
    yield box, port
    controller.stop()


@pytest.fixture(scope="module")
def clients(tmp_path_factory: pytest.TempPathFactory, mailbox: tuple[Mailbox, int]) -> Iterator[dict[str, Any]]:
    """Clients by the scope of their keys."""
    home: Path = tmp_path_factory.mktemp("sendgrid")
    settings = load_settings({"LAKEHOUSE_HOME": str(home)})
    keys, now = ApiKeys(settings), datetime.now(UTC)
    made = {scope: keys.create(scope, parse_scopes([scope]), now)[1] for scope in ("mail", "read")}
    more = {"LAKEHOUSE_SMTP": f"smtp://127.0.0.1:{mailbox[1]}", "LAKEHOUSE_MAIL_FROM": FROM}
    with served(home, more) as address:
        yield {scope: SendGridAPIClient(key, host=address) for scope, key in {**made, "none": "lh_0_x"}.items()}


def mail(**said: Any) -> Mail:
    return Mail(**{"from_email": (FROM, "Lake"), "to_emails": "ada@example.com", "subject": "Held: ü",
                   "plain_text_content": "text", "html_content": "<p>text</p>", **said})  # fmt: skip


def test_a_mail_reaches_each_recipient(clients: dict[str, Any], mailbox: tuple[Mailbox, int]) -> None:
    """Text, HTML and an attachment as they were given; copies get it too, a blind one without being named."""
    asked = mail()
    asked.add_cc(Cc("bob@example.com"))
    asked.add_bcc(Bcc("eve@example.com"))
    asked.attachment = Attachment("YSxiCjEsMgo=", "rows.csv", "text/csv", "attachment")
    answer = clients["mail"].send(asked)
    assert answer.status_code == 202
    got = [mailbox[0].mails.get(timeout=60) for _ in range(3)]
    assert [(sender, to) for sender, to, _ in got] == [(FROM, f"{n}@example.com") for n in ("ada", "bob", "eve")]
    message = got[0][2]
    assert answer.headers["X-Message-Id"] in message["Message-ID"]
    assert (message["Subject"], message["From"], message["Cc"]) == ("Held: ü", f"Lake <{FROM}>", "bob@example.com")
    assert "eve" not in message.as_string()
    text, html = (message.get_body((kind,)) for kind in ("plain", "html"))
    assert text is not None
    assert html is not None
    assert (text.get_content().strip(), html.get_content().strip()) == ("text", "<p>text</p>")
    (attached,) = message.iter_attachments()
    assert (attached.get_filename(), attached.get_content()) == ("rows.csv", "a,b\n1,2\n")


@pytest.mark.parametrize(
    ("said", "field"),
    [
        ({"from_email": "ceo@example.com"}, "from"),
        ({"to_emails": "gone@example.com"}, "personalizations.to"),
        ({"to_emails": ("a@example.com", "a\r\nBcc: b@example.com")}, "request"),
        ({"subject": "a\r\nBcc: b@example.com"}, "request"),
    ],
)
def test_what_cannot_be_sent_is_refused(
    clients: dict[str, Any], mailbox: tuple[Mailbox, int], said: dict[str, Any], field: str
) -> None:
    """Another sender, nobody there, headers smuggled in: the client is told which field, and nothing is sent."""
    with pytest.raises((BadRequestsError, ForbiddenError)) as error:
        clients["mail"].send(mail(**said))
    assert json.loads(error.value.body)["errors"][0]["field"] == field
    assert mailbox[0].mails.empty()


def test_what_is_not_done_here_is_said(clients: dict[str, Any], mailbox: tuple[Mailbox, int]) -> None:
    """A template, or a later time, would send something else than was asked for."""
    for field, value in (("template_id", "d-1"), ("send_at", 1_900_000_000)):
        with pytest.raises(BadRequestsError) as error:
            clients["mail"].client.mail.send.post(request_body={**mail().get(), field: value})
        assert json.loads(error.value.body)["errors"][0]["field"] == field
    assert mailbox[0].mails.empty()


@pytest.mark.parametrize(("said", "field"), [
    ({"headers": {"X: 1\r\nFrom": "ceo@example.com"}}, "headers"), ({"headers": {"X\n": "1"}}, "headers"),
    ({"headers": {"": "1"}}, "headers"), ({"mail_settings": "x"}, "mail_settings"), ({"subject": "\ud800"}, "request"),
    ({"mail_settings": {"sandbox_mode": 1}}, "mail_settings"), ({"custom_args": [[]]}, ""), ("deep", "request"),
])  # fmt: skip
def test_what_no_client_would_send_is_refused_too(
    clients: dict[str, Any], mailbox: tuple[Mailbox, int], said: Any, field: str
) -> None:
    """A header whose name has a line end, which would be another sender's; other types; half a character; JSON that
    goes deeper than it can be read. What only groups mails is taken whatever it is."""
    client = clients["mail"].client
    body = json.dumps({**mail().get(), **said}) if said != "deep" else "[" * 200_000
    request = urllib.request.Request(f"{client.host}/v3/mail/send", body.encode(), client.request_headers)
    if not field:
        with urllib.request.urlopen(request, timeout=60) as answer:
            assert answer.status == 202
        mailbox[0].mails.get(timeout=60)
        return
    with pytest.raises(urllib.error.HTTPError) as error:
        urllib.request.urlopen(request, timeout=60)
    assert (error.value.code, json.loads(error.value.read())["errors"][0]["field"]) == (400, field)
    assert mailbox[0].mails.empty()


def test_a_key_needs_the_scope(clients: dict[str, Any], mailbox: tuple[Mailbox, int]) -> None:
    """A key that may read sends nothing; one that is none is not known."""
    with pytest.raises(ForbiddenError):
        clients["read"].send(mail())
    with pytest.raises(UnauthorizedError):
        clients["none"].send(mail())
    assert mailbox[0].mails.empty()
