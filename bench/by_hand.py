"""What a good engineer would write by hand: Kafka to bronze and silver with confluent-kafka, Polars and delta-rs.

Belongs here: the script that `ingest` is measured against. It parses, checks ranges, drops repeats within what it has
read and writes both layers. It keeps no progress, no reasons and no history, and a crash half way leaves half.
"""

from collections.abc import Mapping
from pathlib import Path

import polars as pl
from confluent_kafka import Consumer, TopicPartition

from lake.models.catalog import Model, Telemetry

_TYPES = {"double": pl.Float64, "int": pl.Int32, "bigint": pl.Int64, "boolean": pl.Boolean, "string": pl.String}
_HEADERS = {"ce_id": "message_id", "ce_source": "source", "ce_time": "ce_time", "ce_subject": "component"}


def read_topic(bootstrap: str, topic: str) -> pl.DataFrame:
    """All records of a topic: offsets, key, value and the headers that matter."""
    consumer = Consumer({"bootstrap.servers": bootstrap, "group.id": "by-hand", "enable.auto.commit": False,
                         "fetch.min.bytes": 1_000_000, "queued.max.messages.kbytes": 200_000})  # fmt: skip
    partitions = list(consumer.list_topics(topic).topics[topic].partitions)
    ends = {p: consumer.get_watermark_offsets(TopicPartition(topic, p))[1] for p in partitions}
    consumer.assign([TopicPartition(topic, p, 0) for p in partitions])
    missing = sum(ends.values())
    columns: dict[str, list[object]] = {
        name: [] for name in ("partition", "offset", "key", "value", *_HEADERS.values())
    }
    while missing:
        for message in consumer.consume(10_000, 1.0):
            missing -= 1
            headers = dict(message.headers() or ())
            columns["partition"].append(message.partition())
            columns["offset"].append(message.offset())
            columns["key"].append(message.key())
            columns["value"].append(message.value())
            for name, column in _HEADERS.items():
                columns[column].append(headers.get(name))
    consumer.close()
    texts = [pl.col(name).cast(pl.String) for name in ("key", *_HEADERS.values())]
    binary = dict.fromkeys(("key", "value", *_HEADERS.values()), pl.Binary)
    return pl.DataFrame(columns, schema={"partition": pl.Int32, "offset": pl.Int64, **binary}).with_columns(texts)


def ingest(bootstrap: str, lake: Path, models: Mapping[str, Model], model_of: pl.DataFrame) -> dict[str, int]:
    """Both layers; returns readings a silver table. `model_of` maps `key` to `model_id`."""
    records = read_topic(bootstrap, "telemetry")
    records.write_delta(str(lake / "bronze"), mode="append")
    measured = records.join(model_of, on="key").with_columns(
        pl.col("ce_time").str.to_datetime("%+", strict=False, time_zone="UTC").alias("measured_at")
    )
    first = measured.sort("partition", "offset").filter(pl.col("measured_at").is_not_null())
    counts = {}
    for model in models.values():
        frames = []
        for component in sorted({t.component or "" for t in model.telemetry}):
            ours = first.filter(
                (pl.col("model_id") == model.model_id) & (pl.col("component").fill_null("") == component)
            )
            frames.append(_readings(ours, [t for t in model.telemetry if (t.component or "") == component]))
        readings = pl.concat(frames, how="diagonal").unique(["source", "message_id", "measured_at"], keep="first")
        readings = readings.with_columns(
            pl.col("measured_at").dt.date().alias("event_date"), pl.col("measured_at").dt.hour().alias("event_hour")
        )
        if len(readings):
            readings.write_delta(
                str(lake / model.table.split(".")[1]), mode="append",
                delta_write_options={"partition_by": ["event_date", "event_hour"]},
            )  # fmt: skip
            counts[model.table] = len(readings)
    return counts


def _readings(records: pl.DataFrame, telemetry: list[Telemetry]) -> pl.DataFrame:
    """Parsed and within their ranges; what is not JSON is left out."""
    text = pl.col("value").cast(pl.String, strict=False)
    whole = records.filter(text.str.starts_with("{") & text.str.ends_with("}"))
    shape = pl.Struct({t.json_path[-1]: _TYPES[t.type] for t in telemetry})
    parsed = whole.with_columns(text.str.json_decode(shape).alias("_json"))
    values = [pl.col("_json").struct.field(t.json_path[-1]).alias(t.column) for t in telemetry]
    readings = parsed.drop("value").with_columns(values).drop("_json")
    for t in telemetry:
        if t.minimum is not None or t.maximum is not None:
            low, high = t.minimum if t.minimum is not None else -1e308, t.maximum if t.maximum is not None else 1e308
            readings = readings.filter(pl.col(t.column).is_null() | pl.col(t.column).is_between(low, high))
    return readings.filter(pl.any_horizontal(pl.col(t.column).is_not_null() for t in telemetry))
