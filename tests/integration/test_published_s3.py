"""The Python face on a lake that lies on S3."""

from pathlib import Path

import pytest

import lakehouse
from tests.support.published_lake import DEVICE, publish_three_days_in
from tests.support.s3server import running_s3_server


def test_a_lake_on_s3_is_read_as_one_in_a_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Tables and series of an `s3://` address are those that were published there, with keys from the environment."""
    with running_s3_server(tmp_path / "s3") as server:
        settings = server.settings(tmp_path / "home", "published")
        publish_three_days_in(settings)
        for name, value in settings.child_environment().items():
            if name.startswith("AWS_"):
                monkeypatch.setenv(name, value)
        gold = lakehouse.open(settings.lake_uri).publication()
        hours = gold.table("device_hours").where(device_id=DEVICE, metric_name="temperature").during(
            "2026-11-18", "2026-11-19"
        )  # fmt: skip
        assert hours.to_arrow().num_rows == 22
        points = gold.series(DEVICE, "temperature", "2026-11-18", "2026-11-19", fill="previous").to_arrow()
        assert points.num_rows == 24
        assert sum(points["is_filled"].to_pylist()) == 2
        assert not (tmp_path / "home" / "work").exists()
