"""`lakehouse backfill`: chosen hours done again.

Belongs here: options, which hours they mean, and what is printed. The work is the Dagster job `backfill`, the same run
that a backfill from the UI makes.
"""

import json
from collections.abc import Collection
from itertools import groupby
from typing import TYPE_CHECKING

import click

from runtime.errors import UsageError

if TYPE_CHECKING:
    from runtime.settings import Settings

_DAY = len("2026-11-20")


@click.command()
@click.option("--from", "first", required=True, metavar="HOUR|DAY", help="First hour, or first day from its start.")
@click.option("--to", "last", required=True, metavar="HOUR|DAY", help="Last hour, or last day to its end; included.")
@click.option(
    "--layer",
    type=click.Choice(["silver", "gold"]),
    default="silver",
    show_default=True,
    help="Where to begin: silver judges bronze anew, gold takes silver as it is.",
)
@click.option("--json", "as_json_", is_flag=True, help="Print JSON.")
def backfill(first: str, last: str, layer: str, as_json_: bool) -> int:
    """Do the hours from HOUR to HOUR (UTC) again, and judge and publish them.

    Needed after a change of the code or of a model's limits: new data needs none. Hours without records are left out.
    A slice that fails its quality suite is held: it keeps what was last published. Then the exit code is 3. What is
    stale elsewhere is published too, since a publication speaks for the whole lake.

    \b
    Examples:
      lakehouse backfill --from 2026-11-20 --to 2026-11-20
      lakehouse backfill --from 2026-11-20T05 --to 2026-11-20T07 --layer gold
    """
    from lakehouse.cli.run_output import HELD, as_json, print_summary, shown_progress
    from runtime.settings import load_settings

    settings = load_settings()
    hours = hours_between(first, last)
    runs = runs_over(hours, _with_records(settings))
    if not runs:
        click.echo("[]" if as_json_ else f"No records from {hours[0]} to {hours[-1]}: nothing to do.")
        return 0
    summaries = []
    for slices in runs:
        with shown_progress() as progress:
            progress(f"{slices[0]} to {slices[-1]}")
            from dagster_project.runs.in_process import run_job

            job = "backfill" if layer == "silver" else "backfill_gold"
            summaries.append(run_job(settings, job, slices=slices, progress=progress))
        if not as_json_:
            print_summary(summaries[-1], is_stale_asked=True)
    if as_json_:
        click.echo(json.dumps([as_json(summary) for summary in summaries], indent=2))
    return HELD if any(summary.held for summary in summaries) else 0


def hours_between(first: str, last: str) -> list[str]:
    """The hours that `--from` and `--to` mean, a day from its first to its last. Raises UsageError."""
    from lake.slices import slices_between

    hours = slices_between(f"{first}T00" if len(first) == _DAY else first, f"{last}T23" if len(last) == _DAY else last)
    if not hours:
        raise UsageError(f"--to {last} is before --from {first}.")
    return hours


def runs_over(hours: Collection[str], with_records: Collection[str]) -> list[list[str]]:
    """Which of the hours go into which run: a month each, from its first to its last hour with records.

    One reading of years ago is so no reason to go through all hours since.
    """
    runs = []
    for _, month in groupby(sorted(hours), key=lambda hour: hour[:7]):
        ours = list(month)
        there = [hour for hour in ours if hour in with_records]
        if there:
            runs.append([hour for hour in ours if there[0] <= hour <= there[-1]])
    return runs


def _with_records(settings: "Settings") -> frozenset[str]:
    from lake.models.catalog import known_models
    from pipeline.gold.stale import stale_slices

    return stale_slices(settings, known_models(settings)).with_records
