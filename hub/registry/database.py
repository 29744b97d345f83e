"""The registry's database: one writer thread with group commit, and readers beside it.

Belongs here: connections, transactions, durability, the schema's version. What is written belongs in the other modules
of this package, as functions of a `Tx` that are given to `Database.write`.
"""

import logging
import queue
import secrets
import threading
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple, TypeVar

from sqlalchemy import Connection, Engine, create_engine, event, insert, inspect, select, text
from sqlalchemy.exc import DataError, DBAPIError

from hub.hub_errors import HubCode, HubError
from hub.registry.moments import micros_of
from hub.registry.registry_tables import FACTS, LEASES, METADATA, SCHEMA_VERSION
from runtime.containment import Contained
from runtime.errors import LakehouseError, PlatformError

T = TypeVar("T")


class Tx(NamedTuple):
    """A transaction that is under way, and its moment in microseconds: every change in it happens then."""

    connection: Connection
    now: int


Work = Callable[[Tx], T]

GROUP = 500
"""So many pieces of work at most share one commit."""

_WRITERS = 0x1A4E  # the advisory lock that orders the commits of several hub processes in PostgreSQL
_log = logging.getLogger(__name__)


@dataclass(slots=True)
class _Piece:
    work: Work[Any]
    done: Future[Any]


class _GivenUpError(Exception):
    """A piece of a group failed, and the group with it."""


_Outcome = tuple[Any, BaseException | None]
_Ended = tuple[_Piece, Any, BaseException | None]


class Database:
    """A registry at `url` (`sqlite:///…` or `postgresql+psycopg://…`), made or checked when it is opened.

    Raises PlatformError when it cannot be opened or was written by a newer program.
    """

    def __init__(
        self, url: str, clock: Callable[[], datetime], after_commit: Callable[[], None] = lambda: None
    ) -> None:
        self.url = url
        self._clock = clock
        self._after_commit = after_commit
        self._reads = _engine(url, is_writer=False)
        self._writes = _engine(url, is_writer=True)
        try:
            with self._writes.begin() as connection:
                _bring_up(connection)
        except DBAPIError as error:
            raise PlatformError(f"The registry at {_shown(url)} cannot be opened: {error.orig}.") from error
        self._pieces: queue.SimpleQueue[_Piece | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._commit_groups, name="registry-writer", daemon=True)
        self._thread.start()

    def read(self, work: Work[T]) -> T:
        """Run `work` on what is committed; from any thread.

        Raises HubError for a value that the database cannot hold, PlatformError when it cannot be read.
        """
        with self._reads.connect() as connection:
            try:
                return work(self._tx(connection))
            except DBAPIError as error:
                raise _explained(error, "be read") from error

    def write(self, work: Work[T]) -> Future[T]:
        """Have `work` run by the writer; the future ends once it is on disk, or with what `work` raised."""
        piece = _Piece(work, Future())
        self._pieces.put(piece)
        return piece.done

    def close(self) -> None:
        """Commit what was given so far and end."""
        self._pieces.put(None)
        self._thread.join()
        self._reads.dispose()
        self._writes.dispose()

    def _run_group(self, group: list[_Piece], run: Callable[[Tx, Work[Any]], _Outcome]) -> list[_Ended] | None:
        """Run and commit a group; None, and nothing done, when `run` gives it up."""
        try:
            with self._writes.begin() as connection:
                if connection.dialect.name == "postgresql":
                    connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _WRITERS})
                return [(piece, *run(self._tx(connection), piece.work)) for piece in group]
        except _GivenUpError:
            return None

    def _tx(self, connection: Connection) -> Tx:
        return Tx(connection, micros_of(self._clock()))

    def _commit_groups(self) -> None:
        is_open = True
        while is_open:
            group: list[_Piece] = []
            piece = self._pieces.get()
            while piece is not None:
                group.append(piece)
                if len(group) == GROUP or self._pieces.empty():
                    break
                piece = self._pieces.get()
            is_open = piece is not None
            # one that nobody waits for any more is not run; from here on none can be given up
            group = [each for each in group if each.done.set_running_or_notify_cancel()]
            if group:
                self._commit(group)

    def _commit(self, group: list[_Piece]) -> None:
        ended: list[_Ended] = []
        try:
            # a savepoint for each costs as much as its work: only when one of them fails is the group run again, apart
            ended = self._run_group(group, _run) or self._run_group(group, _run_apart) or []
        except Exception as error:  # noqa: BLE001  whoever waits gets it, and the thread goes on with the next
            reason = error.orig if isinstance(error, DBAPIError) else error
            _log.warning("The registry could not commit: %s", reason)
            for piece in group:
                piece.done.set_exception(PlatformError(f"The registry could not commit: {reason}."))
            return
        for piece, result, error_raised in ended:
            if error_raised is None:
                piece.done.set_result(result)
            else:
                piece.done.set_exception(error_raised)
        with Contained(_log, "Telling of a commit"):
            self._after_commit()


def _run(tx: Tx, work: Work[Any]) -> _Outcome:
    try:
        return work(tx), None
    except Exception as error:
        raise _GivenUpError from error


def _run_apart(tx: Tx, work: Work[Any]) -> _Outcome:
    savepoint = tx.connection.begin_nested()
    try:
        result = work(tx)
    except DBAPIError as error:
        if _is_undone(tx.connection):
            raise
        savepoint.rollback()
        return None, _explained(error, "commit")
    except Exception as error:  # noqa: BLE001  whoever waits for the work gets it
        savepoint.rollback()
        return None, error
    savepoint.commit()
    return result, None


def _is_undone(connection: Connection) -> bool:
    """True when SQLite has rolled the whole transaction back, as it does on a full disk: no savepoint is left."""
    raw: Any = connection.connection.driver_connection
    return connection.dialect.name == "sqlite" and not raw.in_transaction


def _explained(error: DBAPIError, what: str) -> LakehouseError:
    if isinstance(error, DataError):
        return HubError(HubCode.ArgumentInvalid, f"The registry cannot hold a value: {error.orig}.")
    return PlatformError(f"The registry could not {what}: {error.orig}.")


def _engine(url: str, is_writer: bool) -> Engine:
    if not url.startswith("sqlite"):
        return create_engine(url, pool_size=1 if is_writer else 8, pool_pre_ping=True)
    engine = create_engine(url, pool_size=1 if is_writer else 8, max_overflow=16)
    begin = "BEGIN IMMEDIATE" if is_writer else "BEGIN"

    @event.listens_for(engine, "connect")
    def _connect(connection: Any, _record: Any) -> None:
        # sqlite3's own transactions begin too late for a reader and for a writer that first reads
        connection.isolation_level = None
        cursor = connection.cursor()
        for pragma in ("journal_mode=WAL", "synchronous=FULL", "busy_timeout=20000", "temp_store=MEMORY"):
            cursor.execute(f"PRAGMA {pragma}")
        cursor.close()

    @event.listens_for(engine, "begin")
    def _begin(connection: Connection) -> None:
        connection.exec_driver_sql(begin)

    return engine


def _bring_up(connection: Connection) -> None:
    if connection.dialect.name == "postgresql":
        connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _WRITERS})
    if not inspect(connection).has_table(FACTS.name):
        METADATA.create_all(connection)
        # the registry's own name makes its events' ids differ from those of another registry on the same broker
        facts = {"schema_version": str(SCHEMA_VERSION), "registry_id": f"registry-{secrets.token_hex(4)}"}
        connection.execute(insert(LEASES).values(name="outbox", owner="", renewals=0))
        connection.execute(insert(FACTS), [{"name": name, "value": value} for name, value in facts.items()])
    found = int(connection.execute(select(FACTS.c.value).where(FACTS.c.name == "schema_version")).scalar_one())
    if found > SCHEMA_VERSION:
        raise PlatformError(
            f"The registry at {_shown(str(connection.engine.url))} has schema {found} and this program knows "
            f"{SCHEMA_VERSION}: run the newer program that wrote it."
        )


def _shown(url: str) -> str:
    return url.rsplit("@", 1)[-1]
