"""Versions: which files each version of a Delta table reads, and the files of its log.

Belongs here: reading and cutting logs and finding the files that no kept version reads, for tables of either writer.
Which versions are kept is decided by the caller; rows are rearranged in `compaction`.

Not by VACUUM: Delta's own goes by time alone, and delta-rs's commits to the table, which would move the versions of
tables that Spark writes. Deleting what no kept version reads needs no commit.
"""

import json
import re
from bisect import bisect_left
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote

from deltalake import DeltaTable

from lake.storage.lake_files import LakeFiles, StoredFile
from lake.storage.locations import folder_of
from runtime.errors import StepError

_ENTRY = re.compile(r"\.?(\d{20})\.(.+)")
_CHECKPOINT = re.compile(r"\.?(\d{20})\.checkpoint\.(.*\.)?parquet$")


@dataclass(frozen=True)
class TableFiles:
    """The files of a table: `data` by path relative to the table, `log` by version (checkpoints and checksums too)."""

    folder: str
    data: Mapping[str, StoredFile]
    log: Mapping[int, tuple[StoredFile, ...]]

    def commit(self, version: int) -> StoredFile | None:
        """The commit of a version; None when it is no longer in the log."""
        name = f"{version:020d}.json"
        return next((file for file in self.log.get(version, ()) if file.name == name), None)

    @property
    def checkpoints(self) -> list[int]:
        """The versions that have a checkpoint, in order."""
        return sorted(v for v, files in self.log.items() if any(_CHECKPOINT.match(file.name) for file in files))


def table_files(files: LakeFiles, table: str) -> TableFiles:
    """Everything that lies in a table's folder."""
    folder = folder_of(table)
    data: dict[str, StoredFile] = {}
    log: dict[int, list[StoredFile]] = {}
    for file in files.under(folder):
        path = file.path.removeprefix(f"{folder}/")
        entry = _ENTRY.fullmatch(file.name)
        if not path.startswith("_"):
            data[path] = file
        elif entry is not None:
            log.setdefault(int(entry.group(1)), []).append(file)
    return TableFiles(folder, data, {version: tuple(found) for version, found in log.items()})


def paths_of(opened: DeltaTable) -> set[str]:
    """The data files of an opened version, relative to the table."""
    actions = opened.get_add_actions(flatten=True)
    return {unquote(path) for path in actions["path"].to_pylist()} if actions.num_rows else set()


def current_at(lying: TableFiles, newest: int, moment: float) -> int:
    """The version that was the newest at `moment`: versions from it on may still be being read."""
    version = newest
    while (commit := lying.commit(version)) is not None and commit.modified_at > moment and lying.commit(version - 1):
        version -= 1
    return version


@dataclass(frozen=True)
class KeptVersions:
    """The versions of a table that may be read: the pinned ones, and those from `since` to `newest`.

    `oldest` is the table at the oldest of them.
    """

    oldest: DeltaTable
    pinned: Collection[int]
    since: int
    newest: int


def unread_files(files: LakeFiles, lying: TableFiles, kept: KeptVersions, before: float) -> list[StoredFile]:
    """Data files that no kept version reads, and that are older than `before`, in seconds since 1970.

    A file that no commit names yet may be one that is being written: its age alone lets it go.
    """
    oldest, newest = kept.oldest, kept.newest
    lives = dict.fromkeys(paths_of(oldest), (oldest.version(), newest + 1))
    for version in range(oldest.version() + 1, newest + 1):
        commit = lying.commit(version)
        if commit is None:
            raise StepError(
                f"{lying.folder} lacks commit {version} in its log, so nobody can tell which files are in use. Nothing "
                "of it was deleted: restore the log from a copy, or let the publications before that commit go."
            )
        for action in _actions(files.read(commit.path)):
            for path in _paths(action, "remove"):
                lives[path] = (lives.get(path, (0, 0))[0], version)
            for path in _paths(action, "add"):
                lives[path] = (version, newest + 1)
    pins = sorted(kept.pinned)
    read = {path for path, (start, end) in lives.items() if end > kept.since or _has_any(pins, start, end)}
    return [file for path, file in lying.data.items() if _data_path(path) not in read and file.modified_at < before]


def droppable_log(lying: TableFiles, oldest: int) -> list[StoredFile]:
    """Log files that no version from `oldest` on needs: those before the newest checkpoint at or below it."""
    bases = [version for version in lying.checkpoints if version <= oldest]
    return [file for version, found in lying.log.items() if bases and version < bases[-1] for file in found]


def superseded(files: LakeFiles, table: str, opened: DeltaTable, newest: DeltaTable) -> list[StoredFile]:
    """Every file of a table but what the versions from the opened to the newest one consist of.

    The opened version has a checkpoint, and no version in between reads files of its own.
    """
    folder = folder_of(table)
    kept = paths_of(opened) | paths_of(newest)
    found = []
    for file in files.under(folder):
        path = file.path.removeprefix(f"{folder}/")
        entry = _ENTRY.fullmatch(file.name) if path.startswith("_delta_log/") else None
        is_log = path == "_delta_log/_last_checkpoint" or (
            entry is not None and int(entry.group(1)) >= opened.version()
        )
        if not is_log and _data_path(path) not in kept:
            found.append(file)
    return found


def checkpoint(files: LakeFiles, opened: DeltaTable, table: str) -> None:
    """Write a checkpoint at the opened version."""
    opened.create_checkpoint()
    # Hadoop keeps a checksum beside what it wrote, and would find that it does not fit any more
    files.delete([f"{table.replace('.', '/')}/_delta_log/._last_checkpoint.crc"])


def _actions(text: bytes) -> Iterable[Mapping[str, Any]]:
    return (json.loads(line) for line in text.splitlines() if line.strip())


def _paths(action: Mapping[str, Any], kind: str) -> list[str]:
    return [unquote(action[kind]["path"])] if kind in action else []


def _has_any(pins: list[int], start: int, end: int) -> bool:
    place = bisect_left(pins, start)
    return place < len(pins) and pins[place] < end


def _data_path(path: str) -> str:
    """The data file that a file belongs to: itself, or the one whose checksum it is."""
    folder, _, name = path.rpartition("/")
    plain = name.removeprefix(".").removesuffix(".crc") if name.startswith(".") else name
    return f"{folder}/{plain}" if folder else plain
