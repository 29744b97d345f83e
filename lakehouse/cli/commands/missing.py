"""`lakehouse missing`: readings that were due and did not come.

Belongs here: the question and its options. What is due of a device is decided in dbt's `device_completeness`; how
answers are printed in `sql_command`.
"""

import click

# consecutive hours of a device are one gap: their number less their rank is the same for all of them
_GAPS = """
    WITH incomplete AS (
        SELECT
            device_id, model_id, site_id, hour_at, expected_count, missing_count,
            epoch(hour_at)::BIGINT // 3600 - row_number() OVER (PARTITION BY device_id ORDER BY hour_at) AS gap
        FROM gold.device_completeness
        WHERE missing_count > 0
            AND event_date BETWEEN DATE '{first_date}' AND DATE '{last_date}'
            AND hour_at BETWEEN TIMESTAMPTZ '{first_at}' AND TIMESTAMPTZ '{last_at}'
            {of_device}
    )
    SELECT
        device_id,
        arg_max(site_id, hour_at) AS site_id,
        min(hour_at) AS from_at,
        max(hour_at) + INTERVAL 1 HOUR AS to_at,
        sum(missing_count)::BIGINT AS missing_count,
        sum(expected_count)::BIGINT AS expected_count
    FROM incomplete
    GROUP BY device_id, gap
    ORDER BY from_at, device_id
"""


@click.command()
@click.option("--from", "first", required=True, metavar="HOUR|DAY", help="First hour, or first day from its start.")
@click.option("--to", "last", required=True, metavar="HOUR|DAY", help="Last hour, or last day to its end; included.")
@click.option("--device", metavar="ID", help="Only the gaps of this device.")
@click.option(
    "--format", "form", type=click.Choice(["table", "csv", "json"]), default="table", show_default=True,
    help="How to write them.",
)  # fmt: skip
def missing(first: str, last: str, device: str | None, form: str) -> None:
    """List the gaps of each device between two hours (UTC): readings that were due, and did not come.

    A gap is a run of hours in each of which a reading is missing, as published. Readings that the lake rejected are
    missing too; maintenance is no gap.

    \b
    Examples:
      lakehouse missing --from 2026-11-20 --to 2026-11-21
      lakehouse missing --from 2026-11-20T05 --to 2026-11-20T07 --device pump-0001 --format json
    """
    from lake.models.catalog import known_models
    from lake.reading.reader import open_reader
    from lake.slices import slice_start
    from lake.sql_text import quoted
    from lakehouse.cli.commands.backfill import hours_between
    from lakehouse.cli.commands.sql import answer
    from runtime.settings import load_settings

    hours = hours_between(first, last)
    first_at, last_at = slice_start(hours[0]), slice_start(hours[-1])
    question = _GAPS.format(
        first_date=first_at.date(),
        last_date=last_at.date(),
        first_at=first_at.isoformat(),
        last_at=last_at.isoformat(),
        of_device="" if device is None else f"AND device_id = {quoted(device)}",
    )
    settings = load_settings()
    with open_reader(settings, known_models(settings)) as reader:
        answer(reader, question, form, None)
