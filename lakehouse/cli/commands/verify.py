"""`lakehouse verify`: a publication against bronze.

Belongs here: options and what is printed. The rebuild and the comparison are in `pipeline.proof.verification`.
"""

import json
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from pipeline.proof.verification import Verification

_SHOWN = 10


@click.command()
@click.argument("publication", type=int, required=False)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def verify(publication: int | None, as_json: bool) -> int:
    """Rebuild a publication from bronze, beside the lake, and compare it row by row; without a number the newest.

    Also hashes the files of gold that it pins. Exits with 1 when anything is not as it was published, and shows the
    first differences. What is held was not published, and of final
    hours bronze has lost records, so both are left out.

    \b
    Examples:
      lakehouse verify
      lakehouse verify 3 --json
    """
    from lake.code_version import code_version
    from lake.models.catalog import known_models
    from lake.records import publications
    from lakehouse.cli.run_output import shown_progress
    from runtime.errors import UsageError
    from runtime.settings import load_settings

    settings = load_settings()
    chosen = publications.newest(settings) if publication is None else publications.get(settings, publication)
    if chosen is None:
        raise UsageError("Nothing has been published yet: `lakehouse refresh` ingests what waits and publishes it.")
    with shown_progress() as progress:
        progress("Starting Spark")
        from pipeline.proof.verification import verify as verified
        from runtime.spark.connect_server import connect, running_spark

        with running_spark(settings) as address:
            result = verified(
                connect(address), settings, known_models(settings), chosen,
                code_version=code_version(), progress=progress,
            )  # fmt: skip
    _print_json(result) if as_json else _print(result)
    return 0 if result.is_same else 1


def _print(result: "Verification") -> None:
    from lakehouse.cli.output import as_text, print_table

    number = result.publication.publication_id
    click.echo(f"Publication {number} of {as_text(result.publication.published_at)}, rebuilt from bronze")
    rows = [
        [each.table, f"{each.rows:,}", f"{each.differing:,}", _remark(each.left_out)]
        if each.left_out != ("all",)
        else [each.table, "", "", _remark(each.left_out)]
        for each in result.comparisons
    ]
    print_table(["table", "rows", "differing", "remark"], rows)
    for note in result.notes:
        click.echo(f"Note: {note}.")
    for damage in result.damages[:_SHOWN]:
        click.echo(f"{damage.table}: {damage.path} {damage.what}.")
    if len(result.damages) > _SHOWN:
        click.echo(f"{len(result.damages) - _SHOWN} more files are not as published; --json lists all of them.")
    for each in result.comparisons:
        if each.problem is not None:
            click.echo(f"{each.table} cannot be compared: {each.problem}.")
        for example in each.examples:
            values = ", ".join(f"{name}={as_text(value)}" for name, value in example.items() if name != "side")
            click.echo(f"{each.table}, only {example['side']}: {values}")
    if result.is_same:
        click.echo(f"Publication {number} is, row by row and byte by byte, what bronze gives.")
    else:
        click.echo(
            f"Publication {number} is not what bronze gives now. `lakehouse backfill` of those hours publishes anew."
        )


def _remark(left_out: tuple[str, ...]) -> str:
    if not left_out:
        return ""
    return "not compared while hours are held or final" if left_out == ("all",) else f"without {', '.join(left_out)}"


def _print_json(result: "Verification") -> None:
    from lakehouse.cli.output import spelt

    tables = [
        {
            "table": each.table,
            "rows": each.rows,
            "differing": each.differing,
            "examples": [{name: spelt(value) for name, value in row.items()} for row in each.examples],
            "problem": each.problem,
            "left_out": each.left_out,
        }
        for each in result.comparisons
    ]
    answer = {
        "publication": result.publication.publication_id,
        "is_same": result.is_same,
        "tables": tables,
        "damages": [vars(damage) for damage in result.damages],
        "notes": result.notes,
    }
    click.echo(json.dumps(answer, indent=2))
