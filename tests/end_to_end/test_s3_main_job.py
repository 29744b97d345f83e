"""The main job on a real S3 server: Kafka, S3A, delta-rs, DuckDB and s3fs with nothing but another lake address."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

from runtime.settings import Settings
from runtime.spark.connect_server import running_spark
from tests.end_to_end.lakehouse import lakehouse, query
from tests.support.landing import reading, registered, send
from tests.support.s3server import running_s3_server

START = (datetime.now(UTC) - timedelta(hours=5)).replace(minute=0, second=0, microsecond=0)


def test_messages_become_published_gold_on_s3(settings: Settings, tmp_path: Path) -> None:
    """Two hours of readings, one of them broken, are published from a bucket; a late one is added to its hour."""
    assert settings.kafka_bootstrap is not None
    messages = [registered("s3-1", START)]
    messages += [reading("s3-1", f"m{i}", START + timedelta(minutes=i), 20.0 + i / 100) for i in range(1, 120)]
    send(settings.kafka_bootstrap, [*messages, reading("s3-1", "broken", START, b"{")])
    with running_s3_server(tmp_path / "s3") as server:
        on_s3 = replace(server.settings(tmp_path / "s3home", "main-job"), kafka_bootstrap=settings.kafka_bootstrap)
        assert on_s3.is_s3
        with running_spark(on_s3):
            lakehouse(on_s3, "refresh")
            sql = "SELECT sum(reading_count)::INT AS n, max(value_max) AS warmest FROM gold.device_hours"
            assert query(on_s3, sql) == [{"n": 119, "warmest": 21.19}]
            assert query(on_s3, "SELECT reason FROM silver.rejected") == [{"reason": "not_json"}]
            send(settings.kafka_bootstrap, [reading("s3-1", "late", START, 30.0)])
            lakehouse(on_s3, "refresh")
            assert query(on_s3, sql) == [{"n": 120, "warmest": 30.0}]
    assert not (on_s3.home / "lake").exists()
