"""Certificates of erasures: found again, silent about the device, and named where a publication is missing."""

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from lake.records import erasures, publications
from lake.storage.delta import open_table
from lake.storage.lake_files import LakeFiles
from lake.storage.log_files import checkpoint, superseded
from lake.tables.gold import DEVICE_COMPLETENESS
from runtime.errors import UsageError
from runtime.settings import Settings
from tests.unit.lake.test_publications import FIRST
from tests.unit.pipeline.test_maintenance import devices_at, rewrite

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """A lake without tables."""
    return Settings(home=tmp_path, lake_uri=str(tmp_path / "lake"))


def begun(settings: Settings, device: str) -> erasures.Erasure:
    return erasures.begin(settings, device, who="ada", why="asked", now=NOW)


def test_an_interrupted_erasure_is_gone_on_with(settings: Settings) -> None:
    """The same device meets its open certificate, another device, or one that was closed, begins anew."""
    first = begun(settings, "pump-1")
    first.files.append({"path": "x", "bytes": 1, "sha256": "0"})
    erasures.save(settings, first)
    assert begun(settings, "pump-1") == first
    assert begun(settings, "pump-2").salt != first.salt
    erasures.save(settings, replace(first, finished_at=NOW.isoformat()))
    assert begun(settings, "pump-1").salt != first.salt


def test_a_certificate_does_not_name_its_device(settings: Settings) -> None:
    """Who knows the id can tell that it is meant, and nobody reads it there."""
    erasure = begun(settings, "pump-1")
    erasures.save(settings, erasure)
    assert b"pump-1" not in LakeFiles(settings).read(erasure.path)
    (stored,) = erasures.list_all(settings)
    assert stored.is_of("pump-1")
    assert not stored.is_of("pump-2")


def test_a_withdrawn_publication_names_the_certificate(settings: Settings) -> None:
    """Another one that is not there is just not there."""
    publications.record(settings, replace(FIRST, publication_id=3))
    erasure = begun(settings, "pump-1")
    erasure.withdrawn = [1, 2]
    erasures.save(settings, erasure)
    with pytest.raises(UsageError, match=f"can no longer be read.*{erasure.path}"):
        publications.get(settings, 2)
    with pytest.raises(UsageError, match="There is no publication 4"):
        publications.get(settings, 4)


def test_a_table_is_left_with_one_version(settings: Settings) -> None:
    """What earlier versions consisted of is named, data and log, and without it the version reads as before."""
    rewrite(settings, 4)
    files, name = LakeFiles(settings), DEVICE_COMPLETENESS.name
    opened = open_table(settings, name)
    assert opened is not None
    checkpoint(files, opened, name)
    old = superseded(files, name, opened, opened)
    assert len([file for file in old if file.name.endswith(".parquet")]) == 3
    assert len([file for file in old if file.name.endswith(".json")]) == 4
    files.delete(file.path for file in old)
    assert devices_at(settings) == devices_at(settings, 4) == ["d4"]
    assert superseded(files, name, opened, opened) == []
