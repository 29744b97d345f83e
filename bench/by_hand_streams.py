"""What would be written by hand for a minute's figures of each device: with confluent-kafka, Quix Streams, or Spark.

Belongs here: the programs that `streams` is measured against, one a process:

    python bench/by_hand_streams.py python|quix|spark BOOTSTRAP FOLDER

Each reads the topic `telemetry` and writes figures of the minutes that a batch has changed to the topic `by-hand`. None
judges: they take every envelope, clock, device and payload for right, and count what comes twice twice. Nothing of the
project is imported at the start, since Quix Streams lives in an environment of its own.
"""

import json
import sys
import time
from datetime import datetime
from typing import Any

INPUT, OUTPUT = "telemetry", "by-hand"
_MINUTE_S = 60
_SPARK_SCHEMA = "temperature DOUBLE"


def by_python(bootstrap: str, folder: str) -> None:
    """A consumer, a dictionary of windows, and a transaction a batch."""
    from confluent_kafka import Consumer, Producer

    consumer = Consumer({"bootstrap.servers": bootstrap, "group.id": "by-hand", "isolation.level": "read_committed",
                         "enable.auto.commit": False, "auto.offset.reset": "earliest"})  # fmt: skip
    producer = Producer({"bootstrap.servers": bootstrap, "transactional.id": "by-hand", "compression.type": "lz4"})
    producer.init_transactions()
    consumer.subscribe([INPUT])
    windows: dict[tuple[str, int], list[float]] = {}
    while True:
        changed = set()
        for message in consumer.consume(5_000, 0.25):
            if message.error() is None:
                time_s = datetime.fromisoformat(_header(message.headers(), "ce_time")).timestamp()
                key = ((message.key() or b"").decode(), int(time_s // _MINUTE_S * _MINUTE_S))
                value = json.loads(message.value() or b"")["temperature"]
                figures = windows.setdefault(key, [0, value, value, 0.0])
                figures[0] += 1
                figures[1], figures[2] = min(figures[1], value), max(figures[2], value)
                figures[3] += value
                changed.add(key)
        if changed:
            producer.begin_transaction()
            for device, start in changed:
                count, low, high, total = windows[device, start]
                body = {"device_id": device, "window_start": start, "reading_count": count, "value_min": low,
                        "value_max": high, "value_mean": total / count}  # fmt: skip
                producer.produce(OUTPUT, json.dumps(body).encode(), device.encode())
            producer.send_offsets_to_transaction(
                consumer.position(consumer.assignment()), consumer.consumer_group_metadata()
            )
            producer.commit_transaction()


def by_quix(bootstrap: str, folder: str) -> None:
    """Quix Streams: tumbling windows with its state in RocksDB, told when the partition's time has passed their end."""
    from quixstreams import Application  # type: ignore[import-not-found]
    from quixstreams.dataframe.windows import Count, Max, Mean, Min  # type: ignore[import-not-found]

    app = Application(bootstrap, consumer_group="by-hand", auto_offset_reset="earliest", state_dir=folder,
                      processing_guarantee="exactly-once", loglevel="WARNING", commit_interval=0.25)  # fmt: skip

    def moment_ms(value: Any, headers: Any, timestamp: float, kind: Any) -> int:
        return int(datetime.fromisoformat(_header(headers, "ce_time")).timestamp() * 1000)

    telemetry = app.topic(INPUT, value_deserializer="json", key_deserializer="str", timestamp_extractor=moment_ms)
    told = app.topic(OUTPUT, value_serializer="json", key_serializer="str")
    frame = app.dataframe(telemetry).tumbling_window(_MINUTE_S * 1000).agg(
        reading_count=Count(), value_min=Min("temperature"), value_max=Max("temperature"),
        value_mean=Mean("temperature"),
    ).final(closing_strategy="partition")  # fmt: skip

    def body(row: Any, key: Any, timestamp: int, headers: Any) -> dict[str, Any]:
        return {**row, "device_id": key, "window_start": row["start"] // 1000}

    frame.apply(body, metadata=True).to_topic(told)
    app.run()


def by_spark(bootstrap: str, folder: str) -> None:
    """Spark Structured Streaming in update mode; its Kafka sink tells a batch again after a failure."""
    from pyspark.sql import SparkSession
    from pyspark.sql import functions as f

    from runtime.java.jars import ensure
    from runtime.java.jvm import find_java

    jars = ",".join(str(jar) for jar in sorted(ensure("spark").glob("*.jar")))
    session = (
        SparkSession.builder.master("local[1]").config("spark.jars", jars).config("spark.ui.enabled", "false")
        .config("spark.sql.shuffle.partitions", "1").config("spark.driver.memory", "1g").getOrCreate()
    )  # fmt: skip
    assert find_java()
    session.sparkContext.setLogLevel("ERROR")
    records = (
        session.readStream.format("kafka").option("kafka.bootstrap.servers", bootstrap).option("subscribe", INPUT)
        .option("startingOffsets", "earliest").option("includeHeaders", "true")
        .option("kafka.isolation.level", "read_committed").load()
    )  # fmt: skip
    readings = records.select(
        f.col("key").cast("string").alias("device_id"),
        f.to_timestamp(f.expr("CAST(filter(headers, h -> h.key = 'ce_time')[0].value AS STRING)")).alias("event_at"),
        f.from_json(f.col("value").cast("string"), _SPARK_SCHEMA)["temperature"].alias("value"),
    )
    figures = readings.withWatermark("event_at", "10 minutes").groupBy("device_id", f.window("event_at", "1 minute"))
    told = figures.agg(
        f.count("value").alias("reading_count"), f.min("value").alias("value_min"),
        f.max("value").alias("value_max"), f.avg("value").alias("value_mean"),
    ).select(
        f.col("device_id").alias("key"),
        f.to_json(f.struct("device_id", f.unix_timestamp("window.start").alias("window_start"), "reading_count",
                           "value_min", "value_max", "value_mean")).alias("value"),
    )  # fmt: skip
    told.writeStream.outputMode("update").format("kafka").option("kafka.bootstrap.servers", bootstrap).option(
        "topic", OUTPUT
    ).option("checkpointLocation", folder).start().awaitTermination()


def _header(headers: Any, name: str) -> str:
    return str(next(value.decode() for key, value in headers if key == name))


if __name__ == "__main__":
    time.tzset()
    {"python": by_python, "quix": by_quix, "spark": by_spark}[sys.argv[1]](*sys.argv[2:])
