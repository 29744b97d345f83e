"""A lake that is copied while it is written, logs first, is a lake: what its newest publication pins can be read."""

import shutil
import threading
from datetime import UTC, datetime
from pathlib import Path

from lake.records import publications
from lake.storage.delta import open_table
from lake.tables.gold import DEVICE_COMPLETENESS
from runtime.settings import Settings
from tests.unit.pipeline.test_maintenance import devices_at, publication, rewrite

COPIES = 6


def copy_of(lake: Path, copy: Path) -> None:
    """The copy that docs/guide/operate.md describes: logs of publications, then all logs, then the rest."""
    logs = [lake / "ops" / "publications" / "_delta_log", *sorted(lake.glob("*/*/_delta_log"))]
    for log in logs:
        target = copy / log.relative_to(lake)
        for path in sorted(log.glob("*")):
            if path.name != "_last_checkpoint" and not (target / path.name).exists():
                target.mkdir(parents=True, exist_ok=True)
                shutil.copy2(path, target / path.name)
    for path in sorted(lake.rglob("*")):
        if path.is_file() and "_delta_log" not in path.parts:
            target = copy / path.relative_to(lake)
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(path, target)


def test_a_copy_made_amid_commits_reads_as_a_publication(tmp_path: Path) -> None:
    """Each copy has a publication, at least as new as the one when it was begun, whose pinned version is whole."""
    settings = Settings(home=tmp_path, lake_uri=str(tmp_path / "lake"))

    def publish(number: int) -> None:
        rewrite(settings, 1)
        opened = open_table(settings, DEVICE_COMPLETENESS.name)
        assert opened is not None
        publications.record(settings, publication(number, 0, {DEVICE_COMPLETENESS.name: opened.version()}))

    publish(1)
    stop = threading.Event()

    def write() -> None:
        number = 1
        while not stop.is_set():
            number += 1
            publish(number)

    writer = threading.Thread(target=write)
    writer.start()
    try:
        begun = []
        for number in range(COPIES):
            newest = publications.newest(settings)
            assert newest is not None
            begun.append(newest.publication_id)
            copy_of(tmp_path / "lake", tmp_path / f"copy-{number}" / "lake")
    finally:
        stop.set()
        writer.join()
    for number, least in enumerate(begun):
        copy = Settings(home=tmp_path / f"copy-{number}", lake_uri=str(tmp_path / f"copy-{number}" / "lake"))
        found = publications.newest(copy)
        assert found is not None
        assert found.publication_id >= least
        assert found.published_at <= datetime.now(UTC)
        assert devices_at(copy, found.tables[DEVICE_COMPLETENESS.name]) == ["d1"]
