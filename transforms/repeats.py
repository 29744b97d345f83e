"""Repeats: the same message again, by CloudEvents identity near its own time.

Identity is (`source`, `message_id`, `measured_at`): a true repeat carries the time of the first. Of the valid readings
with one identity the first by (`ingest_id`, `partition`, `offset`) is kept. That order is what bronze recorded, so
ticks and a rebuild keep the same one. The others are `duplicate` when their bytes are the same, else `conflict`.
"""

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from transforms.reasons import Reason

IDENTITY = ("source", "message_id", "measured_at")
ORDER = ("ingest_id", "topic", "partition", "offset")
KEYS = ("table_name", *IDENTITY)


def identity_pool(records: DataFrame, earlier: DataFrame | None = None) -> DataFrame:
    """All valid records with a hash of their identity: KEYS, ORDER, `payload_digest`, `identity_hash`.

    `earlier` holds valid readings of before (KEYS, ORDER, `payload_digest`) or is None.
    """
    columns = [*KEYS, *ORDER, "payload_digest"]
    valid = records.where("reason IS NULL").select(columns)
    pool = valid if earlier is None else valid.unionByName(earlier.select(columns))
    return pool.withColumn("identity_hash", F.xxhash64(*KEYS))


def repeated_hashes(pool: DataFrame) -> DataFrame:
    """The hashes that come more than once; without any, no identity does.

    Counting hashes of eight bytes leaves few suspects to compare as they are; the smallest struct of all rows, or a
    window, has to sort.
    """
    return pool.groupBy("identity_hash").count().where("count > 1").select("identity_hash")


def repeated_identities(pool: DataFrame, hashes: DataFrame) -> DataFrame:
    """The identities that more than one record of the pool has, each with `first`, the record to keep."""
    suspects = pool.join(F.broadcast(hashes), "identity_hash", "left_semi")
    first = F.min(F.struct(*ORDER, "payload_digest")).alias("first")
    return suspects.groupBy(*KEYS).agg(F.count("*").alias("n"), first).where("n > 1").select(*KEYS, "first")


def refuse_repeats(records: DataFrame, repeated: DataFrame | None) -> DataFrame:
    """Set `reason`, `detail` and `repeats` for every valid record that is not the first of its identity.

    `repeated` is None when no identity is.
    """
    if repeated is None:
        return records.withColumn("repeats", F.lit(None).cast("string"))
    joined = records.join(F.broadcast(repeated), list(KEYS), "left")
    first = F.col("first")
    is_repeat = (
        F.col("reason").isNull() & first.isNotNull() & (F.struct(*ORDER) != F.struct(*[first[name] for name in ORDER]))
    )
    is_same = F.col("payload_digest") == first["payload_digest"]
    place = F.concat_ws(":", first["topic"], first["partition"], first["offset"])
    code = F.when(is_same, F.lit(Reason.DUPLICATE.value)).otherwise(F.lit(Reason.CONFLICT.value))
    return (
        joined.withColumn("repeats", F.when(is_repeat, place))
        .withColumn("detail", F.when(is_repeat, F.concat(F.lit("repeats "), place)).otherwise(F.col("detail")))
        .withColumn("reason", F.when(is_repeat, code).otherwise(F.col("reason")))
        .drop("first")
    )
