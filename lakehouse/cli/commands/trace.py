"""`lakehouse trace`: from a gold row to its messages, from a message to the rows that it counts in.

Belongs here: options and what is printed. What belongs together is decided in `pipeline.proof.lineage`.
"""

import json
from typing import TYPE_CHECKING, Any

import click

from runtime.wording import counted

if TYPE_CHECKING:
    from pipeline.proof.lineage import MessageTrace, RowTrace
    from pipeline.proof.lineage_sql import Row

_SHOWN = 20


@click.command()
@click.argument("table", required=False)
@click.argument("key", nargs=-1, metavar="[COLUMN=VALUE]…")
@click.option("--message", metavar="TOPIC:PARTITION:OFFSET", help="Follow this message up instead.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON, with every reading.")
def trace(table: str | None, key: tuple[str, ...], message: str | None, as_json: bool) -> None:
    """Show where a published figure comes from, or what became of a message.

    A row of gold is named by its columns. Below it stand the readings that it counts, each with the Kafka record that
    it came in, and the verdicts that let it pass.

    \b
    Examples:
      lakehouse trace gold.device_hours device_id=pump-0001 metric_name=pressure hour_at=2026-11-20T05
      lakehouse trace gold.device_completeness device_id=pump-0001 hour_at=2026-11-20T05
      lakehouse trace --message telemetry:0:17
    """
    from lake.models.catalog import known_models
    from pipeline.proof.lineage import trace_message, trace_row
    from runtime.settings import load_settings

    if (message is None) == (table is None):
        raise click.UsageError(
            "Give a gold table and the columns that name a row, or --message TOPIC:PARTITION:OFFSET."
        )
    settings = load_settings()
    models = known_models(settings)
    if message is not None:
        topic, partition, offset = _place(message)
        followed = trace_message(settings, models, topic, partition, offset)
        (_dump(vars(followed)) if as_json else _print_message(followed, message))
    elif table is not None:
        pairs = [pair.partition("=") for pair in key]
        if not all(equals for _, equals, _ in pairs):
            raise click.UsageError("Name the row as COLUMN=VALUE, such as device_id=pump-0001.")
        found = trace_row(settings, models, table, {name: value for name, _, value in pairs})
        (_dump(vars(found) | {"publication": found.publication.publication_id}) if as_json else _print_row(found))


def _place(text: str) -> tuple[str, int, int]:
    parts = text.split(":")
    if len(parts) != 3 or not (parts[1].isdecimal() and parts[2].isdecimal()):
        raise click.UsageError(f"{text!r} is not TOPIC:PARTITION:OFFSET, such as telemetry:0:17.")
    return parts[0], int(parts[1]), int(parts[2])


def _print_message(trace: "MessageTrace", place: str) -> None:
    _print_object(f"{place}, as bronze has it", trace.message)
    if trace.table is not None and trace.row is not None:
        _print_object(f"In {trace.table}", {k: v for k, v in trace.row.items() if k != "value" and v is not None})
    if trace.gold:
        click.echo(f"\nIt counts in {counted(len(trace.gold), 'row')} of gold")
        for table, row in trace.gold:
            click.echo(f"  {table:<26} {_line(row)}")
    if trace.why_not is not None:
        click.echo(f"\n{'It counts in no row of gold' if not trace.gold else 'Not in all of them'}: {trace.why_not}.")


def _print_row(trace: "RowTrace") -> None:
    from lakehouse.cli.output import print_table

    publication = trace.publication
    _print_object(f"{trace.table}, as publication {publication.publication_id} has it", trace.row)
    if trace.days:
        click.echo(
            f"\nMade of {counted(len(trace.days), 'day')} of gold.site_days, each of which `lakehouse trace` follows on"
        )
        of_days = ("day_date", "site_id", "metric_name", "unit", "zone", "reading_count", "value_mean")
        print_table(of_days, [[row[name] for name in of_days] for row in trace.days])
    else:
        _print_readings(trace.readings)
    if trace.registry:
        click.echo(f"\nIts registry: {counted(len(trace.registry), 'record')}")
        of_device = ("valid_from", "status", "model_id", "site_id", "topic", "partition", "offset")
        of_site = ("declared_at", "site_id", "name", "zone", "parent_id", "topic", "partition", "offset")
        of_registry = of_device if "valid_from" in trace.registry[0] else of_site
        print_table(of_registry, [[row[name] for name in of_registry] for row in trace.registry])
    if trace.refused:
        click.echo(f"\nRefused in its period: {counted(len(trace.refused), 'record')}")
        of_refused = ("event_at", "reason", "detail", "topic", "partition", "offset")
        print_table(of_refused, [[row[name] for name in of_refused] for row in trace.refused[:_SHOWN]])
    click.echo("\nVerdicts")
    names = ("table_name", "slice", "last_slice", "is_passing", "released_by", "row_count", "run_id", "checked_at")
    print_table(names, [[row[name] for name in names] for row in trace.verdicts])


def _print_readings(readings: "tuple[Row, ...]") -> None:
    from lakehouse.cli.output import print_table

    click.echo(f"\nMade of {counted(len(readings), 'reading')}")
    columns = ("event_at", "device_id", "value", "clock_status", "message_id", "topic", "partition", "offset")
    print_table(columns, [[row[name] for name in columns] for row in readings[:_SHOWN]])
    if len(readings) > _SHOWN:
        click.echo(f"The first {_SHOWN}; --json gives all of them.", err=True)


def _print_object(title: str, values: dict[str, Any]) -> None:
    from lakehouse.cli.output import as_text

    click.echo(f"\n{title}")
    for name, value in values.items():
        click.echo(f"  {name:<18} {as_text(value)}")


def _line(row: dict[str, Any]) -> str:
    from lakehouse.cli.output import as_text

    names = ("device_id", "site_id", "metric_name", "minute_at", "hour_at", "day_date", "week_date",
             "month_date", "event_at", "reading_count")  # fmt: skip
    return "  ".join(as_text(row[name]) for name in (*names, "received_count") if row.get(name) is not None)


def _dump(values: dict[str, Any]) -> None:
    from lakehouse.cli.output import spelt

    click.echo(json.dumps({name: _spelt(value, spelt) for name, value in values.items()}, indent=2))


def _spelt(value: Any, spelt: Any) -> Any:
    if isinstance(value, dict):
        return {str(name): _spelt(each, spelt) for name, each in value.items()}
    if isinstance(value, (list, tuple)):
        return [_spelt(each, spelt) for each in value]
    return spelt(value)
