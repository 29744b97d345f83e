"""`lakehouse upgrade`: a lake of an earlier version of the program for this one.

Belongs here: printing. What is done is `pipeline.lake_upgrade`'s.
"""

import json
from dataclasses import asdict
from datetime import UTC, datetime

import click

from runtime.wording import counted


@click.command()
@click.option("--dry-run", is_flag=True, help="Say which tables are behind, and do nothing.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def upgrade(dry_run: bool, as_json: bool) -> None:
    """Bring the lake's tables up to this program's format. An earlier program then refuses to open them.

    Until then this program opens the lake as it is. No figure changes, and what publications pin stays readable. It can
    be stopped at any moment and run again.

    \b
    Examples:
      lakehouse upgrade --dry-run
      lakehouse upgrade
    """
    from lake.models.catalog import known_models
    from lake.storage.format_version import FORMAT
    from lake.storage.lease import LEASE_WAIT_S
    from lakehouse.cli.run_output import shown_progress
    from pipeline.lake_upgrade import tables_behind
    from pipeline.lake_upgrade import upgrade as upgrade_lake
    from pipeline.run import Run
    from runtime.settings import load_settings

    settings = load_settings()
    models = known_models(settings)
    if dry_run:
        behind = tables_behind(settings, models)
    else:
        with shown_progress() as progress:
            behind = upgrade_lake(Run(settings, models, "upgrade", datetime.now(UTC), progress, LEASE_WAIT_S))
    if as_json:
        click.echo(json.dumps({"dry_run": dry_run, "format": FORMAT, "behind": [asdict(each) for each in behind]}))
    elif not behind:
        click.echo(f"Nothing to do: every table has format {FORMAT}.")
    elif dry_run:
        click.echo(
            f"In an earlier format than {FORMAT}: {counted(len(behind), 'table')}. "
            "Nothing was done: this was a dry run."
        )
    else:
        click.echo(f"In format {FORMAT} now: {counted(len(behind), 'table')}.")
