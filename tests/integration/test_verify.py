"""Verifying: a publication is what bronze gives, and whatever was changed by hand since is found."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from pyspark.sql import SparkSession

from lake.models.catalog import known_models
from lake.records import publications
from lake.storage.delta import open_table
from lake.storage.locations import table_uri
from pipeline.gold.gold_refresh import refresh_gold
from pipeline.proof.verification import Verification, verify
from pipeline.run import Run
from runtime.settings import Settings
from tests.support.landing import reading, registered, run_tick, send

START = (datetime.now(UTC) - timedelta(days=2)).replace(hour=9, minute=0, second=0, microsecond=0)
HELD_HOUR = f"{START + timedelta(hours=2):%Y-%m-%dT%H}"


def publish(spark: SparkSession, settings: Settings) -> None:
    run_tick(spark, settings)
    assert refresh_gold(Run(settings, known_models(settings), "test", datetime.now(UTC))) is not None


def verified(spark: SparkSession, settings: Settings, publication_id: int) -> Verification:
    models = known_models(settings)
    return verify(spark, settings, models, publications.get(settings, publication_id), code_version="0+test")


def pinned_file(settings: Settings, table: str, publication_id: int) -> Path:
    version = publications.get(settings, publication_id).tables[table]
    opened = open_table(settings, table, version)
    assert opened is not None
    paths: Any = opened.get_add_actions(flatten=True)["path"].to_pylist()
    return Path(table_uri(settings, table)) / str(sorted(paths)[0])


def test_what_was_changed_by_hand_is_found(spark: SparkSession, settings: Settings) -> None:
    """A publication and the one after late data are both what bronze gives; a byte, a value, a part and a whole file
    that are changed in gold are each found, in the publication that pins them."""
    assert settings.kafka_bootstrap is not None
    messages = [registered("t-1", START), registered("t-2", START)]
    for minute in range(180):
        # the third hour is held: a third of it is impossible
        value = 999.0 if minute >= 160 else 20.0 + minute / 100
        messages += [reading(name, f"{name}-{minute}", START + timedelta(minutes=minute), value)
                     for name in ("t-1", "t-2")]  # fmt: skip
    late, messages = messages[40:50], messages[:40] + messages[50:]
    send(settings.kafka_bootstrap, messages)
    publish(spark, settings)
    # late readings, one of them with other values than those that it repeats, and a device that was never registered
    again = reading("t-1", "t-1-7", START + timedelta(minutes=7), 33.0)
    send(settings.kafka_bootstrap, [*late, again, reading("t-9", "t-9-1", START, 21.0)])
    publish(spark, settings)

    for publication_id, rows in ((1, 230), (2, 240)):
        result = verified(spark, settings, publication_id)
        assert result.is_same, result
        compared = {each.table: each for each in result.comparisons}
        assert compared["gold.device_minutes"].left_out == (HELD_HOUR,)
        assert compared["gold.device_minutes"].rows == rows
        assert compared["gold.device_days"].left_out == (HELD_HOUR[:10],)
        assert compared["gold.devices"].left_out == ("all",)
        assert compared["silver.thermostats"].rows > 0
    assert not (Path(settings.lake_uri) / "_verify" / "silver").exists()

    flipped = pinned_file(settings, "gold.device_hours", 2)
    content = bytearray(flipped.read_bytes())
    content[len(content) // 2] ^= 1
    flipped.write_bytes(content)
    other_value = pinned_file(settings, "gold.device_minutes", 2)
    table = pq.ParquetFile(other_value).read()
    index = table.schema.get_field_index("value_max")
    table = table.set_column(index, table.schema.field(index), pc.add(table["value_max"], pa.scalar(0.25)))
    pq.write_table(table, other_value)
    cut = pinned_file(settings, "gold.devices", 2)
    cut.write_bytes(cut.read_bytes()[:100])
    pinned_file(settings, "gold.device_latest", 2).unlink()

    result = verified(spark, settings, 2)
    assert not result.is_same
    assert {damage.table: damage.what for damage in result.damages} == {
        "gold.device_hours": "has other bytes than were published",
        "gold.device_minutes": "has other bytes than were published",
        "gold.devices": "has other bytes than were published",
        "gold.device_latest": "is gone",
    }
    compared = {each.table: each for each in result.comparisons}
    minutes = compared["gold.device_minutes"]
    assert minutes.differing == 2 * len(table)
    assert {row["side"] for row in minutes.examples} <= {"published", "rebuilt"}
    assert compared["gold.device_completeness"].is_same
