"""`lakehouse status`: where the lake stands.

Belongs here: printing what `pipeline.lake_state` collects, for people and as JSON.
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import click

from runtime.wording import counted

if TYPE_CHECKING:
    from pipeline.lake_state import Status
    from runtime.settings import Settings

# an operator reads a screen; --json has them all
_SHOWN = 10


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def status(as_json: bool) -> None:
    """Show where the lake stands, without starting anything.

    The newest publication and its age, slices held and why, slices that are stale, minutes of the hot path that differ
    from gold without a cause, messages that wait in Kafka, rows and versions of the tables, and what runs.

    \b
    Examples:
      lakehouse status
      lakehouse status --json | jq .stale
    """
    from lake.models.catalog import known_models
    from pipeline.lake_state import lake_status
    from runtime.settings import load_settings

    settings = load_settings()
    found = lake_status(settings, known_models(settings))
    now = datetime.now(UTC)
    if as_json:
        click.echo(json.dumps(_as_json(settings, found, now), indent=2))
    else:
        _print(settings, found, now)


def _as_json(settings: "Settings", found: "Status", now: datetime) -> dict[str, Any]:
    from lakehouse.cli.output import spelt
    from lakehouse.cli.rooms import all_programs
    from runtime.programs import addresses

    published = found.publication
    return {
        "home": str(settings.home),
        "lake_uri": settings.lake_uri,
        "publication": None
        if published is None
        else {**spelt(vars(published)), "age_s": round((now - published.published_at).total_seconds())},
        "held": [spelt(asdict(verdict)) for verdict in found.held],
        "stale": {slice_: list(reasons) for slice_, reasons in found.stale.items()},
        "hot_unexplained": [spelt(row) for row in found.unexplained],
        "broker": found.broker,
        "broker_note": found.broker_note,
        "partitions": [asdict(each) for each in found.partitions],
        "tables": [asdict(each) for each in found.tables],
        "writer": None if found.writer is None else asdict(found.writer),
        "addresses": addresses(settings, all_programs()),
        "hub": _hub(settings),
        "running": [asdict(each) for each in found.running],
        "ended": [{"name": each.name, "log": str(each.log)} for each in found.ended],
    }


def _print(settings: "Settings", found: "Status", now: datetime) -> None:
    click.echo(f"Lake {settings.lake_uri}" + (f", home {settings.home}" if settings.is_s3 else ""))
    _print_publication(found, now)
    _print_held(found)
    _print_stale(found.stale)
    _print_unexplained(found)
    _print_lag(found)
    _print_tables(found)
    _print_hub(settings)
    _print_processes(found)


def _hub(settings: "Settings") -> list[dict[str, Any]]:
    if not settings.hub_folder.exists():
        return []
    from hub.administration import hub_status

    return hub_status(settings)


def _print_hub(settings: "Settings") -> None:
    from lakehouse.cli.output import print_table

    figures = ("connections", "in_per_s", "unacked", "landed", "refused", "throttled", "too_large")
    rows = [[each[name] for name in figures] for each in _hub(settings)]
    if rows:
        click.echo("\nHub, a row for each process:")
        print_table(figures, rows, "  ")


def _print_publication(found: "Status", now: datetime) -> None:
    from lakehouse.cli.output import duration, moment

    published = found.publication
    if published is None:
        click.echo("Nothing is published yet: `lakehouse refresh` ingests, builds and publishes.")
        return
    span = f", hours {published.first_slice} to {published.last_slice}" if published.first_slice else ""
    age = duration(now - published.published_at)
    click.echo(f"Publication {published.publication_id} of {moment(published.published_at)}, {age} old{span}")
    by_slice: dict[tuple[str, str, str], list[str]] = {}
    for entry in published.releases:
        by_slice.setdefault((entry["slice"], entry["who"], entry["why"]), []).append(entry["table"])
    for (slice_, who, why), tables in sorted(by_slice.items()):
        click.echo(f"Released by {who}: {slice_} ({', '.join(tables)}): {why}")


def _print_held(found: "Status") -> None:
    from lakehouse.cli.output import print_table

    slices = {verdict.slice for verdict in found.held}
    click.echo(f"\nHeld slices: {len(slices) or 'none'}")
    if not slices:
        return
    rows = [(verdict.slice, verdict.table, failure.message) for verdict in found.held for failure in verdict.failures]
    _print_some(print_table, ("slice", "table", "why"), rows)
    click.echo('  Mend and `lakehouse refresh`, or publish as it is: lakehouse release SLICE --why "…"')


def _print_stale(stale: Mapping[str, tuple[str, ...]]) -> None:
    from lake.slices import HOUR, runs_of, slice_of, slice_start
    from lakehouse.cli.output import print_table

    click.echo(f"\nStale slices: {len(stale) or 'none'}")
    by_reason: dict[tuple[str, ...], list[str]] = {}
    for slice_, reasons in stale.items():
        by_reason.setdefault(reasons, []).append(slice_)
    rows = [
        (first, slice_of(slice_start(first) + HOUR * (count - 1)), count, "; ".join(reasons))
        for reasons, slices in by_reason.items()
        for first, count in runs_of(slices)
    ]
    if rows:
        _print_some(print_table, ("from", "to", "hours", "why"), sorted(rows))


def _print_unexplained(found: "Status") -> None:
    from lakehouse.cli.output import moment, print_table

    if found.unexplained:
        click.echo(f"\nMinutes in which the hot path and gold differ, and nothing says why: {len(found.unexplained)}")
        columns = ("minute", "device", "metric", "hot path", "gold")
        rows = [
            (moment(row["minute_at"]), row["device_id"], row["metric_name"], _figure(row, "hot"), _figure(row, "gold"))
            for row in found.unexplained
        ]
        _print_some(print_table, columns, rows)


def _figure(row: Mapping[str, Any], side: str) -> str:
    count = row[f"{side}_reading_count"]
    return "none" if count is None else f"{counted(count, 'reading')}, mean {row[f'{side}_value_mean']:g}"


def _print_lag(found: "Status") -> None:
    from lakehouse.cli.output import print_table

    waiting = sum(each.lag or 0 for each in found.partitions)
    at_most = "" if all(each.is_exact for each in found.partitions) else "up to "
    if found.broker is None:
        click.echo(f"\nMessages that wait are not known: {found.broker_note}.")
    else:
        click.echo(f"\nMessages that wait in Kafka at {found.broker}: {at_most}{waiting or 'none'}")
    for each in found.partitions:
        place = f"{each.topic}, partition {each.partition}"
        if each.behind_open:
            click.echo(
                f"  {place}: a transaction is open from offset {each.high} on; what follows is read when it ends"
            )
        if each.lost:
            click.echo(f"  {place}: {each.lost} offsets from {each.committed} on are gone from the broker, unread")
    if found.partitions:
        print_table(
            ("topic", "partition", "in bronze up to", "in Kafka up to", "waiting"),
            [(each.topic, each.partition, each.committed, each.high, each.lag) for each in found.partitions],
            indent="  ",
        )


def _print_tables(found: "Status") -> None:
    from lakehouse.cli.output import print_table

    click.echo(f"\nTables: {len(found.tables) or 'none'}")
    if found.tables:
        print_table(
            ("table", "rows", "version", "published", "files", "MB"),
            [
                (each.name, each.rows, each.version, each.published_version, each.files,
                 round(each.size_bytes / 1e6, 1))
                for each in found.tables
            ],
            indent="  ",
        )  # fmt: skip


def _print_processes(found: "Status") -> None:
    from lakehouse.cli.output import print_table

    click.echo(f"\nWriting to the lake: {found.writer or 'nobody'}")
    click.echo(f"Running: {len(found.running) or 'nothing'}")
    if found.running:
        print_table(
            ("program", "process", "address"),
            [(each.name, str(each.pid), each.address) for each in found.running],
            indent="  ",
        )
    for each in found.ended:
        click.echo(f"  The {each.name} ended without being stopped; its log is {each.log}")


def _print_some(printer: Any, columns: tuple[str, ...], rows: Iterable[tuple[Any, ...]]) -> None:
    every = list(rows)
    printer(columns, every[:_SHOWN], indent="  ")
    if len(every) > _SHOWN:
        click.echo(f"  … and {len(every) - _SHOWN} more: --json lists them all")
