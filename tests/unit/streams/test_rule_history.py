"""Rules on history: what the lake has is asked as what comes in is."""

import json
from datetime import timedelta
from pathlib import Path

from lake.slices import slice_start
from runtime.settings import Settings
from streams.output_topics import ALERTS
from streams.rule_history import would_have_fired
from tests.support.small_lake import H5, H6, Lake
from transforms.alert_rules import Rule


def test_a_rule_fires_and_clears_on_the_readings_of_silver(tmp_path: Path) -> None:
    """Over two hours, in the order of time, with the site where the device stood; the last message of a pack counts
    last."""
    lake = Lake(Settings(home=tmp_path, lake_uri=str(tmp_path / "lake")))
    for slice_, minute, value in ((H5, 1, 20.0), (H5, 2, 31.0), (H6, 1, 32.0), (H6, 2, 19.0)):
        lake.read(slice_, minute, value)
    at = lake.read(H6, 5, 20.0)
    for number in (10, 9, 2):
        lake.readings.append(at | {"topic": f"telemetry#{number}", "temperature_degc": 31.0 if number == 10 else 20.0})
    lake.write()
    rule = Rule("too_hot", by=("device_id", "site_id"), where="metric_name = 'temperature'", condition="value > 30")
    start = slice_start(H5)
    found = [
        json.loads(message.value or b"")
        for message in would_have_fired(lake.settings, rule, start, start + timedelta(hours=2))
        if message.topic == ALERTS
    ]
    assert [(each["change"], each["at"][11:16], each["site_id"]) for each in found] == [
        ("fired", "05:02", "s1"), ("cleared", "06:02", "s1"), ("fired", "06:05", "s1"),
    ]  # fmt: skip
