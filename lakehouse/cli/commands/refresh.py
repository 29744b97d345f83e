"""`lakehouse refresh`: a tick, then gold of what is stale.

Belongs here: options and what is printed. The work is the Dagster job `refresh`.
"""

import json

import click


@click.command()
@click.option("--json", "as_json_", is_flag=True, help="Print JSON.")
def refresh(as_json_: bool) -> int:
    """Bring new messages to silver, then rebuild, judge and publish every stale slice.

    A slice that fails its quality suite is held: it keeps what was last published, and the others go out. Then the
    exit code is 3. Slices that were held before are judged again.

    \b
    Examples:
      lakehouse refresh
      lakehouse refresh --json | jq '.held[].slice'
    """
    from dagster_project.runs.started_ahead import started_ahead
    from lakehouse.cli.run_output import HELD, as_json, print_summary, shown_progress
    from runtime.settings import load_settings

    settings = load_settings()
    with shown_progress() as progress:
        progress("Starting")
        with started_ahead(settings, ("dagster_project.runs.in_process", "pipeline.gate.validation")):
            from dagster_project.runs.in_process import run_job

            summary = run_job(settings, "refresh", progress=progress)
    if as_json_:
        click.echo(json.dumps(as_json(summary), indent=2))
    else:
        print_summary(summary, is_stale_asked=True)
    return HELD if summary.held else 0
