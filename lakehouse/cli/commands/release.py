"""`lakehouse release`: publish a held slice in spite of its verdict.

Belongs here: options and what is printed. What a release means stands in `lake.records.verdicts`.
"""

import getpass
from datetime import UTC, datetime

import click


@click.command()
@click.argument("slice_", metavar="SLICE")
@click.option("--why", required=True, help="The reason; it stands in the publication and is shown with the data.")
@click.option("--by", metavar="NAME", help="Who says so. By default the name of this login.")
@click.option("--later", is_flag=True, help="Leave publishing to the next refresh.")
def release(slice_: str, why: str, by: str | None, later: bool) -> int:
    """Publish the held SLICE as it is: an hour as 2026-11-20T05, or what `lakehouse status` lists.

    It stands for what was found. When the findings change, the slice is judged anew. Exit code 3 when it is still held.

    \b
    Example:
      lakehouse release 2026-11-20T05 --why "the sensor was being replaced"
    """
    from lake.records.verdicts import release as let_pass
    from lake.storage.lease import LEASE_WAIT_S, writer_lease
    from lakehouse.cli.run_output import HELD, print_held, shown_progress
    from runtime.settings import load_settings

    settings = load_settings()
    with shown_progress() as progress, writer_lease(settings, "release", LEASE_WAIT_S, tell=progress):
        released = let_pass(settings, slice_, why, by or getpass.getuser(), datetime.now(UTC))
    tables = ", ".join(sorted({verdict.table for verdict in released}))
    click.echo(f"Released {slice_} in {tables}, by {released[0].released_by}: {why}")
    if later:
        click.echo("`lakehouse refresh` publishes it.")
        return 0

    with shown_progress() as progress:
        progress("Starting")
        from dagster_project.runs.in_process import run_job

        summary = run_job(settings, "publish", slices=[slice_] if "T" in slice_ else None, progress=progress)
    held = [verdict for verdict in summary.held if verdict.slice == slice_]
    publication = None if summary.outcome is None else summary.outcome.publication
    if held:
        print_held(held)
    elif publication is not None:
        click.echo(f"Publication {publication.publication_id} has it.")
    return HELD if held else 0
