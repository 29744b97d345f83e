"""Subscriptions of reports: what can be said, what is refused, and when one is due."""

from datetime import UTC, datetime, time
from pathlib import Path

import pytest

from lake.records.publications import Publication
from runtime.errors import UsageError
from runtime.settings import load_settings
from serving.report.mailing import due_mails
from serving.report.sent_mails import SENT, SentMails
from serving.report.subscriptions import Subscription, load_subscriptions, subscription_of

MONDAY = datetime(2026, 11, 23, 5, 30, tzinfo=UTC)


def publication(number: int) -> Publication:
    """A publication of that number."""
    return Publication(number, MONDAY.replace(minute=number), {}, {}, (), (), (), "", "", {}, "1", "run")


def test_a_file_says_all_of_a_report(tmp_path: Path) -> None:
    """Recipients, title, times, sites and metrics are read; what is left out has its usual value."""
    settings = load_settings({"LAKEHOUSE_HOME": str(tmp_path)})
    (tmp_path / "reports").mkdir()
    (tmp_path / "reports" / "weekly.yml").write_text(
        "to: [a@example.com, b@example.com]\ntitle: Fernwärme\nevery: week\nat: 06:30\nweekday: friday\n"
        "time_zone: Europe/Berlin\ndays: 14\nsites: [north]\nmetrics: [temperature degc]\n"
    )
    (tmp_path / "reports" / "plain.yml").write_text("to: a@example.com\n")
    assert load_subscriptions(settings) == {
        "plain": Subscription("plain", ("a@example.com",), "Report plain"),
        "weekly": Subscription("weekly", ("a@example.com", "b@example.com"), "Fernwärme", "week", time(6, 30), 4,
                               "Europe/Berlin", 14, ("north",), (("temperature", "degc"),)),
    }  # fmt: skip
    with pytest.raises(UsageError, match="no report 'daily', there are plain, weekly"):
        subscription_of(settings, "daily")


@pytest.mark.parametrize(
    "text",
    ["- a", "to: nobody", "to: []", "to: 'a@b\\nBcc: c@d'", "to: a@b.c\nevry: day", "to: a@b.c\nevery: hour",
     "to: a@b.c\nat: '25:00'", "to: a@b.c\ntime_zone: Mars", "to: a@b.c\ndays: 0", "to: a@b.c\ndays: true",
     "to: a@b.c\nmetrics: [temperature]", 'to: a@b.c\ntitle: "a\\nBcc: c@d"', "to: a@b.c\nsites: north", "to: ["],
)  # fmt: skip
def test_what_cannot_be_is_said(tmp_path: Path, text: str) -> None:
    """A mistake is one sentence that names the file, before anything is sent."""
    (tmp_path / "reports").mkdir()
    (tmp_path / "reports" / "one.yml").write_text(text)
    with pytest.raises(UsageError, match=r"one\.yml"):
        load_subscriptions(load_settings({"LAKEHOUSE_HOME": str(tmp_path)}))


def test_a_mail_is_due_once(tmp_path: Path) -> None:
    """A publication is due until it was sent; of a day or week there is one, from its local time on, of what is new."""
    sent = SentMails(load_settings({"LAKEHOUSE_HOME": str(tmp_path)}))
    to = ("a@example.com", "b@example.com")
    each = Subscription("each", to, "Each")
    assert [due.mail.recipient for due in due_mails(sent, each, publication(1), MONDAY)] == list(to)
    first = due_mails(sent, each, publication(1), MONDAY)[0].mail
    sent.begin(first, MONDAY)
    assert due_mails(sent, each, publication(1), MONDAY)[0].mail.message_id == first.message_id
    sent.end(first, SENT, "ok", MONDAY)
    assert [due.mail.recipient for due in due_mails(sent, each, publication(1), MONDAY)] == [to[1]]
    assert len(due_mails(sent, each, publication(2), MONDAY)) == 2

    weekly = Subscription("weekly", to[:1], "Weekly", "week", time(6), 0, "Europe/Berlin")
    (due,) = due_mails(sent, weekly, publication(1), MONDAY)
    assert due_mails(sent, weekly, publication(1), MONDAY.replace(hour=4, minute=59)) == []
    sent.begin(due.mail, MONDAY)
    sent.end(due.mail, SENT, "ok", MONDAY)
    for day, number, count in ((23, 2, 0), (24, 2, 0), (30, 1, 0), (30, 2, 1)):
        assert len(due_mails(sent, weekly, publication(number), MONDAY.replace(day=day))) == count
