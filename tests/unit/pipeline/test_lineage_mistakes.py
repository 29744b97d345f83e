"""What a person is told who asks for the trace of a row that is not there."""

from pathlib import Path

import pytest

from lake.models.catalog import known_models
from lake.tables.gold import DEVICE_HOURS
from pipeline.proof.lineage import trace_row
from runtime.errors import UsageError
from runtime.settings import Settings
from tests.support.published_lake import DEVICE, START, gold_row, publish_rows

KEY = {"device_id": DEVICE, "metric_name": "temperature", "hour_at": f"{START:%Y-%m-%dT%H}"}


@pytest.mark.parametrize(
    ("mistake", "said"),
    [
        ({"device_id": "thermostat-9999"}, ": no row has that device_id; `lakehouse sql"),
        ({"metric_name": "temperatur"}, ": no row has that metric_name; `lakehouse sql"),
        ({"hour_at": "2026-11-18T01"}, "."),
    ],
)
def test_the_part_that_no_row_has_is_named(tmp_path: Path, mistake: dict[str, str], said: str) -> None:
    """Of an unknown device or metric that one is named with what lists the known ones; hours are not listed."""
    settings = Settings(home=tmp_path, lake_uri=str(tmp_path / "lake"))
    publish_rows(settings, {DEVICE_HOURS: [gold_row(DEVICE_HOURS, START, 20.0)]})
    with pytest.raises(UsageError) as refused:
        trace_row(settings, known_models(settings), DEVICE_HOURS.name, {**KEY, **mistake})
    told, _, why = str(refused.value).partition("hour_at is ")
    assert "has no row of gold.device_hours where" in told
    assert said in why
    assert ("no row has" in why) == (said != ".")
