"""Sent mails: which report of which publication went to whom, kept in the home.

Belongs here: the file. A mail is entered before it is handed over and closed after; one that was open when the process
ended may have gone or not, and is sent again with the same Message-ID, by which mail programs know it.
"""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime

from runtime.settings import Settings

_SCHEMA = """CREATE TABLE IF NOT EXISTS mails (
    report TEXT NOT NULL, publication TEXT NOT NULL, recipient TEXT NOT NULL, period TEXT NOT NULL,
    message_id TEXT NOT NULL, state TEXT NOT NULL, said TEXT NOT NULL, at TEXT NOT NULL,
    PRIMARY KEY (report, publication, recipient)
)"""
OPEN, SENT, REFUSED = "open", "sent", "refused"


@dataclass(frozen=True)
class SentMail:
    """A mail: `state` is open, sent or refused, `said` what the server said of it."""

    report: str
    publication: str
    recipient: str
    period: str
    message_id: str
    state: str
    said: str
    at: str


class SentMails:
    """The mails of a home. A publication is its number and the time of it, since a lake put back counts on anew."""

    def __init__(self, settings: Settings) -> None:
        self._path = settings.home / "serving" / "mails.sqlite"

    def begin(self, mail: SentMail, now: datetime) -> None:
        """Enter a mail that is handed over next; one that was open already stays so."""
        with self._opened() as database:
            values = [mail.report, mail.publication, mail.recipient, mail.period, mail.message_id, OPEN, "", str(now)]
            database.execute("INSERT OR REPLACE INTO mails VALUES (?, ?, ?, ?, ?, ?, ?, ?)", values)

    def end(self, mail: SentMail, state: str, said: str, now: datetime) -> None:
        """Close it: sent, or refused for good."""
        with self._opened() as database:
            database.execute(
                "UPDATE mails SET state = ?, said = ?, at = ? WHERE report = ? AND publication = ? AND recipient = ?",
                [state, said, str(now), mail.report, mail.publication, mail.recipient],
            )

    def reopen(self, report: str) -> None:
        """Let all of a report be sent again."""
        with self._opened() as database:
            database.execute("UPDATE mails SET state = ? WHERE report = ?", [OPEN, report])

    def of_report(self, report: str) -> list[SentMail]:
        """All of a report, the oldest first."""
        with self._opened() as database:
            rows = database.execute("SELECT * FROM mails WHERE report = ? ORDER BY at", [report]).fetchall()
        return [SentMail(*row) for row in rows]

    @contextmanager
    def _opened(self) -> Iterator[sqlite3.Connection]:
        self._path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        database = sqlite3.connect(self._path, timeout=10, isolation_level=None)
        try:
            database.execute("PRAGMA journal_mode = WAL")
            database.execute("PRAGMA synchronous = FULL")
            database.execute(_SCHEMA)
            yield database
        finally:
            database.close()
