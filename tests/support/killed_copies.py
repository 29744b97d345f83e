"""`python -m tests.support.killed_copies ADDRESS EVERY`: copies killed, each a little later than the one before.

Belongs here: killing a copy at its n-th statement, and amid its rows. Prints what readers saw after each.
"""

import os
import signal
import sys
from collections.abc import Callable
from itertools import count
from typing import Any

import psycopg

from lake.models.catalog import known_models
from runtime.settings import load_settings
from serving.bi import gold_slices, postgres_layout, publication_copy


def _kill_at(limit: int) -> None:
    """Let this process die at a statement."""
    real, passed = postgres_layout.run, count()

    def counted(*arguments: Any) -> Any:
        if next(passed) == limit:
            os.kill(os.getpid(), signal.SIGKILL)
        return real(*arguments)

    postgres_layout.run = publication_copy.run = counted  # type: ignore[assignment, attr-defined]


def _kill_amid_rows() -> None:
    real = gold_slices.PinnedTable.csv_of

    def halfway(*arguments: Any) -> Any:
        for block in real(*arguments):
            yield block[: block.index(b"\n") + 1]
            os.kill(os.getpid(), signal.SIGKILL)

    gold_slices.PinnedTable.csv_of = halfway  # type: ignore[assignment, method-assign]


def _copy(address: str, before: Callable[[], None]) -> bool:
    """Copy in a process of its own; True when it was killed."""
    child = os.fork()
    if child == 0:
        before()
        settings = load_settings()
        with publication_copy.connect(address) as connection:
            publication_copy.copy_newest(settings, connection, known_models(settings).values())
        os._exit(0)
    return os.WIFSIGNALED(os.waitpid(child, 0)[1])


def main() -> None:
    """Kill copies until one is not reached any more."""
    address, every = sys.argv[1], int(sys.argv[2])
    is_killed, limit = _copy(address, _kill_amid_rows), 0
    while is_killed:
        with psycopg.connect(address) as connection:
            seen = connection.execute("SELECT publication_id, (SELECT array_agg(DISTINCT value_mean) "
                                      "FROM gold.device_hours) FROM ready.publication").fetchone()  # fmt: skip
        print(limit, seen, flush=True)
        is_killed, limit = _copy(address, lambda limit=limit: _kill_at(limit)), limit + every


if __name__ == "__main__":
    main()
