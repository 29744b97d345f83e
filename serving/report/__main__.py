"""`python -m serving.report`: mails the reports of this home as they become due.

Belongs here: the process. What is due is for `mailing` to say.
"""

import sys
from datetime import UTC, datetime
from threading import Event

from runtime.errors import LakehouseError
from runtime.settings import Settings, load_settings
from runtime.signals import asked_to_stop
from serving.problems import Problem
from serving.report.mailing import due_mails, send_due
from serving.report.sent_mails import SentMails
from serving.report.subscriptions import load_subscriptions
from serving.snapshots import Snapshots

_LOOK_S = 2.0
_LONGEST_PAUSE_S = 300.0


def main() -> None:
    """Run until a signal."""
    settings = load_settings()
    with asked_to_stop() as stop:
        _follow(settings, stop)


def _follow(settings: Settings, stop: Event) -> None:
    snapshots, pause_s = Snapshots(settings), _LOOK_S
    while not stop.is_set():
        try:
            _step(settings, snapshots)
            pause_s = _LOOK_S
        except Problem:
            pass  # nothing is published yet
        except LakehouseError as error:
            print(f"Error: {error}", file=sys.stderr, flush=True)
            pause_s = min(pause_s * 2, _LONGEST_PAUSE_S)
        stop.wait(pause_s)


def _step(settings: Settings, snapshots: Snapshots) -> None:
    sent, now, snapshot = SentMails(settings), datetime.now(UTC), snapshots.newest()
    failed: LakehouseError | None = None
    for subscription in load_subscriptions(settings).values():
        try:
            due = due_mails(sent, subscription, snapshot.publication, now)
            send_due(settings, snapshot, due, now, lambda words: print(words, flush=True))
        except LakehouseError as error:
            failed = error  # of the other reports some may go
    if failed is not None:
        raise failed


if __name__ == "__main__":
    main()
