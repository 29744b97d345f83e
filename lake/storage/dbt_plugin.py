"""The dbt-duckdb plugin: lets dbt's connection read the lake.

Belongs here: what dbt needs to be given the connection of `lake.storage.duckdb_connection`. dbt/profiles.yml names
this module.
"""

import duckdb
from dbt.adapters.duckdb.plugins import BasePlugin

from lake.storage.duckdb_connection import configure
from runtime.settings import load_settings


class Plugin(BasePlugin):
    """dbt-duckdb looks for a class of this name."""

    def configure_connection(self, conn: duckdb.DuckDBPyConnection) -> None:
        """Called once a database; raises PlatformError when an extension is missing."""
        configure(conn, load_settings())

    def configure_cursor(self, cursor: duckdb.DuckDBPyConnection) -> None:
        """A cursor does not inherit the session's time zone."""
        cursor.execute("SET TimeZone = 'UTC'")
