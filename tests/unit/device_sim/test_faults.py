"""Faults as data: the schema of a faults file."""

import json
from pathlib import Path

import pytest

from device_sim.corruptions import CORRUPTIONS
from device_sim.faults import DEMO_FAULTS, Faults, Impossible, parse_faults, read_faults
from runtime.errors import UsageError


def test_nothing_goes_wrong_by_default() -> None:
    """An empty file is a fleet without faults."""
    faults = parse_faults("{}", "f")
    assert faults == Faults()
    assert sum(faults.reading_shares().values()) == 0
    assert faults.outage.devices == faults.maintenance.devices == faults.clock_ahead.devices == 0


def test_a_printed_file_is_read_to_the_same_faults() -> None:
    """What --print-faults prints is a faults file."""
    assert parse_faults(DEMO_FAULTS.to_json(), "f") == DEMO_FAULTS
    assert parse_faults(Faults(impossible=Impossible(5, 0.3, "pump")).to_json(), "f").impossible == Impossible(
        5, 0.3, "pump"
    )


def test_the_demo_has_every_fault() -> None:
    """Each kind of fault and corruption occurs in the demo, but for the one that holds a slice."""
    assert all(DEMO_FAULTS.reading_shares().values())
    assert set(DEMO_FAULTS.corrupt) == set(CORRUPTIONS)
    periods = (DEMO_FAULTS.clock_ahead, DEMO_FAULTS.clock_behind, DEMO_FAULTS.outage, DEMO_FAULTS.maintenance)
    assert all(period.devices for period in periods)
    assert DEMO_FAULTS.impossible is None


def test_values_left_out_keep_their_defaults() -> None:
    """A share alone is enough."""
    assert parse_faults('{"late": {"share": 0.5}}', "f").late.minutes == Faults().late.minutes


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("{", "not JSON"),
        ("[]", "must be a JSON object"),
        ('{"lates": {}}', "unknown key 'lates'"),
        ('{"late": {"shares": 1}}', "unknown key 'shares'"),
        ('{"late": 0.1}', "must be a JSON object"),
        ('{"late": {"share": 1.5}}', "share from 0 to 1"),
        ('{"late": {"share": true}}', "0 or more"),
        ('{"late": {"share": NaN}}', "0 or more"),
        ('{"late": {"minutes": [5, 1]}}', "least is more"),
        ('{"late": {"minutes": 5}}', r"\[least, most\]"),
        ('{"corrupt": {"rotten": 0.1}}', "unknown kind 'rotten'"),
        ('{"corrupt": {"truncated": 2}}', "share from 0 to 1"),
        ('{"unknown_telemetry": {"name": ""}}', "give a name"),
        ('{"impossible": {"share": 0.1}}', "must be like"),
        ('{"impossible": {"slice": -1, "share": 0.1}}', "hours since the start"),
        ('{"impossible": {"slice": 1, "share": 0.1, "hour": 2}}', "must be like"),
        ('{"late": {"share": 0.6}, "repeated": {"share": 0.6}}', "add up to 1.2"),
    ],
)
def test_what_is_unknown_or_impossible_is_refused(text: str, says: str) -> None:
    """A faults file says exactly what happens, so nothing in it is ignored."""
    with pytest.raises(UsageError, match=says):
        parse_faults(text, "f")


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    """The error says which file."""
    with pytest.raises(UsageError, match=r"none\.json cannot be read"):
        read_faults(tmp_path / "none.json")
    file = tmp_path / "f.json"
    file.write_text(json.dumps({"late": {"share": 0.25}}))
    assert read_faults(file).late.share == 0.25
