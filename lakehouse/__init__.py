"""Lakehouse: what a person types (`lakehouse.cli`) and what a person imports.

Belongs here: `open`, light, so that `import lakehouse` takes no time. What it gives is in `lakehouse.published`;
nothing in the project imports either.

    import lakehouse

    gold = lakehouse.open(".lakehouse").publication()
    gold.table("gold.device_hours").where(device_id="pump-0001").to_pandas()
"""

from os import PathLike
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from lakehouse.published import OpenLake

__all__ = ["__version__", "open"]


def open(where: str | PathLike[str] | None = None) -> "OpenLake":  # noqa: A001  # as `lakehouse.open` it reads best
    """The lake at `where`, to read: a home (`.lakehouse`), a lake's own folder, or `s3://bucket/prefix`.

    By default it is the one that `lakehouse sql` would read. Keys for S3 are taken from `AWS_*` variables. Nothing is
    started and nothing is written. Raises UsageError when there is no lake.
    """
    from lakehouse.published import open_lake

    return open_lake(where)


def __getattr__(name: str) -> str:
    if name != "__version__":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from lake.code_version import release

    return release()
