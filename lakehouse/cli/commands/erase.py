"""`lakehouse erase`: a device out of the lake, with a certificate.

Belongs here: options, the question whether it is meant, and what is printed. The work is in `pipeline.erasure.removal`.
"""

import getpass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import click

from runtime.errors import UsageError
from runtime.wording import counted

if TYPE_CHECKING:
    from lake.records.erasures import Erasure
    from runtime.settings import Settings


@click.command()
@click.argument("device")
@click.option("--why", default="", help="The reason; it stands in the certificate.")
@click.option("--by", metavar="NAME", help="Who says so. By default the name of this login.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@click.option(
    "--purge-kafka/--keep-kafka",
    default=None,
    help="Delete from Kafka what bronze has taken in, of every device. By default only from the embedded broker.",
)
def erase(device: str, why: str, by: str | None, yes: bool, purge_kafka: bool | None) -> None:
    """Take DEVICE out of every layer, every old version, file and log, and prove it by reading what is left.

    What other devices measured stays as it was; figures of sites and days are made anew without DEVICE. Earlier
    publications cannot be read any more, of no device. It can be stopped and run again: it goes on where it was.
    A certificate, a JSON file in the lake, lists versions, deleted files and their hashes, without the device's id.

    \b
    Example:
      lakehouse erase pump-0001 --why "sold; request 4711" --yes
    """
    from pipeline.erasure.removal import refuse_if_named
    from runtime.settings import load_settings

    settings = load_settings()
    if not device.strip():
        raise UsageError("Name the device: an empty id is none.")
    if not yes:
        click.confirm(f"Erase {device} and withdraw all earlier publications? This cannot be undone.", abort=True)
    done = _erased(settings, device, by or getpass.getuser(), why, purge_kafka)
    refuse_if_named(done)
    _print(settings, done)


def _erased(settings: "Settings", device: str, by: str, why: str, purge_kafka: bool | None) -> "Erasure":
    """The work, with a broker and a Spark for as long as it takes."""
    from lakehouse.cli.run_output import shown_progress

    with shown_progress() as progress:
        progress("Starting")
        from lake.models.catalog import known_models
        from lake.storage.lease import LEASE_WAIT_S
        from pipeline.erasure.removal import Request
        from pipeline.erasure.removal import erase as erase_device
        from pipeline.run import Run
        from runtime.kafka.broker import running_broker
        from runtime.spark.connect_server import connect, running_spark

        with running_broker(settings) as bootstrap, running_spark(settings) as address:
            spark = connect(address)
            progress("its turn to write")
            try:
                now = datetime.now(UTC)
                run_id = f"erasure-{now:%Y%m%dT%H%M%SZ}"
                return erase_device(
                    Run(settings, known_models(settings), run_id, now, progress, LEASE_WAIT_S),
                    spark,
                    bootstrap,
                    Request(device, by, why),
                    clock=lambda: datetime.now(UTC),
                    purges_kafka=settings.kafka_address is None if purge_kafka is None else purge_kafka,
                )
            finally:
                spark.stop()


def _print(settings: "Settings", done: "Erasure") -> None:
    rows = sum(figures["rows_removed"] for figures in done.tables.values())
    tables, files = counted(len(done.tables), "table"), counted(len(done.files), "file")
    click.echo(f"Erased: {counted(rows, 'row')} in {tables}, {files} deleted.")
    click.echo(f"Proof: {counted(done.scan['files'], 'file')} read, {done.scan['bytes']:,} bytes, and none names it.")
    if done.publication is not None:
        click.echo(
            f"Publication {done.publication} is without it; withdrawn: {counted(len(done.withdrawn), 'earlier one')}."
        )
    if done.not_rebuilt:
        days = ", ".join(done.not_rebuilt)
        click.echo(f"Days of sites still count it in {days}: held hours, or hours of which bronze lost its records.")
    click.echo(f"Kafka: {done.kafka}")
    click.echo(f"Certificate: {settings.lake_uri}/{done.path}")
