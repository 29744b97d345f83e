"""`lakehouse cluster`: what the machines of a Spark cluster of your own need.

Belongs here: arguments, what goes into a pack and what is printed. How a pack is laid out is in
`runtime.spark.executor_pack`.
"""

from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from runtime.spark.executor_pack import Contents

# pipeline.silver.executor_tasks and streams.spark_processor run with it, and what these import
_ROOMS = ("runtime", "wire", "lake", "ingestion", "transforms", "pipeline", "streams")
# what tasks import, by themselves or through Spark, which gives them a pyspark of its own
_PACKAGES = (
    "confluent-kafka", "deltalake", "duckdb", "duckdb-extension-delta", "duckdb-extension-httpfs", "pandas", "protobuf",
    "psutil", "pyarrow", "pyyaml", "s3fs",
)  # fmt: skip


@click.group()
def cluster() -> None:
    """What the machines of a Spark cluster of your own need.

    \b
    Example:
      lakehouse cluster pack lakehouse.tar.gz
    """


@cluster.command("pack")
@click.argument("archive", metavar="FILE", type=click.Path(path_type=Path, dir_okay=False))
def pack(archive: Path) -> None:
    """Write this lakehouse and its Python to FILE, a .tar.gz that executors judge silver with.

    Unpack it at the same place on each of the cluster's machines and name its Python. They need this machine's kind of
    processor and a Linux no older than it, Java and Spark; nothing of it is installed there. Make it anew after each
    change of the lakehouse: executors that have another one say so and judge nothing.

    \b
    Examples:
      lakehouse cluster pack lakehouse.tar.gz
      ssh worker1 'mkdir -p /opt/lakehouse && tar -xz -C /opt/lakehouse' < lakehouse.tar.gz
      LAKEHOUSE_SPARK_PYTHON=/opt/lakehouse/bin/python LAKEHOUSE_ENGINE=spark lakehouse ingest
    """
    from lakehouse.cli.run_output import shown_progress
    from runtime.spark.executor_pack import PYTHON, write_pack

    with shown_progress() as progress:
        write_pack(archive.absolute(), pack_contents(), progress)
    click.echo(
        f"{archive} has {archive.stat().st_size / 2**20:.0f} MB. Unpacked to FOLDER on each machine, it is used by"
    )
    click.echo(f"LAKEHOUSE_SPARK_PYTHON=FOLDER/{PYTHON}")


def pack_contents() -> "Contents":
    """This lakehouse as tasks need it; the text of the dbt project counts in the code's version."""
    from lake.code_version import DISTRIBUTION, versions
    from lake.project_files import DBT_FOLDER, PROJECT_FOLDER
    from runtime.spark.executor_pack import Contents

    folders = {room: PROJECT_FOLDER / room for room in _ROOMS} | {"lake/dbt_project": DBT_FOLDER}
    trial = "import pipeline.silver.executor_tasks; from lake.code_version import versions; print(versions())"
    return Contents(folders, _PACKAGES, DISTRIBUTION, trial, versions())
