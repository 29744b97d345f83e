"""`lakehouse ml`: models of published gold that score what comes in.

Belongs here: arguments and what is printed. Training, versions and scoring are in `streams.scoring`.
"""

import json
from dataclasses import asdict
from datetime import UTC, datetime

import click

from runtime.wording import counted


@click.group()
def ml() -> None:
    """Train models on published gold and have the hot path score each final minute.

    The libraries are the extra [ml]: pip install 'iot-lakehouse[ml]'.

    \b
    Example:
      lakehouse ml train temperature humidity
    """


@ml.command("train")
@click.argument("metrics", metavar="METRIC...", nargs=-1, required=True)
@click.option("--days", type=click.FloatRange(min=0, min_open=True), default=14.0, show_default=True,
              help="Newest days of published minutes to train on.")  # fmt: skip
@click.option("--share", type=click.FloatRange(0.00001, 0.5), default=0.001, show_default=True,
              help="Share of good minutes that may count as unusual.")  # fmt: skip
@click.option("--json", "as_json", is_flag=True, help="Print the version's card as JSON.")
def train(metrics: tuple[str, ...], days: float, share: float, as_json: bool) -> None:
    """Train a version on the published minutes of METRIC, one or several. It is in use once it is promoted.

    Choose metrics that come back to where they were: of a counter every minute is unusual.

    \b
    Examples:
      lakehouse ml train temperature
      lakehouse ml train temperature humidity --days 30 --share 0.0005
    """
    from runtime.settings import load_settings
    from streams.scoring.training import TrainingOptions, train

    options = TrainingOptions(tuple(dict.fromkeys(metrics)), days, share)
    card = train(load_settings(), options, datetime.now(UTC))
    if as_json:
        click.echo(json.dumps(asdict(card), indent=2, ensure_ascii=False))
        return
    minutes, devices = counted(card.minute_count, "minute"), counted(card.device_count, "device")
    click.echo(
        f"Version {card.version}: {minutes} of {devices}, {card.first_minute} to "
        f"{card.last_minute}, publication {card.publication}. Above {card.threshold:g} a minute is unusual: "
        f"{card.measured['share_unusual']:.3%} of {card.measured['held_out_count']} held out."
    )
    click.echo(f"To use it: lakehouse ml promote {card.version}")


@ml.command("list")
@click.option("--json", "as_json", is_flag=True, help="Print the cards as JSON, one a line.")
def list_(as_json: bool) -> None:
    """List the versions and say which one is in use.

    \b
    Examples:
      lakehouse ml list
      lakehouse ml list --json
    """
    from lakehouse.cli.output import print_table
    from runtime.settings import load_settings
    from streams.scoring.model_store import list_versions, promoted

    settings = load_settings()
    cards, used = list_versions(settings), promoted(settings)
    if as_json:
        for card in cards:
            click.echo(json.dumps({**asdict(card), "is_promoted": card.version == used}, ensure_ascii=False))
    elif not cards:
        click.echo("There are none: `lakehouse ml train METRIC` makes one.")
    else:
        head = ("version", "in use", "metrics", "publication", "last minute", "minutes", "threshold", "digest")
        rows = [
            (card.version, "yes" if card.version == used else "", ", ".join(card.metrics), card.publication,
             card.last_minute, card.minute_count, card.threshold, card.digest[:12])
            for card in cards
        ]  # fmt: skip
        print_table(head, rows)


@ml.command("promote")
@click.argument("version", metavar="VERSION|none")
def promote(version: str) -> None:
    """Put VERSION in use: the hot path scores by it from its next batch on. `none` ends scoring.

    \b
    Examples:
      lakehouse ml promote 2
      lakehouse ml promote none
    """
    from runtime.errors import UsageError
    from runtime.settings import load_settings
    from streams.declarations import load_declarations
    from streams.scoring.model_store import promote
    from streams.scoring.scores import check_minutes

    if version != "none" and not version.isdecimal():
        raise UsageError(f"{version!r} is no version: give a number that `lakehouse ml list` shows, or none.")
    settings = load_settings()
    if version != "none":
        check_minutes(load_declarations(settings).windows)
    promote(settings, None if version == "none" else int(version))
    click.echo("No version is in use." if version == "none" else f"Version {version} is in use.")
