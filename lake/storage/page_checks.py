"""Page checks: whether the bytes of a table's data files are the ones that were written.

Belongs here: comparing the checksums in each page of a Parquet file, which `data_files` writes, and Spark when it
compacts. DuckDB, which computes gold, does not look at them, and a changed bit may come out as another figure.
"""

import os
from collections.abc import Collection, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from urllib.parse import unquote

import pyarrow as pa
import pyarrow.parquet as pq
from deltalake.schema import PrimitiveType

from lake.storage.delta import open_table
from lake.storage.lake_files import LakeFiles
from lake.storage.locations import table_uri
from lake.storage.slice_files import SliceFile, slice_files
from runtime.errors import StepError
from runtime.settings import Settings


@contextmanager
def pages_checked(settings: Settings, versions: Mapping[str, int], slices: Collection[str]) -> Iterator[None]:
    """Check the pages of these slices of tables (name to version) while something else reads them.

    Leaving waits for the end, and raises StepError naming a damaged file, whatever else it has led to.
    """
    wanted = set(slices)
    # a file a core at a time; reading is Arrow's own, outside Python, and fills what others leave of the cores
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        checks = [
            pool.submit(check_pages, settings, table, file, texts)
            for table, version in versions.items()
            for file, texts in _files(settings, table, version)
            if not wanted.isdisjoint(file.slices)
        ]
        try:
            yield
        finally:
            for check in checks:
                check.result()


def _files(settings: Settings, table: str, version: int) -> list[tuple[SliceFile, list[str]]]:
    """The files of a table that has slices, and the names of its text columns."""
    opened = open_table(settings, table, version)
    if opened is None or not opened.metadata().partition_columns:
        return []
    texts = [field.name for field in opened.schema().fields if str(field.type) == str(PrimitiveType("string"))]
    return [(file, texts) for file in slice_files(settings, table, opened)]


def check_pages(settings: Settings, table: str, held: SliceFile, texts: Sequence[str] = ()) -> None:
    """Compare the checksums of one file's pages; `texts` are its text columns. Raises StepError."""
    path = unquote(held.path)
    try:
        with (
            LakeFiles(settings).open(f"{table.replace('.', '/')}/{path}") as file,
            pq.ParquetFile(
                file, page_checksum_verification=True, read_dictionary=_dictionaries(pq.read_metadata(file), texts)
            ) as parquet,
        ):
            for _ in parquet.iter_batches(use_threads=False):
                pass
    except (pa.ArrowException, OSError) as error:
        first, last = held.slices[0], held.slices[-1]
        raise StepError(
            f"{table_uri(settings, table)}/{path}, which holds {first if first == last else f'{first} to {last}'} of "
            f"{table}, is damaged: {' '.join(str(error).split())}. Judge that hour anew from bronze: "
            f"lakehouse backfill --from {first} --to {last}."
        ) from error


def _dictionaries(metadata: pq.FileMetaData, texts: Collection[str]) -> list[str]:
    """The text columns that Arrow can leave in their dictionaries, which takes a third of the time less.

    It cannot where Spark wrote the pages as differences, which it does where a dictionary would not pay, nor look for
    columns that the table got after the file was written.
    """
    groups = [metadata.row_group(group) for group in range(metadata.num_row_groups)]
    chunks = [group.column(place) for group in groups for place in range(group.num_columns)]
    delta = {chunk.path_in_schema for chunk in chunks if any(name.startswith("DELTA") for name in chunk.encodings)}
    return sorted({chunk.path_in_schema for chunk in chunks}.intersection(texts) - delta)
