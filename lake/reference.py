"""The reference of all tables as Markdown, made from their declarations.

Belongs here: rendering `lake.tables` and the built-in models into docs/reference/tables.md. What a table is belongs
there.

    python -m lake.reference > docs/reference/tables.md
"""

from collections.abc import Iterable

from lake.models.catalog import BUILT_IN_MODELS, load_models, silver_tables
from lake.reading.site_periods import NEEDS, SITE_PERIODS, SitePeriod
from lake.tables.contracts import Column, Table
from lake.tables.every import FIXED_TABLES
from lake.tables.silver import READING_COLUMNS

_LAYERS = {
    "bronze": "What landed, every record once, as it came.",
    "silver": "Readings typed by their device model, and the records that are none.",
    "gold": "Published figures. Read them at the versions that the newest publication pins (`lakehouse sql` does).",
    "ops": "What was judged and what was published.",
}
_HEADER = """# Tables

Made from their declarations by `python -m lake.reference`; change those, not this page.

Timestamps are UTC. A name ends in its unit (`_degc`, `_pct`, `_s`), in `_at` for a timestamp or `_date` for a date;
`is_` and `has_` begin a boolean and `_ratio` is from 0 to 1. A column that may be null says so.
"""


def tables_markdown() -> str:
    """docs/reference/tables.md: every table by layer, those of the built-in device models included."""
    readings = silver_tables(load_models([BUILT_IN_MODELS]).values())
    parts = [_HEADER]
    for layer, text in _LAYERS.items():
        parts.append(f"## {layer.capitalize()}\n\n{text}\n")
        if layer == "silver":
            parts.append(_readings_section())
            parts.extend(_section(table, table.columns[len(READING_COLUMNS) :]) for table in readings.values())
        parts.extend(_section(table, table.columns) for table in FIXED_TABLES if table.layer == layer)
        if layer == "gold":
            parts.extend(_view_section(view) for view in SITE_PERIODS)
    return "\n".join(parts)


def _readings_section() -> str:
    return (
        "### Tables of readings\n\n"
        "Each device model becomes one table, named in the plural; versions of a model share it. "
        "`lakehouse models show ID` prints it. All of them begin with these columns:\n\n" + _columns(READING_COLUMNS)
    )


def _section(table: Table, columns: Iterable[Column]) -> str:
    facts = [f"One row per {table.grain}.", f"Key: {_names(table.key)}."]
    if table.partition_by:
        facts.append(f"Partitioned by {_names(table.partition_by)}.")
    facts.append(f"Written by {'Spark' if table.writer == 'spark' else table.writer}.")
    return f"### {table.name}\n\n{' '.join(facts)}\n\n{_columns(columns)}"


def _view_section(view: SitePeriod) -> str:
    facts = f"One row per {view.grain}. A view over {_names(NEEDS)}, in `lakehouse sql` and Python; it has no files."
    return f"### {view.name}\n\n{facts}\n\n{_columns(view.columns)}"


def _columns(columns: Iterable[Column]) -> str:
    lines = ["| column | type | null | meaning |", "| --- | --- | --- | --- |"]
    lines += [
        f"| `{each.name}` | `{each.type}` | {'yes' if each.nullable else ''} | {each.description.replace('|', '/')} |"
        for each in columns
    ]
    return "\n".join(lines) + "\n"


def _names(names: Iterable[str]) -> str:
    return ", ".join(f"`{name}`" for name in names)


if __name__ == "__main__":
    print(tables_markdown(), end="")
