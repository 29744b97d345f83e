"""PostgreSQL's tables and views of gold, from its declarations.

Belongs here: SQL text that makes them. A row of a stored table belongs to a copy of a slice; a view shows the copies of
one publication, and of them the rows of the sites that its reader may see. When they are made is for `postgres_layout`.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from lake.column_types import postgres_type
from lake.models.catalog import Model
from lake.reading.comforts import WIDE, comforts
from lake.sql_text import quoted, quoted_name, quoted_names
from lake.tables.contracts import Column, Table
from lake.tables.gold import CALENDAR, DEVICE_HOURS, GOLD_TABLES
from serving.access.seen_rows import may_span_sites

CONTROL = "lakehouse"
"""The schema of what this project keeps for itself."""
READERS = "lakehouse_readers"
"""The role that every reader is a member of."""
NEWEST = f"(SELECT max(publication_id) FROM {CONTROL}.publications)"

# PostgreSQL cuts longer names off
_LONGEST_NAME = 63

CONTROL_TABLES = f"""
CREATE SCHEMA IF NOT EXISTS {CONTROL};
CREATE TABLE IF NOT EXISTS {CONTROL}.publications (
    publication_id bigint PRIMARY KEY, published_at timestamptz NOT NULL, run_id text NOT NULL,
    first_slice text NOT NULL, last_slice text NOT NULL, store text NOT NULL,
    copied_at timestamptz NOT NULL DEFAULT now());
CREATE TABLE IF NOT EXISTS {CONTROL}.views (name text PRIMARY KEY, statement text NOT NULL);
CREATE TABLE IF NOT EXISTS {CONTROL}.stores (store text PRIMARY KEY, definition text NOT NULL);
CREATE TABLE IF NOT EXISTS {CONTROL}.readers (role name PRIMARY KEY, sites text[], verifier text);
COMMENT ON SCHEMA {CONTROL} IS 'Kept by the lakehouse for itself: read gold instead';
"""


@dataclass(frozen=True)
class View:
    """A view that readers have, `name` with its schema."""

    name: str
    select: str
    comment: str
    columns: tuple[Column, ...] = ()

    @property
    def statement(self) -> str:
        """What makes it, and says what it is."""
        lines = [f"CREATE VIEW {self.name} WITH (security_barrier) AS {self.select}"]
        lines.append(f"COMMENT ON VIEW {self.name} IS {quoted(self.comment)}")
        lines += [
            f"COMMENT ON COLUMN {self.name}.{quoted_name(column.name)} IS {quoted(column.description)}"
            for column in self.columns
        ]
        lines.append(f"GRANT SELECT ON {self.name} TO {READERS}")
        return ";\n".join(lines)


def store_statements(store: str) -> str:
    """What makes a store: its lists of copies and of days, and a table for each of gold."""
    parts = [
        f"CREATE SCHEMA {store}",
        f"CREATE TABLE {store}.copies (copy_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, "
        "table_name text NOT NULL, slice text NOT NULL, content text NOT NULL, row_count bigint NOT NULL, "
        "first_publication bigint NOT NULL, last_publication bigint)",
        f"CREATE INDEX ON {store}.copies (table_name, slice)",
        f"CREATE TABLE {store}.days (table_name text, day text, files text NOT NULL, PRIMARY KEY (table_name, day))",
    ]
    for table in GOLD_TABLES:
        name = f"{store}.{table.short_name}"
        columns = [
            f"{quoted_name(c.name)} {postgres_type(c.type)}{'' if c.nullable else ' NOT NULL'}" for c in table.columns
        ]
        key = quoted_names(table.key)
        parts.append(
            f"CREATE TABLE {name} (copy_id bigint NOT NULL, {', '.join(columns)}, PRIMARY KEY ({key}, copy_id))"
        )
        # copies are written one after the other, and most of them are of the newest time
        parts.append(f"CREATE INDEX ON {name} USING brin (copy_id)")
        if table.period is not None:
            parts.append(f"CREATE INDEX ON {name} USING brin ({quoted_name(table.period.column)})")
    return ";\n".join(parts)


def table_views(schema: str, store: str, publication: str) -> Iterator[View]:
    """A view of each gold table as the publication has it; `publication` is SQL for its number."""
    for table in GOLD_TABLES:
        columns = ", ".join(quoted_name(name) for name in table.column_names)
        seen = _is_seen(table)
        if may_span_sites(table):
            seen += f" AND ((SELECT sites IS NULL {_SEEN}) OR {_not_elsewhere(store, publication)})"
        stored = f"{store}.{table.short_name} WHERE {_copies(table, store, publication)}"
        select = f"SELECT {columns} FROM {stored} AND ({seen})"
        yield View(f"{schema}.{table.short_name}", select, f"One row per {table.grain}", table.columns)


def wide_views(models: Iterable[Model]) -> Iterator[View]:
    """The views with a column a metric, as `lakehouse sql` has them; none with a name that PostgreSQL would cut."""
    for comfort in comforts(models).values():
        names = [comfort.name.removeprefix(f"{WIDE}."), *(column.name for column in comfort.columns)]
        if comfort.name.startswith(f"{WIDE}.") and max(len(name.encode()) for name in names) <= _LONGEST_NAME:
            name = f"{WIDE}.{quoted_name(names[0])}"
            _, _, select = comfort.statement.partition(" AS ")
            yield View(name, select, f"A column a metric, from {comfort.needs[0]}", comfort.columns)


def definition(tables: Iterable[Table] = GOLD_TABLES) -> str:
    """What a store's tables follow from, as text: another one needs another store."""
    return "; ".join(f"{table.name} ({table.ddl()}) {table.key} {table.sliced_by}" for table in tables)


# asked once a question, since neither names a row of the table; whoever is not among the readers sees no row
_SEEN = f"FROM {CONTROL}.readers WHERE role = current_user"
_HERE = f"site_id = ANY ((SELECT sites {_SEEN})::text[])"


def _copies(table: Table, store: str, publication: str) -> str:
    return (
        f"copy_id IN (SELECT copy_id FROM {store}.copies WHERE table_name = {quoted(table.name)} AND "
        f"first_publication <= {publication} AND (last_publication IS NULL OR last_publication >= {publication}))"
    )


def _not_elsewhere(store: str, publication: str) -> str:
    """A device's day of which no hour was measured at a site that the reader does not see."""
    return (
        f"(device_id, event_date) NOT IN (SELECT device_id, event_date FROM {store}.{DEVICE_HOURS.short_name} WHERE "
        f"{_copies(DEVICE_HOURS, store, publication)} AND NOT coalesce({_HERE}, false))"
    )


def _is_seen(table: Table) -> str:
    if table == CALENDAR:
        return f"EXISTS (SELECT 1 {_SEEN})"  # days are nobody's
    if "site_id" not in table.column_names:
        return f"(SELECT sites IS NULL {_SEEN})"  # whose row it is cannot be told
    return f"((SELECT sites IS NULL {_SEEN}) OR {_HERE})"
