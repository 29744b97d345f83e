"""What the commands that run a job have in common: progress while it runs, and what came of it.

Belongs here: showing and spelling. Running is in `dagster_project.runs.in_process`.
"""

import re
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import click

from runtime.wording import counted

if TYPE_CHECKING:
    from dagster_project.runs.in_process import RunSummary
    from lake.records.verdicts import Verdict

HELD = 3
_SHOWN = 10
_ONE_OF_MANY = re.compile(r"\(\d+ of \d+\)$")


@contextmanager
def shown_progress() -> Iterator[Callable[[str], None]]:
    """What is being done, on stderr: one moving line on a terminal, else a line for each step."""
    if not sys.stderr.isatty():
        yield lambda text: None if _ONE_OF_MANY.search(text) else click.echo(f"  {text}", err=True)
        return
    from rich.console import Console
    from rich.markup import escape

    with Console(stderr=True).status("Starting") as status:
        yield lambda text: status.update(escape(text))


def print_summary(summary: "RunSummary", *, is_stale_asked: bool) -> None:
    """What a run did, for people; `is_stale_asked` says whether it was to publish what is stale."""
    if summary.tick is not None:
        _print_tick(summary)
    if summary.rebuilt is not None:
        click.echo(f"Judged anew: {_listed(summary.rebuilt.rows, 'reading')}.")
        if summary.rebuilt.rejected:
            click.echo(f"Rejected: {_counts(summary.rebuilt.rejected)}.")
    if is_stale_asked:
        _print_outcome(summary)


def as_json(summary: "RunSummary") -> dict[str, Any]:
    """What a run did, for programs."""
    tick, rebuilt, outcome = summary.tick, summary.rebuilt, summary.outcome
    report = tick or rebuilt
    publication = None if outcome is None else outcome.publication
    return {
        "run_id": summary.run_id,
        "ingested": {} if tick is None else tick.ingested,
        "devices_changed": 0 if tick is None else tick.devices_changed,
        "rows": {} if report is None else report.rows,
        "rejected": {} if report is None else report.rejected,
        "slices": [] if report is None else report.slices,
        "notes": [] if tick is None else list(tick.notes),
        "publication": None if publication is None else publication.publication_id,
        "published": [] if outcome is None else [*outcome.published, *outcome.days],
        "held": [_held_json(verdict) for verdict in summary.held],
    }


def _print_tick(summary: "RunSummary") -> None:
    tick = summary.tick
    assert tick is not None
    for note in tick.notes:
        click.echo(f"Kafka: {note}")
    if not any((*tick.ingested.values(), *tick.rows.values(), *tick.rejected.values(), tick.devices_changed)):
        click.echo("No new messages.")
        return
    click.echo(f"Ingested: {_listed(tick.ingested, 'message')}.")
    if tick.devices_changed:
        click.echo(f"Registry: {counted(tick.devices_changed, 'device')} new or changed.")
    if tick.rows:
        click.echo(f"Silver: {_listed(tick.rows, 'reading')}.")
    if tick.rejected:
        click.echo(f"Rejected: {_counts(tick.rejected)}.")
    if tick.slices:
        click.echo(f"Touched: {_span(tick.slices)}.")


def _print_outcome(summary: "RunSummary") -> None:
    outcome = summary.outcome
    if outcome is None:
        click.echo("Nothing to publish: gold has all readings that have come.")
        return
    if outcome.publication is not None:
        what = _span(outcome.published) if outcome.published else "the registry"
        days = f" and {counted(len(outcome.days), 'day')}" if outcome.days else ""
        click.echo(f"Publication {outcome.publication.publication_id}: {what}{days}.")
    else:
        click.echo("Nothing is published: what there is to publish is held.")
    if outcome.held:
        print_held(outcome.held)


def print_held(held: Sequence["Verdict"]) -> None:
    """What is held and why, one line a failing expectation."""
    slices = sorted({verdict.slice for verdict in held})
    click.echo(f"Held, so not published: {counted(len(slices), 'slice')}")
    lines = [f"  {v.slice}  {v.table}: {failure.message}" for v in held for failure in v.failures]
    for line in lines[:_SHOWN]:
        click.echo(line)
    if len(lines) > _SHOWN:
        click.echo(f"  … and {len(lines) - _SHOWN:,} more: lakehouse status --json")
    click.echo('Mend the cause and run again, or publish in spite of it: lakehouse release SLICE --why "…"')


def _held_json(verdict: "Verdict") -> dict[str, Any]:
    failures = [{"expectation": failure.expectation, "message": failure.message} for failure in verdict.failures]
    return {"slice": verdict.slice, "table": verdict.table, "failures": failures}


def _listed(counts: Mapping[str, int], what: str) -> str:
    total = sum(counts.values())
    return counted(total, what) + (f" ({_counts(counts)})" if total else "")


def _counts(counts: Mapping[str, int]) -> str:
    largest_first = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    return ", ".join(f"{name} {count:,}" for name, count in largest_first if count)


def _span(slices: Iterable[str]) -> str:
    ordered = sorted(slices)
    if len(ordered) == 1:
        return f"1 hour, {ordered[0]}"
    return f"{len(ordered):,} hours, {ordered[0]} to {ordered[-1]}"
