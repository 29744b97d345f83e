"""`lakehouse replay`: recorded data as a device's messages.

Belongs here: options, progress and what is printed. The replay is `device_sim.playback`.
"""

from pathlib import Path

import click

from lakehouse.cli.commands.simulate import message_progress


def _columns(context: click.Context, parameter: click.Parameter, values: tuple[str, ...]) -> dict[str, str]:
    columns: dict[str, str] = {}
    for value in values:
        column, separator, telemetry = value.rpartition("=")
        if not separator or not column or not telemetry:
            raise click.BadParameter(f"{value!r} is not COLUMN=TELEMETRY")
        if column in columns:
            raise click.BadParameter(f"the column {column!r} is mapped twice")
        columns[column] = telemetry
    return columns


@click.command()
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--model", required=True, help="The device's model: DTMI or short name.")
@click.option("--device", metavar="ID", help="The device that recorded all of it.")
@click.option("--device-column", metavar="COLUMN", help="The column that names each row's device.")
@click.option("--time-column", metavar="COLUMN", help="The column of the time. By default one named timestamp or time.")
@click.option("--time-zone", default="UTC", show_default=True, help="Of times that name no zone themselves.")
@click.option(
    "--map",
    "columns",
    multiple=True,
    callback=_columns,
    metavar="COLUMN=TELEMETRY",
    help="May be repeated. Columns with the name of a telemetry need none.",
)
@click.option("--site", metavar="ID", help="Where the devices stand.")
def replay(
    file: Path,
    model: str,
    device: str | None,
    device_column: str | None,
    time_column: str | None,
    time_zone: str,
    columns: dict[str, str],
    site: str | None,
) -> None:
    """Send the rows of FILE as messages of the devices that recorded them, with their own times.

    FILE is CSV, JSON lines or Parquet. The devices are registered, in service since their first reading. Every row
    is sent: an empty cell is left out, and what is wrong with a row is judged in the lake. Replaying a file again
    changes nothing, and of a file that has grown only the new rows count.

    \b
    Examples:
      lakehouse replay office.csv --model thermostat --device office-1 --map value=temperature
      lakehouse replay plant.parquet --model pump --device-column pump_id --map vib=motor.vibration --site bergen
    """
    from device_sim.playback import Replayer, ReplayOptions
    from device_sim.playback import replay as run_replay
    from device_sim.simulation import stop_on_signal
    from ingestion.landing_topics import ensure_topics
    from lake.models.catalog import known_models
    from runtime.kafka.broker import running_broker
    from runtime.settings import load_settings

    settings = load_settings()
    options = ReplayOptions(file, model, device, device_column, time_column, columns, time_zone, site)
    # what is wrong with the file or the options is said before a broker is started for them
    replayer = Replayer(options, known_models(settings))
    with running_broker(settings) as bootstrap, stop_on_signal() as stop:
        ensure_topics(bootstrap)
        with message_progress("Sending") as progress:
            summary = run_replay(replayer, bootstrap, progress, stop)
    done = "Interrupted: sent" if summary.is_interrupted else "Sent"
    click.echo(f"{done} {summary.row_count:,} rows as {summary.message_count:,} messages in {summary.elapsed_s:.1f} s.")
    for device_id, first_at in summary.devices.items():
        click.echo(f"  {_shown(device_id)}, in service since {first_at:%Y-%m-%dT%H:%M:%SZ}")
    if summary.devices_without_time:
        click.echo(f"Not registered, no readable time: {', '.join(map(_shown, summary.devices_without_time))}")
    if summary.unused_columns:
        click.echo(f"Columns not sent: {', '.join(map(_shown, summary.unused_columns))}")


def _shown(name: str) -> str:
    """A name from a file as it may be printed anywhere."""
    return name.encode("utf-8", "backslashreplace").decode()
