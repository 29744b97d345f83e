"""Published gold from PySpark, as docs/guide/python.md says."""

import re
from pathlib import Path
from typing import Any

from pyspark.sql.connect.session import SparkSession

import lakehouse
from lake.storage.delta import append
from lake.tables.gold import DEVICE_HOURS
from tests.support.published_lake import START, gold_row, publish_three_days
from tests.support.small_lake import arrow_table

PAGE = Path(__file__).resolve().parents[2] / "docs" / "guide" / "python.md"


def test_spark_reads_the_version_that_was_published(spark: SparkSession, tmp_path: Path, monkeypatch: Any) -> None:
    """The page's block gives the rows of the publication; a row that is committed after it is not among them."""
    settings = publish_three_days(tmp_path / ".lakehouse")
    append(settings, DEVICE_HOURS, arrow_table(DEVICE_HOURS, [gold_row(DEVICE_HOURS, START, 1.0, device_id="d9")]), {})
    monkeypatch.chdir(tmp_path)
    block = next(text for text in re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL) if "pyspark" in text)
    names: dict[str, Any] = {}
    # the session that runs here, instead of the address of one that `up` runs
    exec(re.sub(r"SparkSession\.builder.*", "session", block), names | {"session": spark}, names)
    assert (
        names["frame"].count() == lakehouse.open(".lakehouse").publication().table("device_hours").to_arrow().num_rows
    )
