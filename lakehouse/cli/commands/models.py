"""`lakehouse models`: declare device models and look at the tables that they become.

Belongs here: arguments, and printing what `lake.models.store` and `lake.models.catalog` answer. What a model means is
theirs.
"""

import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from lake.models.catalog import Model, Telemetry


@click.group()
def models() -> None:
    """Declare kinds of devices by DTDL Interfaces, version 2 to 4, and see the tables that they become.

    \b
    Examples:
      lakehouse models list
      lakehouse models show "dtmi:lakehouse:thermostat;1"
      lakehouse models init "dtmi:example:my_sensor;1"
      lakehouse models add my_sensor.json --quality my_sensor.quality.json
    """


@models.command("init")
@click.argument("model_id", metavar="ID")
@click.option("--folder", type=click.Path(file_okay=False, path_type=Path), default=Path(), help="Where to write.")
def init(model_id: str, folder: Path) -> None:
    """Write a model file and its quality file to start from, for the DTMI ID.

    \b
    Examples:
      lakehouse models init "dtmi:example:greenhouse_sensor;1"
      lakehouse models init "dtmi:example:greenhouse_sensor;1" --folder models
    """
    from lake.models.template import write_template

    written = write_template(model_id, folder)
    click.echo(f"Wrote {' and '.join(map(str, written))}. Change them to what the device sends, then:")
    click.echo(f"  lakehouse models add {written[0]}")


@models.command("add")
@click.argument("files", nargs=-1, required=True, type=click.Path(exists=True, path_type=Path), metavar="FILE...")
@click.option(
    "--quality",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Quality file: ranges, limits, reporting interval. By default FILE's name with .quality.json, if there.",
)
@click.option("--table", help="Name of the silver table, if it is not to follow from the DTMI.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def add(files: tuple[Path, ...], quality: Path | None, table: str | None, as_json: bool) -> None:
    """Declare the Interfaces of files, and of the files in folders, in this lakehouse (DTDL v2 to v4, JSON).

    They may refer to each other, and their order means nothing. What a DTMI says does not change afterwards: to change
    a model, declare the next version. Quality values may be given anew by adding the same file with another quality
    file.

    \b
    Examples:
      lakehouse models add my_sensor.json
      lakehouse models add my_sensor.json --quality limits.json --table greenhouse_sensors
      lakehouse models add models/ shared/base.json
    """
    from lake.models.store import add_models
    from runtime.settings import load_settings

    added = add_models(load_settings(), files, quality, table)
    if as_json:
        written = [str(each) for each in added.paths]
        answer = {"models": [_as_json(each) for each in added.models], "parts": dict(added.parts),
                  "changed": [each.model_id for each in added.changed],
                  "path": written[0] if written else None, "paths": written}  # fmt: skip
        click.echo(json.dumps(answer, indent=2))
        return
    names = ", ".join(each.name for each in files)
    as_files = ", ".join(map(str, added.paths))
    click.echo(f"Added {names} as {as_files}." if as_files else f"{names} was known: nothing changed.")
    for model in added.models:
        click.echo()
        _print_model(model)
    if added.parts:
        click.echo("\nInterfaces that are no device model of their own:")
        for name, reason in added.parts.items():
            click.echo(f"  {name}: {reason}")
    for model in added.changed:
        click.echo(f"\n{model.model_id} has columns of {names} now: lakehouse models show '{model.model_id}'")


@models.command("list")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def list_models(as_json: bool) -> None:
    """List the device models of this lakehouse.

    \b
    Examples:
      lakehouse models list
      lakehouse models list --json
    """
    from lake.models.store import known_catalog
    from runtime.settings import load_settings

    catalog = known_catalog(load_settings())
    if as_json:
        answer = {"models": [_as_json(each) for each in catalog.models.values()], "parts": dict(catalog.parts)}
        click.echo(json.dumps(answer, indent=2))
        return
    rows = [
        (each.model_id, each.table, str(len(each.telemetry)), f"{each.quality.reporting_interval_s} s", each.origin)
        for each in catalog.models.values()
    ]
    _print_rows(("model", "table", "telemetry", "reports every", "file"), rows)
    if catalog.parts:
        click.echo("\nInterfaces that are no device model of their own:")
        _print_rows(("interface", "why"), list(catalog.parts.items()))


@models.command("show")
@click.argument("model_id", metavar="ID")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def show(model_id: str, as_json: bool) -> None:
    """Show the table that the device model ID becomes, what becomes no column, and its quality values.

    ID is a DTMI; without its version it means the newest.

    \b
    Examples:
      lakehouse models show "dtmi:lakehouse:pump;1"
      lakehouse models show dtmi:lakehouse:pump --json
    """
    from lake.models.catalog import find_model
    from lake.models.store import known_catalog
    from runtime.errors import UsageError
    from runtime.settings import load_settings

    catalog = known_catalog(load_settings())
    if model_id in catalog.parts:
        raise UsageError(f"{model_id} is declared, but is no device model: {catalog.parts[model_id]}.")
    model = find_model(catalog.models, model_id)
    if as_json:
        click.echo(json.dumps(_as_json(model), indent=2))
    else:
        _print_model(model)


def _as_json(model: "Model") -> dict[str, object]:
    from lake.models.catalog import silver_table

    table = silver_table([model])
    columns = [{"name": each.name, "type": each.type, "nullable": each.nullable} for each in table.columns]
    return {**asdict(model), "columns": columns, "key": table.key, "partition_by": table.partition_by}


def _print_model(model: "Model") -> None:
    from lake.tables.silver import READING_COLUMNS

    click.echo(f"{model.model_id}: {model.display_name}")
    if model.description:
        click.echo(model.description)
    click.echo(f"\nTable {model.table}, one row per reading")
    rows = [
        (each.column, each.type, each.unit, _kind(each), _range(each), each.metric_name, each.description)
        for each in model.telemetry
    ]
    _print_rows(("column", "type", "unit", "kind", "range", "telemetry", "description"), rows)
    click.echo(f"and, as in every table of readings: {', '.join(column.name for column in READING_COLUMNS)}")
    if model.components:
        click.echo(f"\nComponents that a message's ce_subject may name: {', '.join(model.components)}")
    if model.notes:
        click.echo("\nNotes")
        for note in model.notes:
            click.echo(f"  {note}")
    click.echo("\nQuality values")
    values = {name: value for name, value in asdict(model.quality).items() if name not in ("ranges", "table", "kinds")}
    _print_rows(
        ("name", "value"), [(name, "no limit" if value is None else str(value)) for name, value in values.items()]
    )


def _kind(telemetry: "Telemetry") -> str:
    """Such as `counter, carried 7 d, 0 again at 1000, rate in kw`; nothing of what has no figures."""
    from lake.models.kinds import DAY_S
    from lake.models.units import integral_of, rate_unit

    kind = telemetry.kind
    if kind.name == "gauge" and not telemetry.is_metric:
        return ""
    days, rest_s = divmod(kind.carry_limit_s, DAY_S)
    words = [kind.name, f"carried {kind.carry_limit_s} s" if rest_s or not days else f"carried {days} d"]
    if kind.name == "gauge":
        words.append(kind.interpolation)
    if kind.maximum is not None:
        words.append(f"0 again at {kind.maximum:.15g}")
    if kind.name == "counter":
        words.append(f"rate in {rate_unit(telemetry.unit)}")
    if kind.name == "gauge":
        words.append(f"integral in {integral_of(telemetry.unit).unit}")
    return ", ".join(words)


def _range(telemetry: "Telemetry") -> str:
    if telemetry.enum_values:
        return " | ".join(str(value) for value in telemetry.enum_values)
    if telemetry.minimum is None and telemetry.maximum is None:
        return ""
    sides = ("" if side is None else f"{side:.15g}" for side in (telemetry.minimum, telemetry.maximum))
    return "{} … {}".format(*sides).strip()


def _print_rows(header: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    lines = [header, *rows]
    widths = [max(len(line[place]) for line in lines) for place in range(len(header))]
    for line in lines:
        click.echo(("  " + "  ".join(text.ljust(width) for text, width in zip(line, widths, strict=True))).rstrip())
