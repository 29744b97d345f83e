"""Spark reads the times that `wire.times` reads, and comes to the same moments."""

from pyspark.sql import SparkSession
from pyspark.sql import functions as F

from ingestion.spark_times import moment_of_text
from tests.unit.wire.test_times import OTHERS, TIMES
from wire.times import micros_of_rfc3339

_OFFSETS = [
    f"{sign}{hour:02}:{minute:02}" for sign in "+-" for hour in (0, 1, 14, 17, 18, 19, 23) for minute in (0, 59)
]


def test_spark_and_python_read_times_alike(spark: SparkSession) -> None:
    """Every spelling and its edges: the same moment, or none from either."""
    edges = [
        f"{date}{t}{time}{fraction}{zone}"
        for date in ("2016-12-31", "2017-01-01", "2025-02-29", "2000-02-29", "1969-06-30")
        for t in "Tt "
        for time in ("00:00:00", "23:59:59", "23:59:60", "08:58:60")
        for fraction in ("", ".5", ".1234567")
        for zone in ("Z", "z", *_OFFSETS)
    ]
    edges += [f"{year}T00:00:00{zone}" for year in ("0000-01-01", "0000-02-29", "0001-01-01") for zone in _OFFSETS]
    edges += [f"9999-12-31T23:59:59{fraction}{zone}" for fraction in ("", ".5") for zone in _OFFSETS]
    texts = [*TIMES, *OTHERS, *edges]
    frame = spark.createDataFrame([(text,) for text in texts], "text string")
    found = frame.select("text", F.unix_micros(moment_of_text("text")).alias("micros")).collect()
    wrong = {row.text: row.micros for row in found if row.micros != micros_of_rfc3339(row.text)}
    assert not wrong
    assert len(found) == len(texts)
