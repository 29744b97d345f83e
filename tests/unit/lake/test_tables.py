"""The grammar of names and the sense of the contracts, for every table."""

import re
from collections.abc import Iterable

import pytest

from lake.models.catalog import BUILT_IN_MODELS, load_models, silver_tables
from lake.models.units import NO_UNIT
from lake.reference import tables_markdown
from lake.tables.contracts import Column, Table
from lake.tables.every import FIXED_TABLES
from lake.tables.silver import READING_COLUMNS

MODELS = load_models([BUILT_IN_MODELS])
TABLES = (*FIXED_TABLES, *silver_tables(MODELS.values()).values())

WORDS = re.compile(r"[a-z][a-z0-9]*(_[a-z0-9]+)*")
NUMBERS = {"int", "bigint", "double"}
# names that DESIGN gives to what is no plural noun
NO_PLURAL = {"telemetry", "lifecycle", "rejected", "device_completeness", "device_latest", "calendar",
             "hot_reconciliation"}  # fmt: skip
# the usual names of a period in a history, and identities that are numbers since they are counted upwards
NOT_BY_ENDING = {"valid_from", "valid_to", "ingest_id", "publication_id"}


def faults_of(table: Table) -> list[str]:
    """Where a table breaks the grammar of names or its contract makes no sense."""
    faults = [f"{table.name}: {fault}" for column in table.columns for fault in column_faults(column)]
    layer, _, noun = table.name.partition(".")
    if layer not in ("bronze", "silver", "gold", "ops") or not WORDS.fullmatch(noun):
        faults.append(f"{table.name} is not layer.words")
    if not noun.endswith("s") and noun not in NO_PLURAL:
        faults.append(f"{table.name} is no plural")
    names = [column.name.lower() for column in table.columns]
    if len(set(names)) < len(names):
        faults.append(f"{table.name} has a column twice")
    nullable = {column.name: column.nullable for column in table.columns}
    for role, columns in (("key", table.key), ("partition", table.partition_by), ("statistics", table.statistics)):
        faults += [f"{table.name}: {role} {name} is no column" for name in columns if name not in nullable]
        if role != "statistics":
            faults += [f"{table.name}: {role} {name} may be null" for name in columns if nullable.get(name)]
    if not table.key or not table.grain:
        faults.append(f"{table.name} has no key or no grain")
    return faults


def column_faults(column: Column) -> list[str]:
    name, kind = column.name, column.type
    if not WORDS.fullmatch(name):
        return [f"{name} is not lower-case words"]
    if not column.description:
        return [f"{name} has no description"]
    if name in NOT_BY_ENDING:
        return []
    faults = []
    if (kind == "timestamp") != name.endswith("_at"):
        faults.append(f"{name} is {kind}: a timestamp ends in _at, and nothing else does")
    if (kind == "date") != name.endswith("_date"):
        faults.append(f"{name} is {kind}: a date ends in _date, and nothing else does")
    if (kind == "boolean") != bool(re.search(r"(^|_)(is|has)_", name)):
        faults.append(f"{name} is {kind}: a boolean begins with is_ or has_, and nothing else does")
    if name.endswith("_id") and kind != "string":
        faults.append(f"{name} is {kind}: an _id is a string")
    if name.endswith(("_s", "_bytes", "_count", "_ratio")) and kind not in NUMBERS:
        faults.append(f"{name} is {kind}: a quantity is a number")
    return faults


@pytest.mark.parametrize("table", TABLES, ids=lambda table: table.name)
def test_every_table_keeps_the_grammar(table: Table) -> None:
    """Names, keys, partitions and statistics of each table are as DESIGN says."""
    assert faults_of(table) == []


def table_of(*columns: Column, name: str = "gold.things", key: tuple[str, ...] = ("thing_id",),
             partition_by: tuple[str, ...] = ()) -> Table:  # fmt: skip
    identity = Column("thing_id", "string", "Which", nullable=False)
    return Table(name, "thing", (identity, *columns), key, "delta-rs", partition_by)


@pytest.mark.parametrize(
    ("table", "fault"),
    [
        (table_of(name="gold.thing"), "no plural"),
        (table_of(name="platinum.things"), "not layer.words"),
        (table_of(name="gold.Things"), "not layer.words"),
        (table_of(Column("tempC", "double", "x")), "not lower-case"),
        (table_of(Column("made", "timestamp", "x")), "ends in _at"),
        (table_of(Column("made_at", "string", "x")), "ends in _at"),
        (table_of(Column("made", "date", "x")), "ends in _date"),
        (table_of(Column("open", "boolean", "x")), "begins with is_"),
        (table_of(Column("is_open", "string", "x")), "begins with is_"),
        (table_of(Column("site_id", "int", "x")), "an _id is a string"),
        (table_of(Column("wait_s", "string", "x")), "a quantity is a number"),
        (table_of(Column("note", "string", "")), "no description"),
        (table_of(Column("a", "string", "x"), Column("a", "string", "x")), "twice"),
        (table_of(key=("other_id",)), "key other_id is no column"),
        (table_of(Column("a", "string", "x"), key=("a",)), "may be null"),
        (table_of(partition_by=("day_date",)), "partition day_date is no column"),
        (table_of(key=()), "no key"),
    ],
)
def test_the_grammar_catches(table: Table, fault: str) -> None:
    """Each rule has a table that breaks it."""
    assert any(fault in found for found in faults_of(table))


def test_a_fine_table_has_no_faults() -> None:
    """The tables that break a rule above break that one only by what is wrong with them."""
    assert faults_of(table_of()) == []


def types_by_name(tables: Iterable[Table]) -> dict[str, set[str]]:
    types: dict[str, set[str]] = {}
    for table in tables:
        for column in table.columns:
            types.setdefault(column.name, set()).add(column.type)
    return types


def test_a_name_has_one_type_everywhere() -> None:
    """The same column name never means text in one table and a number in another."""
    assert {name: types for name, types in types_by_name(TABLES).items() if len(types) > 1} == {}
    clash = [table_of(Column("note", "string", "x")), table_of(Column("note", "int", "x"))]
    assert types_by_name(clash)["note"] == {"string", "int"}


def test_telemetry_columns_end_in_their_unit() -> None:
    """A number with a unit says so in its name; the unit of the metric is the same word."""
    for model in MODELS.values():
        for each in model.telemetry:
            if each.unit != NO_UNIT:
                assert each.column.endswith(f"_{each.unit}"), each.column


def test_names_of_tables_are_unique() -> None:
    """Two declarations never claim one table."""
    assert len({table.name for table in TABLES}) == len(TABLES)


def test_the_ddl_has_every_column() -> None:
    """Spark's schema text quotes names and carries what may not be null."""
    ddl = table_of(Column("wait_s", "double", "x")).ddl()
    assert ddl == "`thing_id` string NOT NULL, `wait_s` double"


def test_the_reference_names_every_table_and_column() -> None:
    """docs/reference/tables.md has a section a table and a row a column, and no cell that breaks its row."""
    text = tables_markdown()
    sections = {part.split("\n", 1)[0]: part for part in text.split("### ")[1:]}
    for table in TABLES:
        own = table.columns[len(READING_COLUMNS) :] if table.columns[:3] == READING_COLUMNS[:3] else table.columns
        for column in own:
            assert f"| `{column.name}` | `{column.type}` |" in sections[table.name]
    for column in READING_COLUMNS:
        assert f"| `{column.name}` |" in sections["Tables of readings"]
    assert {line.count("|") for line in text.splitlines() if line.startswith("|")} == {5}
