"""`lakehouse report`: the reports of this home that are mailed.

Belongs here: arguments and what is printed. What a report says, and when it is sent, is in `serving.report`.
"""

import json
from datetime import UTC, datetime
from pathlib import Path

import click

from lakehouse.cli.given_files import OutputFile


@click.group()
def report() -> None:
    """Reports of what was published, mailed as HTML with pictures and CSV files.

    They stand in <home>/reports/*.yml and are sent under `lakehouse up --reports`.

    \b
    Examples:
      lakehouse report preview weekly --output weekly.html
      lakehouse report send weekly
    """


@report.command("list")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def list_(as_json: bool) -> None:
    """List the reports, and what became of their newest mails.

    \b
    Example:
      lakehouse report list
    """
    from runtime.settings import load_settings
    from serving.report.sent_mails import SentMails
    from serving.report.subscriptions import load_subscriptions, reports_folder

    settings = load_settings()
    found = load_subscriptions(settings)
    mails = SentMails(settings)
    newest = {name: {mail.recipient: mail for mail in mails.of_report(name)} for name in found}
    if as_json:
        rows = [
            {"report": name, "every": each.every, "to": list(each.to),
             "mails": [vars(mail) for mail in newest[name].values()]}
            for name, each in found.items()
        ]  # fmt: skip
        click.echo(json.dumps(rows, indent=2))
        return
    for name, each in found.items():
        click.echo(f"{name}  every {each.every}  {each.title}")
        for to in each.to:
            mail = newest[name].get(to)
            state = "nothing sent yet" if mail is None else f"publication {mail.publication}: {mail.state} {mail.said}"
            click.echo(f"  {to}  {state}".rstrip())
    if not found:
        click.echo(f"There are no reports: write one to {reports_folder(settings)} (see docs/guide/reports.md).")


@report.command("preview")
@click.argument("name")
@click.option("--output", type=OutputFile(), help="The file [default: NAME.html here].")
def preview(name: str, output: Path | None) -> None:
    """Write the page that report NAME would mail now to a file.

    \b
    Example:
      lakehouse report preview weekly --output weekly.html
    """
    from runtime.settings import load_settings
    from serving.report.mail import preview_html
    from serving.report.mail_figures import mail_figures
    from serving.report.subscriptions import subscription_of
    from serving.snapshots import Snapshots

    settings = load_settings()
    subscription = subscription_of(settings, name)
    _ensure_published(settings)
    page = preview_html(subscription, mail_figures(Snapshots(settings).newest(), subscription))
    path = output or Path(f"{name}.html")
    path.write_text(page, encoding="utf-8")
    click.echo(f"Written to {path}.")


@report.command("send")
@click.argument("name")
@click.option("--again", is_flag=True, help="Also to those who have it already.")
def send(name: str, again: bool) -> int:
    """Mail report NAME of the newest publication now, to those who do not have it yet.

    \b
    Examples:
      lakehouse report send weekly
      lakehouse report send weekly --again
    """
    from dataclasses import replace

    from runtime.settings import load_settings
    from serving.report.mailing import due_mails, send_due
    from serving.report.sent_mails import SENT, SentMails
    from serving.report.subscriptions import subscription_of
    from serving.snapshots import Snapshots

    settings, now = load_settings(), datetime.now(UTC)
    # by hand it is due whatever the day
    subscription = replace(subscription_of(settings, name), every="publication")
    _ensure_published(settings)
    snapshot, mails = Snapshots(settings).newest(), SentMails(settings)
    if again:
        mails.reopen(name)
    due = due_mails(mails, subscription, snapshot.publication, now)
    ended = send_due(settings, snapshot, due, now, click.echo)
    if not ended:
        click.echo("Everybody has it: --again sends it once more.")
    return 0 if all(mail.state == SENT for mail in ended) else 1


def _ensure_published(settings: object) -> None:
    from lake.records import publications
    from runtime.errors import StepError
    from runtime.settings import Settings

    assert isinstance(settings, Settings)
    if publications.newest(settings) is None:
        raise StepError("Nothing has been published, so there is nothing to report on: run `lakehouse refresh`.")
