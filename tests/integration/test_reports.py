"""Reports by mail: what a real SMTP server receives, once for each publication, also when the sender is killed."""

import csv
import email
import io
import os
import signal
import threading
from collections.abc import Iterator
from email.message import EmailMessage
from email.policy import default
from pathlib import Path
from typing import Any

import pytest
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session
from click.testing import CliRunner
from PIL import Image

from lake.tables.gold import DEVICES
from lakehouse.cli.main import cli
from runtime import processes
from runtime.errors import UsageError
from runtime.ports import free_port
from runtime.settings import Settings, load_settings
from runtime.supervisor import start_all, stop_all
from serving.programs import PROGRAMS
from tests.support.postgres_gold import publish_hours, publish_in_place
from tests.support.served_gold import rows_of

TO = ("ops@example.com", "gone@example.com")
REPORTS = [program for program in PROGRAMS if program.name == "reports"]


class Mailbox:
    """A mail server that keeps what it takes, refuses who is gone, and answers 451 while it is `busy`."""

    def __init__(self) -> None:
        self.mails: list[EmailMessage] = []
        self.is_busy = False
        self.refused_count = 0
        self.changed = threading.Condition()

    async def handle_RCPT(  # noqa: N802  # aiosmtpd's own name
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        if address.startswith("gone"):
            return "550 nobody of that name"
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:  # noqa: N802
        with self.changed:
            self.changed.notify_all()
            if self.is_busy:
                self.refused_count += 1
                return "451 later"
            content = envelope.content
            assert isinstance(content, bytes)
            assert content.isascii()
            assert max(map(len, content.split(b"\r\n"))) <= 998
            message = email.message_from_bytes(content, policy=default)
            assert isinstance(message, EmailMessage)
            assert envelope.rcpt_tos == [message["To"]]
            self.mails.append(message)
        return "250 taken"

    def wait_for(self, count: int) -> None:
        """Until so many mails have come."""
        with self.changed:
            assert self.changed.wait_for(lambda: len(self.mails) >= count, 180)


def authenticated(server: SMTP, session: Session, envelope: Envelope, mechanism: str, data: Any) -> AuthResult:
    """One user and his password, which has signs that an address needs spelt otherwise."""
    assert isinstance(data, LoginPassword)
    return AuthResult(success=(data.login, data.password) == (b"lakehouse", b"p@ss/word"))


@pytest.fixture
def mailbox() -> Iterator[tuple[Mailbox, str]]:
    """A server and its address."""
    box, port = Mailbox(), free_port()
    controller = Controller(box, "127.0.0.1", port, authenticator=authenticated, auth_required=True,
                            auth_require_tls=False)  # fmt: skip
    controller.start()
    yield box, f"smtp://lakehouse:p%40ss%2Fword@127.0.0.1:{port}"
    controller.stop()


def home_with(folder: Path, smtp: str, more: str = "") -> Settings:
    """A home with a first publication and a report."""
    settings = load_settings(
        {"LAKEHOUSE_HOME": str(folder), "LAKEHOUSE_SMTP": smtp, "LAKEHOUSE_MAIL_FROM": "lake@example.com"}
    )
    (folder / "reports").mkdir(parents=True)
    text = f"to: [{', '.join(TO)}]\ntitle: Wärme\ndays: 1\n{more}"
    (folder / "reports" / "daily.yml").write_text(text, encoding="utf-8")
    publish_hours(settings, 1, 10)
    return settings


def run(settings: Settings, *arguments: str) -> tuple[int, str]:
    """A command's exit code and output."""
    with pytest.MonkeyPatch.context() as patch:
        for name, value in settings.child_environment().items():
            patch.setenv(name, value)
        result = CliRunner().invoke(cli, list(arguments), standalone_mode=False)
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result.return_value or 0, result.output


def test_a_mail_has_figures_pictures_and_files(tmp_path: Path, mailbox: tuple[Mailbox, str]) -> None:
    """HTML with PNG pictures inside, the same as text, and CSV; who is refused is told; it is sent once."""
    box, smtp = mailbox
    settings = home_with(tmp_path, smtp)
    code, said = run(settings, "report", "send", "daily")
    assert (code, len(box.mails)) == (1, 1)
    assert "gone@example.com: refused (550 nobody of that name)" in said
    assert run(settings, "report", "send", "daily") == (0, "Everybody has it: --again sends it once more.\n")
    (mail,) = box.mails
    assert (mail["Subject"], mail["From"]) == ("Wärme: publication 1", "lake@example.com")
    page = mail.get_body(("html",))
    plain = mail.get_body(("plain",))
    assert page is not None
    assert plain is not None
    # 10 hours of 3 devices: 60 due and 60 missing of each
    for text in (page.get_content(), plain.get_content()):
        assert "0.0 %" in text
        assert "temperature in degc" in text
        assert "north" in text
    pictures = {part["Content-ID"]: part for part in mail.walk() if part.get_content_type() == "image/png"}
    assert set(pictures) == {"<completeness>", "<metric0>"}
    for cid, part in pictures.items():
        assert f"cid:{cid.strip('<>')}" in page.get_content()
        with Image.open(io.BytesIO(part.get_payload(decode=True))) as image:  # type: ignore[arg-type]
            colours = image.convert("RGB").getcolors(2**20) or []
            assert image.size == (1200, 440)
            assert len(colours) > 5
    files = {str(part.get_filename()): part.get_content() for part in mail.iter_attachments()}
    assert set(files) == {"daily-1-figures.csv", "daily-1-completeness.csv"}
    rows = list(csv.DictReader(io.StringIO(files["daily-1-figures.csv"])))
    assert [(row["device_id"], row["reading_count"], row["value_mean"]) for row in rows] == [
        ("d1", "600", "1"), ("d2", "600", "1"), ("d3", "600", "1"),
    ]  # fmt: skip
    assert run(settings, "report", "send", "daily", "--again")[0] == 1
    assert [each["Message-ID"] for each in box.mails] == [mail["Message-ID"]] * 2


def test_a_report_of_a_site_tells_of_no_other(tmp_path: Path, mailbox: tuple[Mailbox, str]) -> None:
    """Sites bound figures, pictures, silent devices and files; odd names are text in HTML and no formula in CSV."""
    settings = home_with(tmp_path, mailbox[1], "sites: ['<b>south']\nmetrics: [temperature degc]\n")
    rows = rows_of(10, 2.0)
    odd = {table: [_renamed(row) for row in each] for table, each in rows.items() if table is not DEVICES}
    publish_in_place(settings, 2, odd, "true")
    run(settings, "report", "send", "daily")
    (mail,) = mailbox[0].mails
    texts = [part.get_content() for part in mail.walk() if part.get_content_maintype() == "text"]
    assert len(texts) == 4
    assert not any("north" in text or "d1" in text for text in texts)
    assert "&lt;b&gt;south" in texts[1]
    assert "<b>south" not in texts[1]
    assert "'=cmd()" in texts[2]
    code, said = run(settings, "report", "preview", "daily", "--output", str(tmp_path / "page.html"))
    page = (tmp_path / "page.html").read_text()
    assert (code, said) == (0, f"Written to {tmp_path / 'page.html'}.\n")
    assert page.count('src="data:image/png;base64,') == 2
    assert "cid:" not in page


def _renamed(row: dict[str, Any]) -> dict[str, Any]:
    changed = {"d3": "=cmd()"}
    row = dict(row)
    if "device_id" in row:
        row["device_id"] = changed.get(row["device_id"], row["device_id"])
    row["site_id"] = "<b>south" if row["site_id"] == "south" else row["site_id"]
    return row


def test_each_publication_is_mailed_once_also_over_a_kill(tmp_path: Path, mailbox: tuple[Mailbox, str]) -> None:
    """`up --reports` mails a new publication; killed and started again it mails none twice, and what the server put off
    comes when it takes mail again."""
    box, smtp = mailbox
    settings = home_with(tmp_path, smtp)
    try:
        start_all(settings, REPORTS, {"reports": True}, lambda _: None)
        box.wait_for(1)
        _kill(settings)
        box.is_busy = True
        publish_hours(settings, 2, 10)
        start_all(settings, REPORTS, {"reports": True}, lambda _: None)
        with box.changed:
            assert box.changed.wait_for(lambda: box.refused_count, 180)
        _kill(settings)
        box.is_busy = False
        start_all(settings, REPORTS, {"reports": True}, lambda _: None)
        box.wait_for(2)
        publish_hours(settings, 3, 10)
        box.wait_for(3)
    finally:
        stop_all(settings, REPORTS)
    assert [mail["Subject"] for mail in box.mails] == [f"Wärme: publication {number}" for number in (1, 2, 3)]
    code, said = run(settings, "report", "list")
    assert code == 0
    assert "ops@example.com  publication 3 of 2026-11-21T00:00:00+00:00: sent taken" in said


def _kill(settings: Settings) -> None:
    record = processes.find(settings, "reports")
    assert record is not None
    os.kill(record.pid, signal.SIGKILL)
    while processes.find(settings, "reports") is not None:
        threading.Event().wait(0.02)


def test_what_is_missing_is_said_before_anything_is_started(tmp_path: Path) -> None:
    """Without a mail server `up --reports` is refused with the settings that it needs."""
    with pytest.raises(UsageError, match="LAKEHOUSE_SMTP and LAKEHOUSE_MAIL_FROM"):
        start_all(load_settings({"LAKEHOUSE_HOME": str(tmp_path)}), REPORTS, {"reports": True}, lambda _: None)
