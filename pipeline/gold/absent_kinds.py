"""Kinds of which a plan has no column: their tables are empty, and dbt need not run its models to find that out.

Belongs here: which models and tables are a kind's. A model takes dbt some 0.2 s of processor time, whatever it
finds, and few fleets have counters, states and gauges among their telemetry.
"""

import duckdb

from lake.column_types import duckdb_type
from lake.models.kinds import KindName
from lake.storage.locations import candidate_path
from lake.tables.gold_kinds import KIND_TABLES
from pipeline.gate.candidates import attached
from runtime.settings import Settings

# by kind the models whose names fit, as dbt's `--exclude` takes them
_MODELS: dict[KindName, tuple[str, ...]] = {
    "counter": ("counter_*", "stg_counter_*", "stg_minute_increases"),
    "gauge": ("gauge_*", "stg_gauge_*"),
    "state": ("state_*", "stg_state_*"),
}


def make_empty(connection: duckdb.DuckDBPyConnection) -> None:
    """Make the tables of absent kinds as declared, unless they are there, in the `candidate` whose plan is written."""
    connection.execute("CREATE SCHEMA IF NOT EXISTS candidate.gold")
    absent = _absent(connection)
    for table in KIND_TABLES:
        if table.kind in absent:
            columns = ", ".join(f'"{column.name}" {duckdb_type(column.type)}' for column in table.columns)
            connection.execute(f"CREATE TABLE IF NOT EXISTS candidate.gold.{table.short_name} ({columns})")


def unneeded_models(settings: Settings) -> list[str]:
    """dbt's names of the models for which the plan of the candidate, if one is written, has no column."""
    if not candidate_path(settings).is_file():
        return []
    with attached(settings, candidate_path(settings)) as connection:
        return [model for kind in sorted(_absent(connection)) for model in _MODELS[kind]]


def _absent(connection: duckdb.DuckDBPyConnection) -> set[KindName]:
    found = {row[0] for row in connection.sql("SELECT DISTINCT kind FROM candidate.plan.kinds").fetchall()}
    return {kind for kind in _MODELS if kind not in found}
