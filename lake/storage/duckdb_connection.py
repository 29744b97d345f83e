"""DuckDB: connections that read the lake's Delta tables.

Belongs here: extensions from the installed packages, the S3 secret, the session's settings, and how a pinned table is
scanned. What is asked of the tables belongs elsewhere; dbt gets the same connection through `lake.storage.dbt_plugin`.
"""

import importlib.util
from pathlib import Path

import duckdb

from lake.sql_text import Relation, quoted
from lake.storage.locations import duckdb_secret
from runtime.errors import PlatformError
from runtime.settings import Settings

# nothing is ever downloaded, and nothing is loaded from a user's home
_CONFIG = {
    "autoinstall_known_extensions": "false",
    "autoload_known_extensions": "false",
    # the packages were checked by their hashes when they were installed; checking 80 MB again takes half a second
    "allow_unsigned_extensions": "true",
}


def connect(settings: Settings, database: str = ":memory:", threads: int | None = None) -> duckdb.DuckDBPyConnection:
    """A connection to `database` that can read the lake; `threads` None takes all cores.

    Raises PlatformError when an extension is missing or does not fit this DuckDB, or the database cannot be opened.
    """
    try:
        connection = duckdb.connect(database, config=dict(_CONFIG))
    except duckdb.IOException as error:
        raise PlatformError(f"DuckDB cannot open {database}: {error}") from error
    configure(connection, settings)
    if threads is not None:
        connection.execute(f"SET threads = {int(threads)}")
    return connection


def configure(connection: duckdb.DuckDBPyConnection, settings: Settings) -> None:
    """Let a connection read the lake: extensions, UTC, and the secret for S3. Raises PlatformError."""
    # by default whatever takes longer than two seconds draws a bar on stdout, amid results
    connection.execute("SET enable_progress_bar = false")
    for name in ("delta", "httpfs") if settings.is_s3 else ("delta",):
        path = extension_path(name)
        try:
            connection.execute(f"LOAD {quoted(str(path))}")
        except duckdb.Error as error:
            raise PlatformError(f"DuckDB cannot load {path}: {error}. Install the requirements again.") from error
    # globally, since a cursor does not take on what is set for its connection alone
    connection.execute("SET GLOBAL TimeZone = 'UTC'")
    # otherwise EXPLAIN ANALYZE fails on predicates on two partition columns ("total_files inconsistent")
    connection.execute("SET delta_scan_explain_files_filtered = false")
    secret = duckdb_secret(settings)
    if secret is not None:
        connection.execute(secret)


def extension_path(name: str) -> Path:
    """The file of an extension in its installed package, for the DuckDB that is installed. Raises PlatformError."""
    spec = importlib.util.find_spec(f"duckdb_extension_{name}")
    if spec is None or spec.origin is None:
        raise PlatformError(f"The package duckdb-extension-{name} is not installed: install the requirements again.")
    path = Path(spec.origin).parent / "extensions" / f"v{duckdb.__version__}" / f"{name}.duckdb_extension"
    if not path.is_file():
        raise PlatformError(
            f"duckdb-extension-{name} does not fit DuckDB {duckdb.__version__}: install the same version of both."
        )
    return path


def scan(uri: str, version: int) -> Relation:
    """SQL for a Delta table at a version.

    Add predicates that compare the partition columns with constants (`=`, `between`): `IN`, `OR`, joins and timestamps
    skip no files.
    """
    return Relation(f"delta_scan({quoted(uri)}, version={int(version)})")
