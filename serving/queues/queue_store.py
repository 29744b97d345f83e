"""The queues' database: SQLite in WAL mode, changes in groups that reach the disk together.

Belongs here: the schema, units of work and the commit. What is written belongs in the other modules of this package,
which run inside a `unit`.

A commit is on disk (`synchronous=FULL`) before anybody is told of what it holds: whoever serves keeps its answers back
until `commit` has returned. The command writes to the same file beside the process, as SQLite lets it.
"""

import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from runtime.errors import FormatError, PlatformError
from runtime.private_files import ensure_home
from runtime.settings import Settings

SCHEMA_VERSION = 1
ACTIVE, DEFERRED, SCHEDULED = 0, 1, 2
_BUSY_MS = 5000
_SCHEMA = """
CREATE TABLE entities (
    path TEXT PRIMARY KEY, name TEXT NOT NULL, kind TEXT NOT NULL, topic TEXT, options TEXT NOT NULL,
    next_number INTEGER NOT NULL DEFAULT 1
);
CREATE TABLE rules (
    subscription TEXT NOT NULL, name TEXT NOT NULL, filter TEXT NOT NULL, PRIMARY KEY (subscription, name)
);
CREATE TABLE messages (
    queue TEXT NOT NULL, number INTEGER NOT NULL, state INTEGER NOT NULL, session TEXT, message_id TEXT,
    front BLOB NOT NULL, content BLOB NOT NULL, enqueued_ms INTEGER NOT NULL, visible_ms INTEGER, expires_ms INTEGER,
    deliveries INTEGER NOT NULL DEFAULT 0, lock BLOB, locked_ms INTEGER, source TEXT, PRIMARY KEY (queue, number)
);
CREATE INDEX messages_in_order ON messages (queue, state, number);
CREATE INDEX messages_of_session ON messages (queue, session, number) WHERE session IS NOT NULL;
CREATE UNIQUE INDEX messages_by_lock ON messages (lock) WHERE lock IS NOT NULL;
CREATE INDEX messages_scheduled ON messages (visible_ms) WHERE state = 2;
CREATE INDEX messages_that_expire ON messages (expires_ms) WHERE expires_ms IS NOT NULL;
CREATE INDEX messages_locked ON messages (locked_ms) WHERE locked_ms IS NOT NULL;
CREATE TABLE seen (
    queue TEXT NOT NULL, message_id TEXT NOT NULL, until_ms INTEGER NOT NULL, PRIMARY KEY (queue, message_id)
) WITHOUT ROWID;
CREATE INDEX seen_until ON seen (until_ms);
CREATE TABLE sessions (
    queue TEXT NOT NULL, session TEXT NOT NULL, state BLOB, lock BLOB, locked_ms INTEGER, PRIMARY KEY (queue, session)
) WITHOUT ROWID;
"""


def wall_ms() -> int:
    """The machine's clock."""
    return time.time_ns() // 1_000_000


class QueueStore:
    """The database at `path`, made when there is none. `touched` are the queues in which something may be received
    since who serves them looked last.

    Raises PlatformError when it cannot be opened, FormatError when a newer program wrote it.
    """

    def __init__(self, path: Path, clock: Callable[[], int] = wall_ms) -> None:
        self._clock, self._is_broken = clock, False
        self.touched: set[str] = set()
        try:
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            self.db = sqlite3.connect(path, isolation_level=None)
            self.db.row_factory = sqlite3.Row
            for pragma in ("journal_mode=WAL", "synchronous=FULL", f"busy_timeout={_BUSY_MS}"):
                self.db.execute(f"PRAGMA {pragma}")
            self._bring_up(path)
        except (sqlite3.Error, OSError) as error:
            raise PlatformError(f"The queues at {path} cannot be opened: {error}.") from error

    def now(self) -> int:
        """The moment, in milliseconds since 1970."""
        return self._clock()

    @contextmanager
    def unit(self) -> Iterator[None]:
        """Work that is done as a whole, or not at all when it raises; on disk only once `commit` is called."""
        if not self.db.in_transaction:
            self.db.execute("BEGIN IMMEDIATE")
        self.db.execute("SAVEPOINT unit")
        try:
            yield
        except BaseException:
            if self.db.in_transaction:
                self.db.execute("ROLLBACK TO unit")
                self.db.execute("RELEASE unit")
            else:
                # a full disk takes back all units since the last commit
                self._is_broken = True
            raise
        self.db.execute("RELEASE unit")

    def commit(self) -> None:
        """Put all units since the last commit on disk. Raises sqlite3.Error when they are not, and are forgotten."""
        if self._is_broken:
            raise sqlite3.OperationalError("the disk took nothing more")
        if self.db.in_transaction:
            self.db.execute("COMMIT")

    def roll_back(self) -> None:
        """Forget all units since the last commit."""
        self._is_broken = False
        if self.db.in_transaction:
            self.db.execute("ROLLBACK")

    def changes_of_others(self) -> int:
        """A number that changes when another process has written."""
        return int(self.db.execute("PRAGMA data_version").fetchone()[0])

    def close(self) -> None:
        """Without a commit."""
        self.roll_back()
        self.db.close()

    def _bring_up(self, path: Path) -> None:
        self.db.execute("BEGIN IMMEDIATE")
        found = int(self.db.execute("PRAGMA user_version").fetchone()[0])
        if found > SCHEMA_VERSION:
            raise FormatError(
                f"The queues at {path} have schema {found} and this program knows {SCHEMA_VERSION}: run the newer "
                "program that wrote them."
            )
        if found == 0:
            for statement in _SCHEMA.split(";"):
                self.db.execute(statement)
            self.db.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")
        self.db.execute("COMMIT")


def queues_path(settings: Settings) -> Path:
    """Where a home keeps its queues."""
    return settings.home / "queues" / "queues.db"


@contextmanager
def opened_store(settings: Settings) -> Iterator[QueueStore]:
    """The home's queues, for work that is committed at the end; a process that serves them hears of it at once."""
    ensure_home(settings)
    with closing(QueueStore(queues_path(settings))) as store:
        with store.unit():
            yield store
        store.commit()
