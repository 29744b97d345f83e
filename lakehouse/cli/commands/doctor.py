"""`lakehouse doctor`: what is installed, reachable and configured, and what to do about what is not.

Belongs here: printing what the checks of all rooms find.
"""

import json
from dataclasses import asdict

import click


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def doctor(as_json: bool) -> int:
    """Check what is installed, reachable and configured, and say what to do about what is not.

    Starts nothing that stays: with a Spark cluster, a driver asks an executor to run a task. Exit code 1 when something
    is wrong.

    \b
    Examples:
      lakehouse doctor
      lakehouse doctor --json
    """
    from lakehouse.cli.rooms import all_checks
    from runtime.settings import load_settings

    settings = load_settings()
    findings = [check(settings) for check in all_checks()]
    wrong = [finding for finding in findings if not finding.is_ok]
    if as_json:
        click.echo(json.dumps([asdict(finding) for finding in findings], indent=2))
    else:
        width = max(len(finding.name) for finding in findings)
        for finding in findings:
            mark = click.style("ok   ", fg="green") if finding.is_ok else click.style("wrong", fg="red")
            click.echo(f"{mark}  {finding.name:<{width}}  {finding.found}")
            if finding.advice:
                click.echo(f"{'':7}{'':<{width}}  -> {finding.advice}")
        click.echo(f"\n{len(wrong)} of {len(findings)} need attention." if wrong else "\nAll is well.")
    return 1 if wrong else 0
