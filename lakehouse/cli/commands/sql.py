"""`lakehouse sql`: questions to the lake, one by one or at a prompt.

Belongs here: where SQL comes from, where results go, and what is said beside them. Which version of a table is read is
decided in `lake.reading.reader`.
"""

import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

import click

from lakehouse.cli.given_files import OutputFile, text_of
from lakehouse.cli.standard_streams import checked_arguments, is_read
from runtime.wording import counted

if TYPE_CHECKING:
    import duckdb

    from lake.reading.reader import Reader
    from runtime.settings import Settings

_FORMATS = ("table", "csv", "json", "parquet")
_BATCH_ROWS = 10_000
# a table is laid out in memory and read by eye
_TABLE_ROWS = 1_000
# what EXPLAIN answers is a drawing
_PLAN = ["explain_key", "explain_value"]


@click.command()
@click.argument("query", metavar="[SQL]", required=False)
@click.option(
    "-f", "--file", "file", type=click.Path(exists=True, dir_okay=False, path_type=Path), help="Read SQL from a file."
)
@click.option(
    "--format",
    "form",
    type=click.Choice(_FORMATS),
    help="How to write results. By default after --output's name, or table.",
)
@click.option("-o", "--output", type=OutputFile(), help="Write the result to this file.")
@click.option(
    "--as-of",
    type=int,
    metavar="PUBLICATION",
    help="Read gold as this publication pinned it, and silver as it was built from it.",
)
@click.option(
    "--watch",
    type=click.FloatRange(min=0.1),
    metavar="SECONDS",
    help="Ask again after so many seconds, until Ctrl-C; each time of the newest publication.",
)
def sql(
    query: str | None,
    file: Path | None,
    form: str | None,
    output: Path | None,
    as_of: int | None,
    watch: float | None,
) -> None:
    """Ask the lake in DuckDB's SQL: published gold, and bronze, silver and ops as they are.

    Tables are layer.name; a name without a layer is looked for in gold. DESCRIBE says what a column means. Beside the
    tables there are views with a column a metric (wide.thermostats_hours) and macros for series (hours_series,
    compared_days, fill_linear). Times are in UTC. Without SQL this is a prompt. Nothing can be written.

    \b
    Examples:
      lakehouse sql "select * from gold.device_latest limit 5"
      lakehouse sql "select reason, count(*) from silver.rejected group by all" --format json
      lakehouse sql "from device_hours" --output hours.parquet
      lakehouse sql "from device_days" --as-of 3 --format csv
      lakehouse sql "describe wide.thermostats_hours"
      lakehouse sql --watch 5 "from device_latest where device_id = 'pump-0001'"
      lakehouse sql -f question.sql
      lakehouse sql
    """
    from runtime.settings import load_settings

    if query is not None and file is not None:
        raise click.UsageError("Give SQL or --file, not both.")
    if form is None:
        form = _format_of(output)
    if form == "parquet" and output is None:
        raise click.UsageError("Parquet is not for a screen: give --output FILE.")
    text = query if file is None else text_of(file)
    if text is None and not sys.stdin.isatty():
        (text,) = checked_arguments([sys.stdin.read()], "The SQL")
    settings = load_settings()
    target = None if output is None else output.resolve()
    opening = _opening(settings, as_of, target, stays_open=text is None)
    if watch is not None:
        _watch(opening, settings, text, form, watch, is_pinned=as_of is not None or output is not None)
        return
    with opening() as reader:
        if text is None:
            from lakehouse.cli.sql_prompt import prompt

            prompt(reader, settings.home / "sql_history", lambda sql: answer(reader, sql, form or "table", None))
        else:
            answer(reader, text, form, target)


def _opening(
    settings: "Settings", as_of: int | None, target: Path | None, *, stays_open: bool
) -> "Callable[[], AbstractContextManager[Reader]]":
    from lake.models.catalog import known_models
    from lake.reading.reader import open_reader

    return partial(
        open_reader,
        settings,
        known_models(settings),
        as_of=as_of,
        output=target,
        shows_progress=sys.stdout.isatty(),
        stays_open=stays_open,
    )


def _watch(
    opening: "Callable[[], AbstractContextManager[Reader]]",
    settings: "Settings",
    text: str | None,
    form: str,
    seconds: float,
    *,
    is_pinned: bool,
) -> None:
    from lake.records import publications
    from lakehouse.cli.sql_watch import clear, pause_of, watch

    if text is None or is_pinned:
        raise click.UsageError("--watch is for a question that is given, without --output and --as-of.")

    def newest() -> int | None:
        publication = publications.newest(settings)
        return None if publication is None else publication.publication_id

    def ask(reader: "Reader") -> None:
        clear()
        answer(reader, text, form, None)

    watch(opening, newest, ask, pause_of(seconds))


def answer(reader: "Reader", sql: str, form: str, output: Path | None) -> None:
    """Run SQL and write its results, and on stderr what is to be known about the figures. Raises QueryError."""
    statements = reader.statements(sql)
    if output is not None and len(statements) != 1:
        raise click.UsageError(f"A file takes the result of one statement; these are {len(statements)}.")
    for statement in statements:
        if form == "parquet" and output is not None:
            reader.save(statement, output)
        elif output is not None:
            result = reader.run(statement)
            with output.open("w", newline="", encoding="utf-8") as file:
                _write(result, form, file)
        else:
            _write(reader.run(statement), form, sys.stdout)
    for note in _notes(reader, sql):
        click.echo(note, err=True)


def _format_of(output: Path | None) -> str:
    suffix = "" if output is None else output.suffix.removeprefix(".")
    return suffix if suffix in _FORMATS else "table" if output is None else "csv"


def _write(result: "duckdb.DuckDBPyConnection", form: str, file: TextIO) -> None:
    from lakehouse.cli.output import print_table, write_csv, write_json

    columns = [column[0] for column in result.description or ()]
    if columns == _PLAN:
        file.writelines(plan + "\n" for _, plan in _rows(result, file))
    elif form == "csv":
        write_csv(columns, _rows(result, file), file)
    elif form == "json":
        write_json(columns, _rows(result, file), file)
    else:
        rows = result.fetchmany(_TABLE_ROWS + 1)
        print_table(columns, rows[:_TABLE_ROWS])
        if len(rows) > _TABLE_ROWS:
            click.echo(f"The first {_TABLE_ROWS:,} rows; --format csv gives all of them.", err=True)


def _rows(result: "duckdb.DuckDBPyConnection", file: TextIO) -> Iterator[tuple[Any, ...]]:
    while is_read(file) and (rows := result.fetchmany(_BATCH_ROWS)):
        yield from rows


def _notes(reader: "Reader", sql: str) -> Iterator[str]:
    """Which publication gold's figures are of, what it lacks, and what is in it in spite of its verdict."""
    from lakehouse.cli.output import moment

    published = reader.publication
    if published is None or not any(name in published.tables for name in reader.mentioned(sql)):
        return
    held = sorted({str(entry["slice"]) for entry in published.held})
    lacks = f"; {counted(len(held), 'slice')} held ({_listed(held)})" if held else ""
    yield f"publication {published.publication_id} of {moment(published.published_at)}{lacks}"
    released = {(str(entry["slice"]), str(entry["who"]), str(entry["why"])) for entry in published.releases}
    for slice_, who, why in sorted(released):
        yield f"released: {slice_} by {who}: {why}"


def _listed(texts: list[str]) -> str:
    return ", ".join(texts[:3]) + (" …" if len(texts) > 3 else "")
