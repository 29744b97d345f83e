"""The layout of the copy: schemas, the readers' role, a store of copies, and views that are as they are declared.

Belongs here: bringing a database to what `postgres_tables` and `ready_views` say. Rows are `publication_copy`'s.
"""

from collections.abc import Iterable, Mapping, Sequence

import psycopg
from psycopg import Connection, errors

from lake.models.catalog import Model
from lake.reading.comforts import WIDE
from runtime.errors import PlatformError
from serving.bi.postgres_tables import CONTROL, CONTROL_TABLES, NEWEST, READERS, View, table_views, wide_views
from serving.bi.ready_views import READY, READY_VIEWS

GOLD = "gold"
_SCHEMAS = {
    GOLD: "Published gold, as the newest publication has it",
    WIDE: "Published gold with a column a metric",
    READY: "Questions that a dashboard begins with",
}
_OLDEST_VERSION = 160000


def run(connection: Connection, statement: str, values: Sequence[object] | None = None) -> psycopg.Cursor:
    """Run SQL that this package has made of its declarations."""
    return connection.execute(statement.encode(), values)


def prepare(connection: Connection) -> None:
    """Schemas and the readers' role, once. Raises PlatformError for a database that is not fit, or not ours alone."""
    if connection.info.server_version < _OLDEST_VERSION:
        raise PlatformError("This PostgreSQL is older than version 16: give a newer one by LAKEHOUSE_POSTGRES.")
    with connection.transaction():
        there = {name for (name,) in run(connection, "SELECT nspname FROM pg_namespace")}
        if CONTROL in there:
            return
        foreign = sorted(there & set(_SCHEMAS))
        if foreign:
            raise PlatformError(
                f"The database has a schema {foreign[0]} that is not the lakehouse's: give a database of its own."
            )
        run(connection, CONTROL_TABLES)
        if not run(connection, "SELECT 1 FROM pg_roles WHERE rolname = %s", [READERS]).fetchone():
            run(connection, f"CREATE ROLE {READERS} NOLOGIN")
        database = connection.info.dbname.replace('"', '""')
        run(connection, f'GRANT CONNECT ON DATABASE "{database}" TO {READERS}')
        for schema, comment in _SCHEMAS.items():
            make_schema(connection, schema, comment)
        # who owns the copy sees all of it
        run(connection, f"INSERT INTO {CONTROL}.readers VALUES (current_user, NULL, NULL)")


def make_schema(connection: Connection, schema: str, comment: str) -> None:
    """A schema whose views readers may name."""
    run(connection, f"CREATE SCHEMA {schema}")
    run(connection, f"COMMENT ON SCHEMA {schema} IS '{comment}'")
    run(connection, f"GRANT USAGE ON SCHEMA {schema} TO {READERS}")


def declared_views(store: str, models: Iterable[Model]) -> dict[str, str]:
    """The statement of every view that follows the newest publication, by name, each after those that it reads."""
    views: list[View] = [*table_views(GOLD, store, NEWEST), *wide_views(models), *READY_VIEWS]
    return {view.name: view.statement for view in views}


def made_views(connection: Connection) -> dict[str, str]:
    """The statements that the views there were made by."""
    return dict(run(connection, f"SELECT name, statement FROM {CONTROL}.views").fetchall())


def make_views(connection: Connection, wanted: Mapping[str, str]) -> None:
    """Let the views be those wanted; ones that are as they should be are not touched, so nobody waits for them.

    Raises PlatformError when somebody's own view stands on one that changes its columns.
    """
    made = made_views(connection)
    changed = {name: statement for name, statement in wanted.items() if made.get(name) != statement}
    gone = [name for name in made if name not in wanted]
    if not changed and not gone:
        return
    try:
        with connection.transaction():
            _replace(connection, changed, gone)
    except errors.InvalidTableDefinition:
        # columns that were renamed, moved or left out
        _make_anew(connection, wanted, list(made))
    run(connection, f"DELETE FROM {CONTROL}.views")
    names, statements = list(wanted), list(wanted.values())
    run(connection, f"INSERT INTO {CONTROL}.views SELECT * FROM unnest(%s::text[], %s::text[])", [names, statements])


def _replace(connection: Connection, changed: Mapping[str, str], gone: Sequence[str]) -> None:
    _drop(connection, gone)
    for statement in changed.values():
        run(connection, statement.replace("CREATE VIEW", "CREATE OR REPLACE VIEW", 1))


def _make_anew(connection: Connection, wanted: Mapping[str, str], made: Sequence[str]) -> None:
    _drop(connection, made)
    for statement in wanted.values():
        run(connection, statement)


def _drop(connection: Connection, names: Sequence[str]) -> None:
    try:
        for name in reversed(names):
            run(connection, f"DROP VIEW IF EXISTS {name}")
    except errors.DependentObjectsStillExist as error:
        raise PlatformError(
            f"The columns of {name} change, and something of yours stands on it ({error.diag.message_detail}): drop "
            "that, and make it again after the next copy."
        ) from error
