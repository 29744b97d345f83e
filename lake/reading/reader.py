"""Queries: SQL over the lake's tables, gold as it is published.

Belongs here: which version of a table a reader sees, the views that say so, and refusing SQL that is more than reading.
How a result is printed belongs in the command; what Delta and DuckDB need to meet is in `duckdb_connection`.

Views are made when SQL first names their table, so that a question about one table opens one log.
"""

import difflib
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import duckdb

from lake.models.catalog import Model, silver_tables
from lake.reading.allowed_functions import check_calls, check_pivot
from lake.reading.comforts import WIDE, Comfort, comforts, described
from lake.reading.memory_copies import Keeper
from lake.reading.silent_hours import completeness_source
from lake.records import publications
from lake.records.publications import Publication
from lake.sql_text import quoted
from lake.storage.delta import version_of
from lake.storage.duckdb_connection import connect
from lake.storage.locations import table_uri
from lake.tables.contracts import Table
from lake.tables.every import FIXED_TABLES
from lake.tables.gold import DEVICE_COMPLETENESS, GOLD_TABLES
from runtime.errors import QueryError
from runtime.settings import Settings

LAYERS = ("gold", "silver", "bronze", "ops")

_GOLD = tuple(table.name for table in GOLD_TABLES)
# such SQL names no table and shows them all
_CATALOG = re.compile(r"\b(show|information_schema|duckdb_(tables|views|columns)|pragma|sqlite_master)\b", re.I)
_EXPLAIN = re.compile(r"\s*EXPLAIN\b\s*(?:ANALYZE\b\s*)?(?:\([^()]*\)\s*)?", re.I)
_MISSING_TABLE = re.compile(r"Table with name (\S+) does not exist")


@dataclass
class Reader:
    """A connection that reads the lake and nothing else, and the publication by which it sees gold.

    With `is_past` silver is seen as that publication was built from it; else silver, like bronze and ops always, is
    seen as it is when a query runs.
    """

    connection: duckdb.DuckDBPyConnection
    settings: Settings
    publication: Publication | None
    declared: Mapping[str, Table]
    comforts: Mapping[str, Comfort]
    is_past: bool = False
    keeper: Keeper | None = None
    _made: dict[str, str] = field(default_factory=dict)

    @property
    def tables(self) -> tuple[str, ...]:
        """The names of all tables that may be there, gold's first."""
        return tuple(self.declared)

    def statements(self, sql: str) -> list[str]:
        """The statements of `sql`, each of which only reads. Raises QueryError."""
        try:
            parsed = self.connection.extract_statements(sql)
        except duckdb.Error as error:
            raise _query_error(error) from error
        if any(not statement.query for statement in parsed):
            return [self._pivot(sql, parsed)]
        for statement in parsed:
            self._check(statement)
        return [statement.query.strip().rstrip(";") for statement in parsed]

    def run(self, statement: str) -> duckdb.DuckDBPyConnection:
        """Run one of `statements`; the result has `description` and `fetchmany`. Raises QueryError."""
        self._make_views(statement)
        with self._explaining():
            return self.connection.execute(described(statement, self.declared, self.comforts))

    def save(self, statement: str, path: Path) -> None:
        """Write the result of one of `statements` to the Parquet file that the reader was opened for."""
        self._make_views(statement)
        with self._explaining():
            self.connection.sql(statement).write_parquet(str(path), compression="zstd")

    def mentioned(self, sql: str) -> list[str]:
        """The tables whose names occur in `sql`, with or without their layer, or that a comfort in it reads."""
        words = set(re.findall(r"\w+", sql.lower()))
        every = _CATALOG.search(sql) is not None
        read = {name for comfort in self._comforts_in(sql) for name in comfort.needs}
        return [name for name in self.tables if every or name in read or name.split(".")[1] in words]

    def existing(self) -> list[str]:
        """The tables that can be read now."""
        return [name for name in self.tables if self._exists(name)]

    def offered(self) -> list[str]:
        """What SQL can name now: the tables, then the views and macros that read them."""
        existing = self.existing()
        return existing + [each.name for each in self.comforts.values() if set(each.needs) <= set(existing)]

    def _check(self, statement: duckdb.Statement) -> None:
        kind = statement.type.name
        if kind == "EXPLAIN":
            self._check_explained(statement.query)
        elif kind != "SELECT":
            raise QueryError(
                f"{kind.replace('_', ' ')} is refused: `lakehouse sql` only reads (SELECT, WITH, FROM, VALUES, "
                "DESCRIBE, SHOW, SUMMARIZE, EXPLAIN). To keep a result give --output FILE."
            )
        else:
            check_calls(self.connection, statement.query)

    def _check_explained(self, statement: str) -> None:
        """EXPLAIN ANALYZE runs what it explains, so that must be reading too."""
        start = _EXPLAIN.match(statement)
        if start is None or not self.statements(statement[start.end() :]):
            raise QueryError("This EXPLAIN cannot be told from one that writes: begin with EXPLAIN and one statement.")

    def _pivot(self, sql: str, parsed: Sequence[duckdb.Statement]) -> str:
        """PIVOT without a list of values parses into a type without a text of its own and the SELECT that uses it."""
        if [statement.type.name for statement in parsed] != ["CREATE", "SELECT"]:
            raise QueryError("Give a PIVOT without IN as a statement of its own.")
        check_pivot(self.connection, sql)
        return sql.strip().rstrip(";")

    def _make_views(self, sql: str) -> None:
        # a look at the catalog names all tables and asks none
        keeper = None if _CATALOG.search(sql) else self.keeper
        for name in self.mentioned(sql):
            copy = keeper.source(name) if keeper else None
            made = self._made.get(name)
            if copy not in (None, made) or (made is None and self._exists(name)):
                self._make_view(name, copy)
            # a copy has the stored rows, of completeness not those of silent hours
            if keeper and name in _GOLD and name in self._made and not self._made[name].startswith("("):
                keeper.keep(name, self._pinned()[name], self._made[name])

        for comfort in self._comforts_in(sql):
            if comfort.name not in self._made and all(name in self._made for name in comfort.needs):
                self.connection.execute(comfort.statement)
                self._made[comfort.name] = comfort.statement

    def _comforts_in(self, sql: str) -> list[Comfort]:
        words = set(re.findall(r"\w+", sql.lower()))
        return [each for word, each in self.comforts.items() if word in words or _CATALOG.search(sql)]

    def _make_view(self, name: str, copy: str | None) -> None:
        try:
            source = copy or self._readable(name)
            self.connection.execute(f"CREATE OR REPLACE VIEW {name} AS FROM {source}")
        except duckdb.Error as error:
            raise QueryError(f"{name} cannot be read: {_first_lines(error)}") from error
        self._made[name] = source

    def _exists(self, name: str) -> bool:
        return name in self._pinned() or (name not in _GOLD and version_of(self.settings, name) is not None)

    def _readable(self, name: str) -> str:
        if name == DEVICE_COMPLETENESS.name:
            return completeness_source(self.settings, self._pinned(), self._source)
        return self._source(name)

    def _source(self, name: str) -> str:
        """What to read; a table at a version is attached, so that its log is read once and not in every query."""
        uri, version = table_uri(self.settings, name), self._pinned().get(name)
        if version is None:
            return f"delta_scan({quoted(uri)})"
        catalog = f'"{name} at {version}"'
        # it may be there from an attempt that then could not read it; hidden, since the view stands for it
        how = f"TYPE delta, VERSION {version}, HIDDEN"
        self.connection.execute(f"ATTACH IF NOT EXISTS {quoted(uri)} AS {catalog} ({how})")
        return catalog

    def _pinned(self) -> Mapping[str, int]:
        if self.publication is None:
            return {}
        return {**self.publication.tables, **(self.publication.inputs if self.is_past else {})}

    @contextmanager
    def _explaining(self) -> Iterator[None]:
        try:
            yield
        except duckdb.Error as error:
            raise self._explained(error) from error
        except RuntimeError as error:
            if "interrupted" not in str(error):
                raise
            # so DuckDB tells of Ctrl-C; it lets the query go on in the background, and the next one wait for it
            self.connection.interrupt()
            raise KeyboardInterrupt from error

    def _explained(self, error: duckdb.Error) -> QueryError:
        """What DuckDB says, and for a table that is not there what is or what to do."""
        missing = _MISSING_TABLE.search(str(error))
        if missing is None:
            return _query_error(error)
        name = missing.group(1).strip('"')
        declared = [table for table in self.tables if table.split(".")[1] == name and table not in self._made]
        if any(table in _GOLD for table in declared):
            number = None if self.publication is None else self.publication.publication_id
            what = "Nothing has been published yet" if number is None else f"Publication {number} does not have it"
            return QueryError(
                f"There is no gold.{name}. {what}: `lakehouse refresh` ingests what waits and publishes it."
            )
        if declared:
            return QueryError(f"{declared[0]} has not been written yet: `lakehouse ingest` fills bronze and silver.")
        shorts = [table.split(".")[1] for table in self.tables]
        near = difflib.get_close_matches(name, shorts, n=1)
        meant = [table for table, short in zip(self.tables, shorts, strict=True) if short in near]
        hint = f"Did you mean {' or '.join(meant)}? " if meant else ""
        return QueryError(f"There is no table {name}. {hint}There are: {', '.join(self.existing()) or 'none yet'}.")


@contextmanager
def open_reader(
    settings: Settings,
    models: Mapping[str, Model],
    *,
    as_of: int | None = None,
    output: Path | None = None,
    shows_progress: bool = False,
    stays_open: bool = False,
) -> Iterator[Reader]:
    """A reader of the lake as the newest publication shows it, or the publication `as_of`.

    Tables without a layer are looked for in gold. SQL can reach no file but the lake's and, to write it, `output`.
    With `shows_progress` a long query draws a bar on the terminal. One that `stays_open` copies the gold that is asked
    into memory, for the next questions. Raises UsageError for a publication that there is not, PlatformError when
    DuckDB cannot be set up.
    """
    publication = publications.newest(settings) if as_of is None else publications.get(settings, as_of)
    tables = {table.name: table for table in FIXED_TABLES} | silver_tables(models.values())
    ordered = {name: tables[name] for name in sorted(tables, key=lambda name: (LAYERS.index(name.split(".")[0]), name))}
    with ExitStack() as closing:
        connection = closing.enter_context(connect(settings))
        keeper = Keeper(connection, settings, settings.sql_memory_mb * 10**6) if stays_open else None
        if keeper is not None:
            closing.callback(keeper.close)
        _shut_in(connection, settings, output, shows_progress)
        offered = comforts(models.values())
        yield Reader(connection, settings, publication, ordered, offered, is_past=as_of is not None, keeper=keeper)


def _shut_in(connection: duckdb.DuckDBPyConnection, settings: Settings, output: Path | None, is_shown: bool) -> None:
    """Let SQL reach the lake's files and `output` alone, and change none of this."""
    values = {
        "search_path": "'gold'",
        # by default what does not fit in memory goes to a folder where the command runs
        # or a name that is no table's would be looked for among the variables of this program
        "python_enable_replacements": "false",
        "temp_directory": quoted(str(settings.work_folder / "sql")),
        "enable_progress_bar": str(is_shown).lower(),
        "allowed_directories": f"[{quoted(settings.lake_uri + '/')}]",
        "allowed_paths": f"[{'' if output is None else quoted(str(output))}]",
        "enable_external_access": "false",
        "lock_configuration": "true",
    }
    for layer in (*LAYERS, WIDE):
        connection.execute(f"CREATE SCHEMA {layer}")
    for name, value in values.items():
        # not as parameters: binding one imports pandas, which takes longer than a small query
        connection.execute(f"SET {name} = {value}")


def _query_error(error: duckdb.Error) -> QueryError:
    return QueryError(f"DuckDB: {_first_lines(error)}")


def _first_lines(error: duckdb.Error) -> str:
    """DuckDB's message without the picture of the place."""
    return " ".join(str(error).split("\n\n")[0].split())
