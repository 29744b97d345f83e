"""`lakehouse cluster`: what the machines of a Spark cluster of your own need.

Belongs here: arguments and what is printed. What a pack holds is in `cli.executor_pack`.
"""

from pathlib import Path

import click


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
    from lakehouse.cli.executor_pack import PYTHON, write_pack
    from lakehouse.cli.run_output import shown_progress

    with shown_progress() as progress:
        write_pack(archive.absolute(), progress)
    click.echo(
        f"{archive} has {archive.stat().st_size / 2**20:.0f} MB. Unpacked to FOLDER on each machine, it is used by"
    )
    click.echo(f"LAKEHOUSE_SPARK_PYTHON=FOLDER/{PYTHON}")
