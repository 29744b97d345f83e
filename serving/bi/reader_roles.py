"""Reader roles: a role in PostgreSQL for each API key that may read, with the key as its password.

Belongs here: making and dropping them. What a role sees of gold follows from its row in `readers`, which the views ask
at each question; what keys there are is in `serving.access`.
"""

from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime

from psycopg import Connection, errors, sql

from serving.access.api_keys import PREFIX, ApiKeys
from serving.access.tenant_sites import TenantSites
from serving.bi.postgres_layout import run
from serving.bi.postgres_tables import CONTROL, READERS

_DEFAULTS = {"default_transaction_read_only": "on", "search_path": "gold, ready, wide"}


@dataclass(frozen=True)
class Reader:
    """A role, the sites that it sees (None for all), and what its password is checked by."""

    role: str
    sites: tuple[str, ...] | None
    verifier: str


def readers_of(keys: ApiKeys, tenants: TenantSites, now: datetime) -> list[Reader]:
    """The readers that there should be: a role is called as its key begins, `lh_<id>`."""
    return [
        Reader(f"{PREFIX}_{key.key_id}", key.scopes.sites("read", tenants), verifier)
        for key, verifier in keys.with_verifiers(now)
        if key.scopes.allows("read")
    ]


def sync_readers(connection: Connection, wanted: Iterable[Reader]) -> None:
    """Let the roles be those wanted; who is dropped is disconnected. Other roles are left as they are."""
    rows = run(connection, f"SELECT role, sites, verifier FROM {CONTROL}.readers WHERE verifier IS NOT NULL")
    there = {Reader(role, None if sites is None else tuple(sites), verifier) for role, sites, verifier in rows}
    wished = set(wanted)
    names = {reader.role for reader in wished}
    for reader in sorted(there - wished, key=lambda each: each.role):
        if reader.role not in names:
            _drop(connection, reader.role)
    for reader in sorted(wished - there, key=lambda each: each.role):
        with connection.transaction():
            _make(connection, reader)


def _make(connection: Connection, reader: Reader) -> None:
    role = sql.Identifier(reader.role)
    is_there = run(connection, "SELECT 1 FROM pg_roles WHERE rolname = %s", [reader.role]).fetchone()
    verb = sql.SQL("ALTER" if is_there else "CREATE")
    login = sql.SQL("{} ROLE {} LOGIN CONNECTION LIMIT 20 PASSWORD {}").format(verb, role, sql.Literal(reader.verifier))
    connection.execute(login)
    connection.execute(sql.SQL("GRANT {} TO {}").format(sql.Identifier(READERS), role))
    for name, value in _DEFAULTS.items():
        values = sql.SQL(", ").join(map(sql.Literal, value.split(", ")))
        connection.execute(sql.SQL("ALTER ROLE {} SET {} = {}").format(role, sql.Identifier(name), values))
    said: Sequence[object] = [reader.role, None if reader.sites is None else list(reader.sites), reader.verifier]
    run(connection, f"DELETE FROM {CONTROL}.readers WHERE role = %s", [reader.role])
    run(connection, f"INSERT INTO {CONTROL}.readers VALUES (%s, %s, %s)", said)


def _drop(connection: Connection, role: str) -> None:
    with connection.transaction():
        run(connection, f"DELETE FROM {CONTROL}.readers WHERE role = %s", [role])
        connection.execute(sql.SQL("ALTER ROLE {} NOLOGIN").format(sql.Identifier(role)))
    run(connection, "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = %s", [role])
    # one that owns something stays, and cannot connect
    with suppress(errors.DependentObjectsStillExist), connection.transaction():
        connection.execute(sql.SQL("DROP ROLE {}").format(sql.Identifier(role)))
