"""Tables that Spark appends to: made as declared, and by whom."""

from pathlib import Path

import pyarrow as pa
import pytest
from pyspark.sql import SparkSession

from lake.storage.delta import arrow_schema, require_table
from lake.storage.format_version import FORMAT, KEEP_LOG, format_of
from lake.storage.spark_commits import ensure_table
from lake.tables.bronze import BRONZE_LIFECYCLE, BRONZE_TELEMETRY
from lake.tables.contracts import Table
from lake.tables.silver import SILVER_REJECTED, UNSLICED_SILVER
from runtime.settings import Settings


def _no_spark() -> SparkSession:
    raise AssertionError("Spark is asked for")


_OLDEST_PROTOCOL = (1, 2)  # what every reader and writer of Delta knows


@pytest.mark.parametrize(
    "table", [BRONZE_TELEMETRY, BRONZE_LIFECYCLE, SILVER_REJECTED, *UNSLICED_SILVER], ids=lambda table: table.name
)
def test_a_new_table_is_made_as_declared_without_asking_spark(tmp_path: Path, table: Table) -> None:
    """Columns, partitions and properties are declared ones, in a protocol that no engine refuses; again it is left."""
    settings = Settings(home=tmp_path, lake_uri=str(tmp_path / "lake"))
    for _ in range(2):
        ensure_table(_no_spark, settings, table)
        made = require_table(settings, table.name)
        assert (made.version(), pa.schema(made.schema().to_arrow())) == (0, arrow_schema(table))
        assert made.metadata().partition_columns == list(table.partition_by)
        assert (made.metadata().configuration[KEEP_LOG], format_of(made)) == ("false", FORMAT)
        assert (made.protocol().min_reader_version, made.protocol().min_writer_version) == _OLDEST_PROTOCOL
