"""API keys: made, listed, rotated, revoked and recognised, and how often each asked.

Belongs here: the file that they are kept in. Only a hash of each secret is: who reads the file cannot use it. What a
key may do is in `scopes`.

A key reads `lh_<id>_<secret>`: the id finds the row, the secret is 256 random bits, so a plain hash of it is safe.
"""

import hashlib
import hmac
import json
import secrets
import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any

from runtime.errors import UsageError
from runtime.settings import Settings
from serving.access.scopes import Scopes, parse_scopes
from serving.access.scram import scram_verifier

PREFIX = "lh"
_SCHEMA = """CREATE TABLE IF NOT EXISTS api_keys (
    key_id TEXT PRIMARY KEY, name TEXT NOT NULL, secret_sha256 TEXT NOT NULL, scopes TEXT NOT NULL,
    requests_a_second REAL NOT NULL, created_at TEXT NOT NULL, expires_at TEXT, revoked_at TEXT
)"""
_USAGE = """CREATE TABLE IF NOT EXISTS key_usage (
    key_id TEXT NOT NULL, day TEXT NOT NULL, request_count INTEGER NOT NULL, refused_count INTEGER NOT NULL,
    PRIMARY KEY (key_id, day)
)"""
# who asked by a token of the identity provider has no row among the keys
_USERS = "CREATE TABLE IF NOT EXISTS oidc_users (key_id TEXT PRIMARY KEY, name TEXT NOT NULL)"
_VERIFIERS = "CREATE TABLE IF NOT EXISTS postgres_verifiers (key_id TEXT PRIMARY KEY, verifier TEXT NOT NULL)"


@dataclass(frozen=True)
class ApiKey:
    """A key as it is known here; times in UTC. `requests_a_second` is the rate of its token bucket."""

    key_id: str
    name: str
    scopes: Scopes
    requests_a_second: float
    created_at: datetime
    expires_at: datetime | None
    revoked_at: datetime | None

    def is_valid(self, now: datetime) -> bool:
        """False once it was revoked or has expired."""
        return self.revoked_at is None and (self.expires_at is None or now < self.expires_at)


class ApiKeys:
    """The keys of a home."""

    def __init__(self, settings: Settings) -> None:
        self._path = keys_path(settings)

    def create(self, name: str, scopes: Scopes, now: datetime, *, requests_a_second: float = 50.0,
               expires_at: datetime | None = None) -> tuple[str, str]:  # fmt: skip
        """A new key: its id, and the key itself, which is told only now. Raises UsageError for a name that is taken."""
        with self._opened() as database:
            if database.execute("SELECT 1 FROM api_keys WHERE name = ? AND revoked_at IS NULL", [name]).fetchone():
                raise UsageError(f"There is a key {name!r} already: revoke it, or give this one another name.")
            made = ApiKey("", name, scopes, requests_a_second, now, expires_at, None)
            return _insert(database, made)

    def rotate(self, name_or_id: str, now: datetime, overlap: timedelta) -> tuple[str, str]:
        """A new key in place of one, which holds for the `overlap` on; its id and the key itself, told only now.

        It has the name, scopes, rate and end of the one before. Raises UsageError when there is none that holds.
        """
        with self._opened() as database:
            found = database.execute(
                "SELECT * FROM api_keys WHERE (key_id = ? OR name = ?) AND revoked_at IS NULL"
                " ORDER BY created_at DESC, rowid DESC LIMIT 1",
                [name_or_id, name_or_id],
            ).fetchone()
            old = None if found is None else _key(found)
            if old is None or not old.is_valid(now):
                raise UsageError(f"There is no key {name_or_id!r} that holds: `lakehouse keys list` names those.")
            ends_at = now + overlap if old.expires_at is None else min(now + overlap, old.expires_at)
            database.execute("UPDATE api_keys SET expires_at = ? WHERE key_id = ?", [ends_at.isoformat(), old.key_id])
            return _insert(database, replace(old, created_at=now))

    def count_requests(self, day: date, counts: Mapping[str, tuple[int, int]], users: Mapping[str, str]) -> None:
        """Add requests of a day: by key, how many it made and how many of those were refused; `users` are the names of
        those who have none, but a token of the identity provider."""
        with self._opened() as database:
            database.executemany("INSERT OR REPLACE INTO oidc_users VALUES (?, ?)", list(users.items()))
            database.executemany(
                "INSERT INTO key_usage VALUES (?, ?, ?, ?) ON CONFLICT (key_id, day) DO UPDATE SET"
                " request_count = request_count + excluded.request_count,"
                " refused_count = refused_count + excluded.refused_count",
                [(key_id, day.isoformat(), *each) for key_id, each in counts.items()],
            )

    def usage_since(self, first: date) -> list[dict[str, Any]]:
        """Requests by key or user and UTC day from a day on: key_id, name, day, request_count, refused_count."""
        with self._opened() as database:
            found = database.execute(
                "SELECT u.key_id, coalesce(k.name, o.name, '') AS name, day, request_count, refused_count"
                " FROM key_usage AS u LEFT JOIN api_keys AS k USING (key_id) LEFT JOIN oidc_users AS o USING (key_id)"
                " WHERE day >= ? ORDER BY day, 2, u.key_id",
                [first.isoformat()],
            )
            return [dict(row) for row in found]

    def with_verifiers(self, now: datetime) -> list[tuple[ApiKey, str]]:
        """The keys that hold, each with what PostgreSQL checks it by."""
        with self._opened() as database:
            verifiers = dict(database.execute("SELECT key_id, verifier FROM postgres_verifiers").fetchall())
        keys = [key for key in self.list_all() if key.is_valid(now)]
        return [(key, verifiers[key.key_id]) for key in keys if key.key_id in verifiers]

    def list_all(self) -> list[ApiKey]:
        """Every key, the oldest first."""
        with self._opened() as database:
            return [_key(row) for row in database.execute("SELECT * FROM api_keys ORDER BY created_at, key_id")]

    def revoke(self, name_or_id: str, now: datetime) -> str:
        """Refuse a key from now on, by its name also the one that it was rotated from; returns its id.

        Raises UsageError when there is none.
        """
        with self._opened() as database:
            found = database.execute(
                "SELECT key_id FROM api_keys WHERE (key_id = ? OR name = ?) AND revoked_at IS NULL"
                " ORDER BY created_at DESC, rowid DESC",
                [name_or_id, name_or_id],
            ).fetchone()
            if found is None:
                raise UsageError(f"There is no key {name_or_id!r} that holds: `lakehouse keys list` names those.")
            database.execute(
                "UPDATE api_keys SET revoked_at = ? WHERE (key_id = ? OR name = ?) AND revoked_at IS NULL",
                [now.isoformat(), name_or_id, name_or_id],
            )
        return str(found[0])

    def recognised(self, key: str, now: datetime) -> ApiKey | None:
        """The key that this text is; None for one that is wrong, revoked or expired."""
        parts = key.split("_", 2)
        if len(parts) != 3 or parts[0] != PREFIX:
            return None
        with self._opened() as database:
            row = database.execute("SELECT * FROM api_keys WHERE key_id = ?", [parts[1]]).fetchone()
        if row is None or not hmac.compare_digest(row["secret_sha256"], _hash(parts[2])):
            return None
        found = _key(row)
        return found if found.is_valid(now) else None

    @contextmanager
    def _opened(self) -> Iterator[sqlite3.Connection]:
        self._path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        database = sqlite3.connect(self._path, timeout=10, isolation_level=None)
        try:
            database.row_factory = sqlite3.Row
            database.execute("PRAGMA journal_mode = WAL")
            database.execute(_SCHEMA)
            database.execute(_VERIFIERS)
            database.execute(_USAGE)
            database.execute(_USERS)
            database.execute("BEGIN")
            yield database
            database.execute("COMMIT")
        finally:
            database.close()


def keys_path(settings: Settings) -> Path:
    """Where the keys of a home are kept."""
    return settings.home / "serving" / "keys.sqlite"


def _insert(database: sqlite3.Connection, key: ApiKey) -> tuple[str, str]:
    """Store a key with an id and a secret of its own; both, the secret as the whole key."""
    key_id, secret = secrets.token_hex(6), secrets.token_urlsafe(32).replace("_", "-")
    grants = json.dumps([str(grant) for grant in key.scopes.grants])
    times = [key.created_at.isoformat(), key.expires_at and key.expires_at.isoformat(), None]
    row = [key_id, key.name, _hash(secret), grants, key.requests_a_second, *times]
    database.execute("INSERT INTO api_keys VALUES (?, ?, ?, ?, ?, ?, ?, ?)", row)
    text = f"{PREFIX}_{key_id}_{secret}"
    verifier = scram_verifier(text, secrets.token_bytes(16))
    database.execute("INSERT INTO postgres_verifiers VALUES (?, ?)", [key_id, verifier])
    return key_id, text


def _hash(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()


def _key(row: sqlite3.Row) -> ApiKey:
    def moment(name: str) -> datetime | None:
        return None if row[name] is None else datetime.fromisoformat(row[name])

    return ApiKey(
        key_id=row["key_id"],
        name=row["name"],
        scopes=parse_scopes(json.loads(row["scopes"])),
        requests_a_second=row["requests_a_second"],
        created_at=datetime.fromisoformat(row["created_at"]),
        expires_at=moment("expires_at"),
        revoked_at=moment("revoked_at"),
    )
