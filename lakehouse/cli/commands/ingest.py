"""`lakehouse ingest`: one tick.

Belongs here: options and what is printed. The work is the Dagster job `ingest`.
"""

import json

import click


@click.command()
@click.option(
    "--accept-gap", is_flag=True, help="Go on where the broker no longer has messages that bronze needs: they are lost."
)
@click.option("--json", "as_json_", is_flag=True, help="Print JSON.")
def ingest(accept_gap: bool, as_json_: bool) -> None:
    """Bring all new messages to bronze and silver: one tick.

    Starts the broker and Spark when they do not run, and leaves things as it found them. The run shows in Dagster's UI.

    \b
    Examples:
      lakehouse ingest
      lakehouse ingest --json | jq .rejected
    """
    from dagster_project.runs.started_ahead import started_ahead
    from lakehouse.cli.run_output import as_json, print_summary, shown_progress
    from runtime.settings import load_settings

    settings = load_settings()
    with shown_progress() as progress:
        progress("Starting")
        with started_ahead(settings, ("dagster_project.runs.in_process",)):
            from dagster_project.runs.in_process import run_job

            summary = run_job(settings, "ingest", accept_gap=accept_gap, progress=progress)
    if as_json_:
        click.echo(json.dumps(as_json(summary), indent=2))
    else:
        print_summary(summary, is_stale_asked=False)
