"""What a tick computes once and reads often, on a real Spark."""

from pathlib import Path
from uuid import uuid4

from pyspark.sql import SparkSession
from pyspark.sql import functions as F

from pipeline.silver import computed


def test_computed_rows_lie_on_disk(spark: SparkSession, shared_folder: Path) -> None:
    """However many records wait, they leave Spark's memory to what reads them."""
    marker = uuid4().hex
    rows = computed(spark.range(100).select(F.lit(marker).alias("marker"), "id"))
    blocks = [path.read_bytes() for path in (shared_folder / "spark").rglob("rdd_*")]
    assert any(marker.encode() in block for block in blocks)
    assert rows.count() == 100
