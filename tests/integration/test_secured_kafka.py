"""A Kafka that wants TLS, and a password or a certificate: every client of ours reaches it by a file of properties."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from pyspark.sql import SparkSession

from ingestion import landing_topics
from ingestion.checks import check_topics
from ingestion.landing_topics import ensure_topics
from runtime.errors import PlatformError
from runtime.settings import Settings
from tests.support.landing import reading, registered, rows, run_tick, send
from tests.support.secured_broker import PASSWORD, SecuredBroker, running_secured_broker

AT = datetime(2025, 3, 1, tzinfo=UTC)


@pytest.fixture(scope="module")
def secured(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SecuredBroker]:
    with running_secured_broker(tmp_path_factory.mktemp("kafka")) as broker:
        yield broker


def test_a_reading_comes_through_tls_and_password(
    secured: SecuredBroker, settings: Settings, spark: SparkSession
) -> None:
    """Topics are made, messages sent, and the run itself and Spark read them, with what the file says; the
    certificate's way has the same topics."""
    ours = replace(settings, kafka_bootstrap=secured.by_password, kafka_config=secured.password_file)
    address = ours.kafka_address
    assert address is not None
    ensure_topics(address)
    send(address, [registered("d1", AT), reading("d1", "m1", AT)])
    report = run_tick(spark, ours)
    assert report.ingested == {"telemetry": 1, "lifecycle": 1}
    assert rows(ours, "silver.thermostats", "SELECT message_id FROM t") == [("m1",)]
    by_certificate = replace(ours, kafka_bootstrap=secured.by_certificate, kafka_config=secured.certificate_file)
    for number, way in enumerate(
        [by_certificate, *(replace(each, ingest_engine="spark") for each in (ours, by_certificate))]
    ):
        send(way.kafka_address or "", [reading("d1", f"m{number + 2}", AT)])
        assert run_tick(spark, way).ingested == {"telemetry": 1, "lifecycle": 0}
    assert check_topics(by_certificate).is_ok
    _is_nowhere(PASSWORD, ours.home)


def test_a_wrong_password_is_a_sentence(
    secured: SecuredBroker, settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who is refused is told which broker and which file, not that a broker is missing for ever."""
    file = tmp_path / "wrong.properties"
    file.write_text(secured.password_file.read_text().replace(PASSWORD, "wrong"))
    ours = replace(settings, kafka_bootstrap=secured.by_password, kafka_config=file)
    monkeypatch.setattr(landing_topics, "_TIMEOUT_S", 3.0)  # the client goes on asking until then
    with pytest.raises(PlatformError, match=f"{secured.by_password}.*wrong.properties"):
        ensure_topics(ours.kafka_address or "")


def _is_nowhere(secret: str, folder: Path) -> None:
    for path in folder.rglob("*"):
        assert not path.is_file() or secret.encode() not in path.read_bytes(), path
