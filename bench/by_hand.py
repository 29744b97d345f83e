"""What a good engineer would write by hand: Kafka to bronze and silver with confluent-kafka, Polars and delta-rs.

Belongs here: the script that `ingest` is measured against, in one process and in two. It parses, checks ranges, drops
repeats within a chunk and writes both layers. It keeps no progress, no reasons and no history, and a crash half way
leaves half.
"""

from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from multiprocessing import get_context
from pathlib import Path

import polars as pl
from confluent_kafka import Consumer, Message, TopicPartition

from lake.models.catalog import Model, Telemetry

_TYPES = {"double": pl.Float64, "int": pl.Int32, "bigint": pl.Int64, "boolean": pl.Boolean, "string": pl.String}
_HEADERS = {"ce_id": "message_id", "ce_source": "source", "ce_time": "ce_time", "ce_subject": "component"}
_TOPIC = "telemetry"
# messages as Python objects slow the garbage collector down with their number: of 5 million at once each takes twice
# the time
_CHUNK = 250_000


def read_topic(bootstrap: str, topic: str = _TOPIC) -> pl.DataFrame:
    """All records of a topic: offsets, key, value and the headers that matter."""
    return pl.concat(_chunks(bootstrap, topic))


def ingest(bootstrap: str, lake: Path, models: Mapping[str, Model], model_of: pl.DataFrame) -> Counter[str]:
    """Both layers, in one process; returns readings a silver table. `model_of` maps `key` to `model_id`."""
    return _ingest(None, bootstrap, lake, models, model_of)


def ingest_by_two(bootstrap: str, lake: Path, models: Mapping[str, Model], model_of: pl.DataFrame) -> Counter[str]:
    """The same by two processes, of which each has every other partition."""
    consumer = Consumer({"bootstrap.servers": bootstrap, "group.id": "by-hand"})
    partitions = sorted(consumer.list_topics(_TOPIC).topics[_TOPIC].partitions)
    consumer.close()
    _write(_frame([]), lake, models, model_of)  # two that make one table at the same moment would fail
    work = partial(_ingest, bootstrap=bootstrap, lake=lake, models=dict(models), model_of=model_of)
    # Polars has threads, and a fork would leave their locks taken
    with ProcessPoolExecutor(2, mp_context=get_context("spawn")) as pool:
        return sum(pool.map(work, [partitions[::2], partitions[1::2]]), Counter())


def _ingest(
    partitions: Collection[int] | None,
    bootstrap: str,
    lake: Path,
    models: Mapping[str, Model],
    model_of: pl.DataFrame,
) -> Counter[str]:
    counts = (_write(records, lake, models, model_of) for records in _chunks(bootstrap, _TOPIC, partitions))
    return sum(counts, Counter())


def _chunks(bootstrap: str, topic: str, only: Collection[int] | None = None) -> Iterator[pl.DataFrame]:
    consumer = Consumer({"bootstrap.servers": bootstrap, "group.id": "by-hand", "enable.auto.commit": False,
                         "fetch.min.bytes": 1_000_000, "queued.max.messages.kbytes": 200_000})  # fmt: skip
    partitions = [p for p in consumer.list_topics(topic).topics[topic].partitions if only is None or p in only]
    ends = {p: consumer.get_watermark_offsets(TopicPartition(topic, p))[1] for p in partitions}
    consumer.assign([TopicPartition(topic, p, 0) for p in partitions])
    missing = sum(ends.values())
    while missing:
        messages: list[Message] = []
        while missing and len(messages) < _CHUNK:
            some = consumer.consume(min(10_000, missing), 1.0)
            missing -= len(some)
            messages += some
        yield _frame(messages)
    consumer.close()


def _frame(messages: Sequence[Message]) -> pl.DataFrame:
    headers = [dict(message.headers() or ()) for message in messages]
    columns = {
        "partition": [message.partition() for message in messages],
        "offset": [message.offset() for message in messages],
        "key": [message.key() for message in messages],
        "value": [message.value() for message in messages],
        **{column: [each.get(name) for each in headers] for name, column in _HEADERS.items()},
    }
    texts = [pl.col(name).cast(pl.String) for name in ("key", *_HEADERS.values())]
    binary = dict.fromkeys(("key", "value", *_HEADERS.values()), pl.Binary)
    return pl.DataFrame(columns, schema={"partition": pl.Int32, "offset": pl.Int64, **binary}).with_columns(texts)


def _write(records: pl.DataFrame, lake: Path, models: Mapping[str, Model], model_of: pl.DataFrame) -> Counter[str]:
    _append(records, lake / "bronze")
    measured = records.join(model_of, on="key").with_columns(
        pl.col("ce_time").str.to_datetime("%+", strict=False, time_zone="UTC").alias("measured_at")
    )
    first = measured.sort("partition", "offset").filter(pl.col("measured_at").is_not_null())
    counts: Counter[str] = Counter()
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
        _append(readings, lake / model.table.split(".")[1], ["event_date", "event_hour"])
        counts[model.table] += len(readings)
    return +counts


def _append(rows: pl.DataFrame, table: Path, partition_by: Sequence[str] = ()) -> None:
    rows.write_delta(str(table), mode="append", delta_write_options={"partition_by": list(partition_by)})


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
