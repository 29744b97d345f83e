"""`lakehouse rules`: the rules of this home, and when one would have fired.

Belongs here: arguments and what is printed. What a rule means is in `streams` and `transforms.alert_rules`.
"""

import json
from datetime import UTC, datetime, timedelta

import click

_FORMATS = ["%Y-%m-%d", "%Y-%m-%dT%H", "%Y-%m-%dT%H:%M", "%Y-%m-%dT%H:%M:%S"]


@click.group()
def rules() -> None:
    """Rules that raise alarms while messages come in.

    They stand in <home>/streams/*.yml and run under `lakehouse up --streams`.

    \b
    Example:
      lakehouse rules test too_hot --from 2026-11-20

    \b
    Examples:
      lakehouse rules list
    """


@rules.command("list")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def list_(as_json: bool) -> None:
    """List the rules and windows of this home.

    \b
    Examples:
      lakehouse rules list
    """
    from runtime.settings import load_settings
    from streams.declarations import load_declarations

    declared = load_declarations(load_settings())
    if as_json:
        names = [
            {"rule": r.name, "over": r.over, "severity": r.severity, "origin": r.origin}
            for r in declared.rules.values()
        ]
        click.echo(json.dumps({"rules": names, "windows": sorted(declared.windows)}, indent=2))
        return
    for rule in declared.rules.values():
        what = f"silence of {rule.silence_s} s" if rule.silence_s else rule.condition
        click.echo(f"{rule.name}  {rule.severity}  over {rule.over} by {', '.join(rule.by)}: {what}")
    if not declared.rules:
        click.echo("There are no rules: write some to streams/*.yml in the home (see docs/guide/streams.md).")


@rules.command("test")
@click.argument("name", metavar="RULE")
@click.option(
    "--from", "start", type=click.DateTime(_FORMATS), help="Start of the event time, UTC [default: a day ago]."
)
@click.option("--to", "end", type=click.DateTime(_FORMATS), help="End, UTC [default: now].")
@click.option("--json", "as_json", is_flag=True, help="Print a JSON object a line.")
def test(name: str, start: datetime | None, end: datetime | None, as_json: bool) -> None:
    """Say when RULE would have fired and cleared on the readings that the lake has.

    \b
    Examples:
      lakehouse rules test too_hot --from 2026-11-20 --to 2026-11-21
      lakehouse rules test too_hot --from 2026-11-20T06 --json
    """
    from runtime.errors import UsageError
    from runtime.settings import load_settings
    from streams.declarations import load_declarations
    from streams.output_topics import ALERTS
    from streams.rule_history import would_have_fired

    settings = load_settings()
    known = load_declarations(settings).rules
    if name not in known:
        raise UsageError(f"There is no rule {name}: there are {', '.join(sorted(known)) or 'none'}.")
    last = (end or datetime.now(UTC)).replace(tzinfo=UTC)
    first = (start or last - timedelta(days=1)).replace(tzinfo=UTC)
    if first >= last:
        raise UsageError(f"--from ({first:%Y-%m-%dT%H:%M:%S}) is not before --to ({last:%Y-%m-%dT%H:%M:%S}).")
    fired = 0
    for message in would_have_fired(settings, known[name], first, last):
        if message.topic != ALERTS:
            continue
        change = json.loads(message.value)
        fired += change["change"] == "fired"
        if as_json:
            click.echo(json.dumps(change, ensure_ascii=False))
        else:
            group = " ".join(str(change[key]) for key in known[name].by)
            click.echo(
                f"{change['at']}  {change['change']:<8}  {group}  {json.dumps(change['seen'], ensure_ascii=False)}"
            )
    if not as_json:
        click.echo(f"{name} would have fired {fired} times from {first:%Y-%m-%dT%H:%M} to {last:%Y-%m-%dT%H:%M}.")
