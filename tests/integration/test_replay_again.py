"""A second replay before the first was taken in: what waits in Kafka is known as what silver has."""

import os
from pathlib import Path

import pytest

from ingestion.waiting import waiting_messages
from lakehouse.cli.main import run
from runtime.settings import Settings
from tests.conftest import empty_topics
from tests.support.recordings import written

FIRST = "timestamp,temperature\n2026-11-20T05:00:00Z,20\n2026-11-20T05:01:00Z,21\n"
WIDER = "timestamp,temperature,humidity\n2026-11-20T05:01:00Z,21,40\n2026-11-20T05:02:00Z,22,41\n"


def test_values_that_wait_in_kafka_are_not_sent_again(
    broker: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """An export with one column more is refused whole, without its old telemetry it is sent; the same file may come
    again, since its messages are repeats."""
    empty_topics(broker)
    settings = Settings(home=tmp_path / "home", lake_uri=str(tmp_path / "home" / "lake"), kafka_bootstrap=broker)
    for name in [each for each in os.environ if each.startswith(("LAKEHOUSE_", "AWS_"))]:
        monkeypatch.delenv(name)
    for name, value in settings.child_environment().items():
        monkeypatch.setenv(name, value)
    first, wider = (str(written(tmp_path, name, text)) for name, text in (("a.csv", FIRST), ("b.csv", WIDER)))
    device = ["--model", "thermostat", "--device", "d1"]
    assert run(["replay", first, *device]) == 0
    before = waiting_messages(settings)
    assert run(["replay", wider, *device]) == 1
    said = capsys.readouterr().err
    assert "1 row of b.csv would bring values that wait for the lake" in said
    assert "first temperature of d1 at 2026-11-20T05:01:00.000Z" in said
    assert waiting_messages(settings) == before
    assert run(["replay", wider, *device, "--only", "humidity"]) == 0
    assert run(["replay", first, *device]) == 0
