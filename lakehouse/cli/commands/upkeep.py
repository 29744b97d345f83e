"""`lakehouse upkeep`: small files compacted, and what nothing needs any more deleted.

Belongs here: options and what is printed. The work is the Dagster job `upkeep`; what is kept stands in
`pipeline.maintenance`.
"""

import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from pipeline.maintenance import TableUpkeep, Upkeep

_SHOWN = ("compacted_files", "compacted_bytes", "deleted_files", "deleted_bytes", "deleted_log_files")


@click.command()
@click.option("--dry-run", is_flag=True, help="Say what there is to do, and do nothing.")
@click.option("--json", "as_json_", is_flag=True, help="Print JSON.")
def upkeep(dry_run: bool, as_json_: bool) -> int:
    """Compact the small files of days that are over, and delete files and log entries that nothing needs any more.

    Whatever a kept publication pins stays readable: those of the last LAKEHOUSE_KEEP_PUBLICATIONS_DAYS days (30), and
    the newest. Files out of use stay for LAKEHOUSE_KEEP_FILES_HOURS hours (24), for those who are still reading them.
    Rows of bronze and silver are dropped when LAKEHOUSE_KEEP_BRONZE_DAYS or LAKEHOUSE_KEEP_SILVER_DAYS say so. No
    published figure changes. `lakehouse up` does it each night.

    \b
    Examples:
      lakehouse upkeep --dry-run
      LAKEHOUSE_KEEP_PUBLICATIONS_DAYS=7 lakehouse upkeep
    """
    from runtime.settings import load_settings

    settings = load_settings()
    if dry_run:
        from lake.models.catalog import known_models
        from pipeline.maintenance import plan_upkeep

        found: Upkeep | None = plan_upkeep(settings, known_models(settings), now=datetime.now(UTC))
    else:
        from lakehouse.cli.run_output import shown_progress

        with shown_progress() as progress:
            progress("Starting")
            from dagster_project.runs.in_process import run_job

            found = run_job(settings, "upkeep", progress=progress).upkeep
    assert found is not None
    if as_json_:
        click.echo(json.dumps(_as_json(found, dry_run), indent=2))
    else:
        _print(found, dry_run)
    return 0


def _as_json(found: "Upkeep", is_dry_run: bool) -> dict[str, Any]:
    return {
        "dry_run": is_dry_run,
        "expired_publications": list(found.expired),
        "tables": {each.table.name: _figures(each) for each in found.tables},
    }


def _figures(each: "TableUpkeep") -> dict[str, Any]:
    return {
        "drop_rows_before": None if each.drop_before is None else str(each.drop_before),
        "compacted_files": each.compaction.files,
        "compacted_bytes": each.compaction.size_bytes,
        "deleted_files": len(each.unread),
        "deleted_bytes": sum(file.size_bytes for file in each.unread),
        "deleted_log_files": len(each.log),
        "checkpoint": each.needs_checkpoint,
    }


def _print(found: "Upkeep", is_dry_run: bool) -> None:
    from lakehouse.cli.output import print_table

    rows = [
        (each.table.name, each.drop_before, *(figures[name] for name in _SHOWN))
        for each, figures in ((each, _figures(each)) for each in found.tables)
        if not each.is_nothing
    ]
    if rows:
        print_table(("table", "drop_rows_before", *_SHOWN), rows)
    if found.expired:
        click.echo(f"Publications let go: {found.expired[0]} to {found.expired[-1]}.")
    if not rows and not found.expired:
        click.echo("Nothing to do.")
    elif is_dry_run:
        click.echo("Nothing was done: this was a dry run.")
