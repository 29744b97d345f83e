"""The demo's home: whether the demo may use this home, and emptying what an earlier demo left there.

Belongs here: the marker file `demo.json` and what it protects. The demo itself is in `commands.demo`.

A demo starts from an empty lake, so that it always does the same. It empties a home only if a demo filled it and
nothing has landed there since; whatever else is there is somebody's data.
"""

import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from ingestion.landing_topics import TOPICS
from lake.storage.delta import open_table
from lake.storage.locations import s3_files
from runtime.errors import PlatformError, UsageError
from runtime.private_files import ensure_home
from runtime.processes import running_processes
from runtime.settings import Settings
from runtime.whole_files import write_whole

# state of one lakehouse; models that were added, records of processes and logs stay
_EMPTIED = ("kafka", "dagster", "work", "manifests", "report")
_NEEDED_BYTES = 3_000_000_000


@dataclass(frozen=True)
class Marker:
    """What the last demo left: which lake it filled, when a message landed last (seconds since 1970), its seeds.

    `ingested` is the version that bronze has come to, a topic. With `is_mixed` there are others' messages too; while
    `is_under_way`, and after a demo that was killed, nobody knows what has landed.
    """

    lake_uri: str
    seeds: tuple[int, ...] = ()
    is_mixed: bool = False
    is_under_way: bool = False
    landed_at: float | None = None
    ingested: tuple[int | None, ...] = ()


def prepare(settings: Settings, keep: bool) -> Marker:
    """Make the home ready for a demo; returns what it holds of earlier ones, for `marked`.

    Empties what an earlier demo left, unless `keep`. Raises UsageError when the home holds anything else, or when
    something runs for it; PlatformError when the disk is too full.
    """
    ensure_home(settings)
    running = [record.name for record in running_processes(settings)]
    if running:
        raise UsageError(
            f"The {' and the '.join(running)} of {settings.home} run: stop them with `lakehouse down`, or give the "
            "demo a home of its own with LAKEHOUSE_HOME."
        )
    free = shutil.disk_usage(settings.home).free
    if free < _NEEDED_BYTES:
        raise PlatformError(
            f"{settings.home} has {free / 1e9:.1f} GB of disk left and the demo needs {_NEEDED_BYTES / 1e9:.0f} GB: "
            "make room, or choose another place with LAKEHOUSE_HOME."
        )
    marker = _read(settings)
    others = _why_not_ours(settings, marker) if _has_data(settings) else None
    if keep:
        seeds = () if marker is None or marker.lake_uri != settings.lake_uri else marker.seeds
        return Marker(settings.lake_uri, seeds, is_mixed=others is not None)
    if others is not None:
        raise UsageError(
            f"{settings.home} (lake {settings.lake_uri}) has {others}: choose another home with LAKEHOUSE_HOME, or "
            "add to this one with `lakehouse demo --keep`."
        )
    _empty(settings)
    return Marker(settings.lake_uri)


@contextmanager
def marked(settings: Settings, before: Marker, seed: int) -> Iterator[None]:
    """Write down that a demo with this seed fills the home in the block, and in the end how far it came."""
    marker = replace(before, seeds=(*before.seeds, seed))
    _write(settings, replace(marker, is_under_way=True))
    try:
        yield
    finally:
        _write(settings, replace(marker, landed_at=_landed_at(settings), ingested=_ingested(settings)))


def _why_not_ours(settings: Settings, marker: Marker | None) -> str | None:
    """What a home with data holds that no demo put there, in words; None when there is nothing of that kind."""
    if marker is None or marker.lake_uri != settings.lake_uri:
        return "data that no demo made"
    if marker.is_mixed:
        return "data that no demo made, to which one was added"
    if marker.is_under_way:
        return None
    if (_landed_at(settings) or 0.0) > (marker.landed_at or 0.0) or _ingested(settings) != marker.ingested:
        return "received messages since its demo, which would be lost"
    return None


def _has_data(settings: Settings) -> bool:
    return _landed_at(settings) is not None or any(version is not None for version in _ingested(settings))


def _landed_at(settings: Settings) -> float | None:
    """When the embedded broker last wrote down a message; None when it has none."""
    return max((log.stat().st_mtime for log in _kafka_logs(settings) if log.stat().st_size), default=None)


def _kafka_logs(settings: Settings) -> Iterator[Path]:
    for topic in TOPICS:
        yield from (settings.home / "kafka" / "data").glob(f"{topic.name}-*/*.log")


def _ingested(settings: Settings) -> tuple[int | None, ...]:
    """How far bronze has come a topic: layout changes leave it as it is, new records do not."""
    from lake.storage.applications import App

    opened = [open_table(settings, f"bronze.{topic.name}") for topic in TOPICS]
    return tuple(None if table is None else table.transaction_version(App.INGEST) for table in opened)


def _empty(settings: Settings) -> None:
    for name in _EMPTIED:
        shutil.rmtree(settings.home / name, ignore_errors=True)
    if settings.is_s3:
        files = s3_files(settings)
        place = settings.lake_uri.removeprefix("s3://")
        if files.exists(place):
            files.rm(place, recursive=True)
    else:
        shutil.rmtree(settings.lake_uri, ignore_errors=True)
    _path(settings).unlink(missing_ok=True)


def _path(settings: Settings) -> Path:
    return settings.home / "demo.json"


def _write(settings: Settings, marker: Marker) -> None:
    write_whole(_path(settings), json.dumps(asdict(marker)) + "\n")


def _read(settings: Settings) -> Marker | None:
    try:
        raw = json.loads(_path(settings).read_text(encoding="utf-8"))
        return Marker(**{**raw, "seeds": tuple(raw["seeds"]), "ingested": tuple(raw["ingested"])})
    except (FileNotFoundError, ValueError, KeyError, TypeError):
        return None
