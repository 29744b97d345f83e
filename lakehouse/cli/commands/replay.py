"""`lakehouse replay`: recorded data as a device's messages.

Belongs here: options, progress, what is printed, and the refusal of what the lake has. The replay is
`device_sim.playback`.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from lakehouse.cli.commands.simulate import message_progress
from runtime.errors import InputError
from runtime.wording import counted
from wire.envelope import rfc3339

if TYPE_CHECKING:
    from device_sim.playback import Replayer
    from device_sim.replay_options import ReplayOptions
    from lake.models.catalog import Model
    from lake.reading.known_readings import KnownValues, Outgoing
    from runtime.settings import Settings
    from wire.envelope import Message

HELD = 3
_DEVICES_SHOWN = 20


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


def _pivot(context: click.Context, parameter: click.Parameter, value: str | None) -> tuple[str, str] | None:
    if value is None:
        return None
    name, separator, column = value.rpartition("=")
    if not separator or not name or not column:
        raise click.BadParameter(f"{value!r} is not NAME=VALUE, the columns of the names and of the values")
    return name, column


def _file_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """The options that say how the file is to be read."""
    options = (
        click.option("--time-column", metavar="COLUMN", help="The column of the time. By default timestamp or time."),
        click.option("--time-zone", default="UTC", show_default=True, help="Of times that name no zone themselves."),
        click.option("--time-unit", type=click.Choice(["s", "ms", "us", "ns"]), help="Times are numbers since 1970."),
        click.option("--time-format", metavar="FORMAT", help="Of times that are not ISO 8601, as %d.%m.%Y %H:%M."),
        click.option(
            "--decimal", "decimal_mark", type=click.Choice([".", ","]), default=".", help="Decimal mark of a CSV file."
        ),
        click.option("--missing", multiple=True, metavar="TEXT", help="What a cell without a value says. Repeatable."),
        click.option(
            "--pivot", callback=_pivot, metavar="NAME=VALUE", help="A long file: its columns of names and of values."
        ),
    )
    for option in reversed(options):
        command = option(command)
    return command


@click.command()
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--model", required=True, help="The device's model: DTMI or short name.")
@click.option("--device", metavar="ID", help="The device that recorded all of it.")
@click.option("--device-column", metavar="COLUMN", help="The column that names each row's device.")
@click.option(
    "--map",
    "columns",
    multiple=True,
    callback=_columns,
    metavar="COLUMN=TELEMETRY",
    help="May be repeated. Columns with the name of a telemetry need none. With --pivot a name of the file.",
)
@click.option("--only", multiple=True, metavar="TELEMETRY", help="Send nothing but this telemetry. Repeatable.")
@_file_options
@click.option("--site", metavar="ID", help="Where the devices stand.")
@click.option("--dry-run", is_flag=True, help="Check the file and show what would be sent.")
def replay(file: Path, dry_run: bool, **given: Any) -> int:
    """Send the rows of FILE as messages of the devices that recorded them, with their own times.

    FILE is CSV, JSON lines or Parquet. All of it is checked before the first row is sent. A row whose cells do not fit
    the names, or whose local time cannot be told, is refused with its line, and the exit code is 3. An empty cell is
    left out, and what is wrong with a value is judged in the lake. The devices are registered, in service since their
    first reading. Rows that were sent before, from this file or another, change nothing; a file of other columns that
    would bring values again which silver has, or which wait for it, is refused.

    \b
    Examples:
      lakehouse replay office.csv --model thermostat --device office-1 --map value=temperature
      lakehouse replay plant.parquet --model pump --device-column pump_id --map vib=motor.vibration --site bergen
      lakehouse replay logger.csv --model thermostat --device attic --time-unit ms --missing -999 --dry-run
      lakehouse replay home.csv --model thermostat --device home --pivot entity_id=state --map sensor.hall=temperature
    """
    from device_sim.playback import Replayer
    from device_sim.replay_options import ReplayOptions
    from lake.models.catalog import known_models
    from runtime.settings import load_settings

    settings = load_settings()
    models = known_models(settings)
    options = ReplayOptions(path=file, **given)
    # what is wrong with the file or the options is said before a broker is started for them
    with message_progress("Checking") as progress:
        replayer = Replayer(options, models, progress)
    if dry_run:
        require_no_known_values(settings, models, replayer)
        _print_check(replayer)
    else:
        _send(settings, models, replayer)
    _print_refusals(replayer, options)
    return HELD if replayer.check.refused else 0


def require_no_known_values(
    settings: "Settings", models: "Mapping[str, Model]", replayer: "Replayer", landing: "Iterable[Message]" = ()
) -> None:
    """Raises InputError where a file would bring values a second time, which the lake has or has yet to take in.

    `landing` are messages that wait in Kafka, read as they are asked for. Meanwhile a tick may bring them to bronze and
    to silver: asked in this order, none gets past.
    """
    from lake.reading.known_readings import known_values, waiting_values
    from lake.reading.unjudged_messages import unjudged_messages

    outgoing = outgoing_of(replayer)
    if outgoing is None:
        return
    known = waiting_values(models, outgoing, chain(landing, unjudged_messages(settings, outgoing)))
    if known is not None:
        raise _twice(replayer, known, "wait for the lake (`lakehouse refresh` takes them in)")
    known = known_values(settings, models, outgoing)
    if known is not None:
        raise _twice(replayer, known, "the lake has")


def _landing(settings: "Settings", replayer: "Replayer", bootstrap: str) -> "Iterator[Message]":
    """The messages of a file's devices that wait in Kafka."""
    from ingestion.waiting import waiting_records
    from runtime.kafka.record_headers import headers_of
    from wire.envelope import TELEMETRY_TOPIC, Message

    ours = {each.encode("utf-8", "replace") for each in replayer.check.devices}
    for each in waiting_records(settings, bootstrap, TELEMETRY_TOPIC):
        if each.key() in ours:
            headers = [(name, value) for name, value in headers_of(each) or [] if value]
            yield Message(TELEMETRY_TOPIC, each.key(), headers, each.value() or b"")


def outgoing_of(replayer: "Replayer") -> "Outgoing | None":
    """What a file would bring; None where no time of it can be read."""
    from lake.reading.known_readings import Outgoing

    check, model = replayer.check, replayer.model
    firsts = [each.first for each in check.devices.values() if each.first is not None]
    lasts = [each.last for each in check.devices.values() if each.last is not None]
    if not firsts or not lasts:
        return None
    return Outgoing(
        model,
        tuple(each for each in model.telemetry if each.metric_name in check.values),
        tuple(check.devices),
        min(firsts),
        max(lasts),
        lambda: chain.from_iterable(replayer.rows()),
    )


def _twice(replayer: "Replayer", known: "KnownValues", who: str) -> InputError:
    return InputError(
        f"{counted(known.count, 'row')} of {replayer.recording.path.name} would bring values that {who} of "
        f"the same device and time, in messages of other telemetry: first {', '.join(known.names)} of "
        f"{known.device_id} at {rfc3339(known.at)}. They would count twice. Nothing was sent. Give --only NAME for "
        "each telemetry that is new."
    )


def _send(settings: "Settings", models: "Mapping[str, Model]", replayer: "Replayer") -> None:
    from device_sim.playback import replay as run_replay
    from device_sim.simulation import stop_on_signal
    from ingestion.landing_topics import ensure_topics
    from ingestion.made_topics import made_by
    from runtime.kafka.broker import running_broker

    with running_broker(settings) as bootstrap, stop_on_signal() as stop:
        ensure_topics(bootstrap, made=made_by(settings))
        require_no_known_values(settings, models, replayer, _landing(settings, replayer, bootstrap))
        with message_progress("Sending") as progress:
            summary = run_replay(replayer, bootstrap, progress, stop)
    done = "Interrupted: sent" if summary.is_interrupted else "Sent"
    messages = counted(summary.message_count, "message")
    click.echo(f"{done} {counted(summary.row_count, 'row')} as {messages} in {summary.elapsed_s:.1f} s.")
    _print_devices(replayer)
    if replayer.unused_columns:
        click.echo(f"Columns not sent: {', '.join(map(_shown, replayer.unused_columns))}")


def _print_devices(replayer: "Replayer") -> None:
    registered = {name: at for name, at in replayer.first_times.items() if at is not None}
    for device_id, first_at in list(registered.items())[:_DEVICES_SHOWN]:
        click.echo(f"  {_shown(device_id)}, in service since {first_at:%Y-%m-%dT%H:%M:%SZ}")
    if len(registered) > _DEVICES_SHOWN:
        click.echo(f"  and {len(registered) - _DEVICES_SHOWN:,} more devices")
    without = [name for name, at in replayer.first_times.items() if at is None]
    if without:
        click.echo(f"Not registered, no readable time: {', '.join(map(_shown, without[:_DEVICES_SHOWN]))}")


def _print_check(replayer: "Replayer") -> None:
    check = replayer.check
    click.echo(f"{counted(check.rows, 'row')} of {counted(len(check.devices), 'device')} would be sent; nothing was.")
    for device_id, times in list(check.devices.items())[:_DEVICES_SHOWN]:
        spell = "no readable time" if times.first is None else f"{times.first:%FT%TZ} to {times.last:%FT%TZ}"
        click.echo(f"  {_shown(device_id)}: {counted(times.rows, 'row')}, {spell}")
    if len(check.devices) > _DEVICES_SHOWN:
        click.echo(f"  and {counted(len(check.devices) - _DEVICES_SHOWN, 'more device')}")
    click.echo("Telemetry:")
    for name, values in check.values.items():
        between = "" if values.lowest is None else f", {values.lowest:g} to {values.highest:g}"
        click.echo(f"  {name}: {counted(values.count, 'value')}{between}; the first is {_shown(values.first[:80])}")
    if replayer.unused_columns:
        click.echo(f"Columns not sent: {', '.join(map(_shown, replayer.unused_columns))}")


def _print_refusals(replayer: "Replayer", options: "ReplayOptions") -> None:
    """What is not as one would wish, for the error stream."""
    check, place = replayer.check, replayer.recording.place
    if replayer.unused_names:
        names = ", ".join(f"{_shown(name)} ({count:,})" for name, count in replayer.unused_names.items())
        click.echo(f"Rows of other names were left out: {names}", err=True)
    for sentence in _not_as_wished(replayer):
        click.echo(sentence, err=True)
    for line, why in check.refusals:
        click.echo(f"Refused, {place} {line}: {_shown(why)}", err=True)
    if check.refused:
        unnamed = check.refused - len(check.refusals)
        more = f", {unnamed:,} more than are named" if unnamed else ""
        click.echo(
            f"Refused of {options.path.name}: {counted(check.refused, 'row')}{more}. "
            "Mend what is wrong and replay the file again: the other rows are known by then.",
            err=True,
        )


def _not_as_wished(replayer: "Replayer") -> Iterator[str]:
    """What is sent as it is, or not at all, though no row of it is refused."""
    from lake.slices import FIRST_IMPLAUSIBLE_YEAR, FIRST_PLAUSIBLE_YEAR

    check, place = replayer.check, replayer.recording.place
    if check.valueless:
        yield f"Left out, without a value: {counted(check.valueless, 'row')}."
    if check.unnamed:
        yield f"Without a device, which the lake refuses: {counted(check.unnamed, 'row')}."
    if check.untimed:
        rows = counted(check.untimed, "row")
        yield f"With a time that cannot be read: {rows}, the first in {place} {check.first_untimed_line}."
    if check.first_implausible is not None:
        rows, (line, value, moment) = counted(check.implausible, "row"), check.first_implausible
        yield (
            f"With a time outside the years {FIRST_PLAUSIBLE_YEAR} to {FIRST_IMPLAUSIBLE_YEAR - 1}: {rows}, the first "
            f"in {place} {line}, {_shown(str(value))}, which is read as {moment.isoformat(' ', 'minutes')[:16]}."
        )
    if check.contradicting:
        rows = counted(check.contradicting, "row")
        yield f"With the time of the row before and other values, of which the first counts: {rows}."
    if check.again:
        yield f"The same as the row before, which count once: {counted(check.again, 'row')}."


def _shown(name: str) -> str:
    """What a file says, on one line and without signs that a terminal would obey."""
    return "".join(each if each.isprintable() else each.encode("unicode_escape").decode() for each in name)
