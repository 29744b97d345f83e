"""Column lineage: which columns a column of gold is made of, read from the SQL that dbt makes.

Belongs here: dbt's compiled models to columns and their origins, and these as Dagster shows them. Compiling is in
`column_origins`, which keeps what `origins_of` finds; what depends on the device models is put in
when the definitions are loaded.

The models are compiled upon a plan of one table of readings, READINGS, which stands for every other, with a column of
each kind.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb
from dagster import (
    AssetKey,
    MetadataValue,
    TableColumn,
    TableColumnDep,
    TableColumnLineage,
    TableRecord,
    TableSchema,
)

from lake.models.catalog import Model, silver_tables
from lake.tables.contracts import Table
from lake.tables.gold import DEVICE_HOURS, DEVICE_LATEST
from lake.tables.gold_kinds import CARRYING
from lake.tables.silver import READING_COLUMNS, SILVER_REJECTED, UNSLICED_SILVER
from pipeline.gold.plan import PLAN_TABLES

READINGS = "silver.readings"
METRIC, COUNTER, STATE, GAUGE = "value", "counter_value", "state_value", "gauge_value"
_PUBLISHED = (DEVICE_HOURS, DEVICE_LATEST, *CARRYING)
_INPUTS = (READINGS, *(table.name for table in (SILVER_REJECTED, *UNSLICED_SILVER, *_PUBLISHED)))
_SCAN = re.compile(r"delta_scan\('(\w+)\.(\w+)', version=0\)")

Origins = Mapping[str, Mapping[str, list[str]]]
"""By dbt model and column: the columns that it is made of, as `silver.devices.site_id`, `candidate.stg_hours.unit`."""


def write_sample_plan(path: Path) -> None:
    """A candidate database whose plan names every input by its own name."""
    with duckdb.connect(str(path)) as connection:
        connection.execute("CREATE SCHEMA plan")
        for name, columns in PLAN_TABLES.items():
            connection.execute(f"CREATE TABLE plan.{name} ({columns})")
        for name in _INPUTS:
            connection.execute("INSERT INTO plan.tables VALUES (?, ?, 0)", [name, name])
        connection.execute("INSERT INTO plan.metrics VALUES (?, 'm', ?, 'value', '1', '')", [READINGS, METRIC])
        for column, kind in ((COUNTER, "counter"), (STATE, "state"), (GAUGE, "gauge")):
            row = [READINGS, column, column, "1", kind, 3600, None, None, "h", 1.0]
            connection.execute(f"INSERT INTO plan.kinds VALUES ({', '.join('?' for _ in row)})", row)
        # of one model alone a reading's model would be no column but a text
        connection.execute(f"INSERT INTO plan.models VALUES ('m', '{READINGS}', 60, 60), ('n', '{READINGS}', 60, 60)")


def origins_of(manifest: Mapping[str, Any]) -> dict[str, dict[str, list[str]]]:
    """The origins of every column that a model of a compiled manifest describes."""
    models = {n["name"]: n for n in manifest["nodes"].values() if n["resource_type"] == "model"}
    schema = _schema(models)
    return {name: _origins(_readable(n["compiled_code"]), n["columns"], schema) for name, n in models.items()}


def _schema(models: Mapping[str, Mapping[str, Any]]) -> dict[str, dict[str, dict[str, str]]]:
    """What may be read: schema, table and columns. The types are of no account here."""
    columns: dict[str, Iterable[str]] = {f"candidate.{name}": node["columns"] for name, node in models.items()}
    columns |= {f"plan.{name}": re.findall(r"(\w+) [A-Z]+", text) for name, text in PLAN_TABLES.items()}
    columns |= {table.name: table.column_names for table in (SILVER_REJECTED, *UNSLICED_SILVER, *_PUBLISHED)}
    columns[READINGS] = [*(column.name for column in READING_COLUMNS), METRIC, COUNTER, STATE, GAUGE]
    schema: dict[str, dict[str, dict[str, str]]] = {}
    for name, names in columns.items():
        layer, table = name.split(".")
        schema.setdefault(layer, {})[table] = dict.fromkeys(names, "text")
    return schema


def _readable(sql: str) -> str:
    """The SQL with each table by the name of its asset: a candidate's, or a scan's."""
    named = re.sub(r'"\w+"\."(?:staging|gold)"\."(\w+)"', r"candidate.\1", sql)
    return _SCAN.sub(r"\1.\2", named)


def _origins(sql: str, columns: Iterable[str], schema: Mapping[str, Any]) -> dict[str, list[str]]:
    # here, since it is needed once for each state of the project
    import sqlglot
    from sqlglot.lineage import lineage
    from sqlglot.optimizer.qualify import qualify
    from sqlglot.optimizer.scope import build_scope

    # typed as anything: what a query has is known to sqlglot's classes below its common one
    query: Any = qualify(
        sqlglot.parse_one(sql, dialect="duckdb"),
        schema=dict(schema), dialect="duckdb", validate_qualify_columns=False, identify=False,
    )  # fmt: skip
    scope, found = build_scope(query), {}
    given = {each.alias_or_name.lower() for each in query.selects}
    for column in columns:
        # a model may have no columns when nothing is planned
        nodes = (
            lineage(column, query, schema=dict(schema), dialect="duckdb", scope=scope).walk() if column in given else ()
        )
        leaves: list[Any] = [n for n in nodes if not n.downstream and isinstance(n.expression, sqlglot.exp.Table)]
        named = {f"{n.expression.db}.{n.expression.name}.{n.name.rsplit('.', 1)[-1].strip(chr(34))}" for n in leaves}
        found[column] = sorted(name for name in named if not name.startswith("plan."))
    return found


@dataclass(frozen=True)
class Lineage:
    """The origins of columns as Dagster shows them, for the tables of readings that the device models make."""

    origins: Origins
    models: Mapping[str, Model]

    def of_candidate(self, name: str) -> TableColumnLineage:
        """A dbt model's; empty for what is made of no column, such as a name or a count of rows."""
        columns = self.origins.get(name, {})
        return TableColumnLineage({column: list(self._deps(made_of)) for column, made_of in columns.items() if made_of})

    def of_gold(self, table: Table) -> TableColumnLineage:
        """A published table's: each column is its candidate's."""
        key = AssetKey(["candidate", table.short_name])
        return TableColumnLineage({name: [TableColumnDep(key, name)] for name in table.column_names})

    def as_table(self, table: Table) -> MetadataValue:
        """A published table's columns and what they are made of in silver: the open-source UI shows no lineage."""
        records = []
        for name in table.column_names:
            first = sorted(self._first(table.short_name, name))
            records.append(TableRecord({"column": name, "made_of": ", ".join(first)}))
        return MetadataValue.table(records, TableSchema([TableColumn("column"), TableColumn("made_of")]))

    def _first(self, model: str, column: str) -> set[str]:
        found = set[str]()
        for dep in self._deps(self.origins.get(model, {}).get(column, ())):
            layer, name = dep.asset_key.path
            of = f"{layer}.{name}.{dep.column_name}"
            found |= self._first(name, dep.column_name) if layer == "candidate" else {of}
        return found

    def _deps(self, made_of: Iterable[str]) -> Iterator[TableColumnDep]:
        for name in made_of:
            layer, table, column = name.split(".")
            if f"{layer}.{table}" == READINGS:
                yield from self._of_readings(column)
            elif layer != "gold":  # what was published before is read by what is made now, and is no asset before it
                yield TableColumnDep(AssetKey([layer, table]), column)

    def _of_readings(self, column: str) -> Iterator[TableColumnDep]:
        """A column of every table of readings, or for one that stands for a kind every column of that kind."""
        telemetry = [(m.table, t) for m in self.models.values() for t in m.telemetry]
        standing = {
            METRIC: {(table, t.column) for table, t in telemetry if t.is_metric},
            COUNTER: {(table, t.column) for table, t in telemetry if t.kind.name == "counter"},
            STATE: {(table, t.column) for table, t in telemetry if t.kind.name == "state"},
            GAUGE: {(table, t.column) for table, t in telemetry if t.kind.name == "gauge" and t.is_metric},
        }
        of_all = {(table, column) for table in silver_tables(self.models.values())}
        for table, name in sorted(standing.get(column, of_all)):
            yield TableColumnDep(AssetKey(table.split(".")), name)
