"""Page checks: whether the bytes of a table's data files are the ones that were written.

Belongs here: comparing the checksums that Spark writes into each page of a Parquet file. DuckDB, which computes gold,
does not look at them, and most changed bits would come out as another figure.
"""

from collections.abc import Collection
from urllib.parse import unquote

import pyarrow as pa
import pyarrow.parquet as pq

from lake.delta import open_table
from lake.errors import StepError
from lake.locations import s3fs_options, table_uri
from lake.settings import Settings


def check_pages(settings: Settings, table: str, version: int, slices: Collection[str]) -> None:
    """Read the files of these slices of a table and compare each page's checksum. Raises StepError naming the file."""
    opened = open_table(settings, table, version)
    files = None if opened is None else opened.get_add_actions(flatten=True)
    if files is None or not files.num_rows:
        return
    columns = ("path", "partition.event_date", "partition.event_hour")
    for path, date, hour in zip(*(files[name].to_pylist() for name in columns), strict=True):
        slice_ = f"{date}T{int(hour):02d}"
        if slice_ in slices:
            _check_file(settings, table, slice_, f"{table_uri(settings, table)}/{unquote(path)}")


def _check_file(settings: Settings, table: str, slice_: str, uri: str) -> None:
    try:
        with _open(settings, uri) as file, pq.ParquetFile(file, page_checksum_verification=True) as parquet:
            for _ in parquet.iter_batches(use_threads=False):
                pass
    except (pa.ArrowException, OSError) as error:
        raise StepError(
            f"{uri}, which holds {slice_} of {table}, is damaged: {' '.join(str(error).split())}. Judge that hour anew "
            f"from bronze: lakehouse backfill --from {slice_} --to {slice_}."
        ) from error


def _open(settings: Settings, uri: str) -> pa.NativeFile:
    if not settings.is_s3:
        return pa.OSFile(uri)
    import s3fs

    return s3fs.S3FileSystem(**s3fs_options(settings)).open(uri)
