"""The writer's lease: one process writes to a lake at a time.

Belongs here: taking, keeping and giving back the lease, and taking over one whose holder is dead. Spark's LogStore is
safe within one JVM only, and on S3 it loses commits silently when two drivers write, so this is not a courtesy.

Spark may still be working for a holder that is dead, or was interrupted: so the lease names the holder's Spark
sessions, and nobody goes on, nor gives it back, before what runs in them has ended.

The lease is the highest numbered file in `<lake>/_lease/`. To take it a process creates the next number exclusively,
which exactly one of several can; only the holder ever rewrites its own file, so there is no race to lose.
"""

import json
import os
import platform
import threading
import time
import uuid
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Protocol

import psutil

from lake.storage.locations import s3fs_options
from runtime import process_ids
from runtime.errors import LeaseError
from runtime.settings import Settings

RENEW_S = 20.0
# A holder on another machine that has not renewed for this long is dead; on this machine its process id tells.
DEAD_AFTER_S = 120.0
LEASE_WAIT_S = 1800.0
"""How long a command or a run waits for other writers: a refresh of many days takes minutes."""
# the machine's start is told in whole seconds, rounded anew each time
_START_SLACK_S = 2.0

AwaitWork = Callable[[Iterable[str]], None]


@dataclass(frozen=True)
class Holder:
    """Who holds the lease, for what, since when (seconds since 1970), and the Spark sessions that it had then.

    `process_started_at` counts from the start of the machine (`boot_id`), which a clock that is set does not change.
    """

    host: str
    pid: int
    process_started_at: float
    purpose: str
    taken_at: float
    renewed_at: float
    released: bool = False
    sessions: tuple[str, ...] = ()
    boot_id: str = ""

    def is_dead(self, now: float) -> bool:
        """True when the holder has given the lease back or cannot come back to use it."""
        if self.released:
            return True
        if self.host != platform.node():
            return now - self.renewed_at > DEAD_AFTER_S
        if self.boot_id != process_ids.boot_id():
            return True
        try:
            process = psutil.Process(self.pid)
            is_other = abs(process_ids.started_s(process) - self.process_started_at) > _START_SLACK_S
            return is_other or process_ids.has_ended(process)
        except psutil.NoSuchProcess:
            return True

    def __str__(self) -> str:
        since = time.strftime("%H:%M:%S UTC", time.gmtime(self.taken_at))
        return f"process {self.pid} on {self.host} ({self.purpose}, since {since})"


class _Store(Protocol):
    def names(self) -> list[str]: ...
    def read(self, name: str) -> str | None: ...
    def create(self, name: str, text: str) -> bool: ...
    def rewrite(self, name: str, text: str) -> None: ...
    def delete(self, name: str) -> None: ...


@contextmanager
def writer_lease(settings: Settings, purpose: str, wait_s: float = 0.0) -> Iterator[None]:
    """Hold the lease of the lake while the block runs, renewing it in the background.

    Waits up to `wait_s` seconds for another holder. The Spark sessions that write are opened before it is taken.
    Raises LeaseError, which names the holder, when it stays held.
    """
    from runtime.spark.operations import (  # asking who holds it must not import Spark
        await_operations,
        session_addresses,
    )

    store: _Store = _S3Store(settings) if settings.is_s3 else _FolderStore(settings)

    def await_work(sessions: Iterable[str]) -> None:
        for session in sessions:
            await_operations(settings, session)

    name, holder = _take(store, purpose, wait_s, session_addresses(), await_work)
    stop = threading.Event()
    renewer = threading.Thread(target=_renew, args=(store, name, holder, stop), daemon=True)
    renewer.start()
    try:
        yield
    except BaseException:
        await_work(holder.sessions)
        raise
    finally:
        stop.set()
        renewer.join()
        store.rewrite(name, json.dumps(asdict(replace(holder, released=True))))


def current_holder(settings: Settings) -> Holder | None:
    """Who holds the lease now; None when nobody does."""
    store: _Store = _S3Store(settings) if settings.is_s3 else _FolderStore(settings)
    _, holder = _newest(store)
    return None if holder is None or holder.is_dead(time.time()) else holder


def _take(
    store: _Store, purpose: str, wait_s: float, sessions: tuple[str, ...], await_work: AwaitWork
) -> tuple[str, Holder]:
    deadline = time.monotonic() + wait_s
    while True:
        number, holder = _newest(store)
        now = time.time()
        if holder is None or holder.is_dead(now):
            if holder is not None and not holder.released and holder.host == platform.node():
                await_work(holder.sessions)
            process = psutil.Process()
            mine = Holder(
                platform.node(), process.pid, process_ids.started_s(process), purpose, now, now,
                sessions=sessions, boot_id=process_ids.boot_id(),
            )  # fmt: skip
            name = f"{number + 1:012d}.json"
            if store.create(name, json.dumps(asdict(mine))):
                for old in store.names():
                    if old < name:
                        store.delete(old)
                return name, mine
            continue
        if time.monotonic() >= deadline:
            raise LeaseError(
                f"Another process is writing to this lake: {holder}. Wait for it, or stop it, and run this again."
            )
        # a file on S3 cannot be watched; the holder's file is asked for at a human pace
        time.sleep(min(0.5, max(0.0, deadline - time.monotonic())))


def _newest(store: _Store) -> tuple[int, Holder | None]:
    names = sorted(store.names())
    if not names:
        return 0, None
    text = store.read(names[-1])
    if text is None:  # its successor has just deleted it
        return _newest(store)
    return int(names[-1].removesuffix(".json")), Holder(**json.loads(text))


def _renew(store: _Store, name: str, holder: Holder, stop: threading.Event) -> None:
    while not stop.wait(RENEW_S):
        store.rewrite(name, json.dumps(asdict(replace(holder, renewed_at=time.time()))))


class _FolderStore:
    """Lease files in a folder; a hard link is what creates a file exclusively with its whole content."""

    def __init__(self, settings: Settings) -> None:
        self._folder = Path(settings.lake_uri) / "_lease"
        self._folder.mkdir(parents=True, exist_ok=True)

    def names(self) -> list[str]:
        return [path.name for path in self._folder.glob("*.json")]

    def read(self, name: str) -> str | None:
        try:
            return (self._folder / name).read_text()
        except FileNotFoundError:
            return None

    def create(self, name: str, text: str) -> bool:
        draft = self._draft(text)
        try:
            os.link(draft, self._folder / name)
        except FileExistsError:
            return False
        finally:
            draft.unlink()
        return True

    def rewrite(self, name: str, text: str) -> None:
        self._draft(text).replace(self._folder / name)

    def delete(self, name: str) -> None:
        (self._folder / name).unlink(missing_ok=True)

    def _draft(self, text: str) -> Path:
        draft = self._folder / f"{uuid.uuid4().hex}.draft"
        draft.write_text(text)
        return draft


class _S3Store:
    """Lease files under a prefix; a conditional PUT is what creates one exclusively."""

    def __init__(self, settings: Settings) -> None:
        import s3fs

        self._files = s3fs.S3FileSystem(**s3fs_options(settings), use_listings_cache=False)
        self._prefix = f"{settings.lake_uri.removeprefix('s3://')}/_lease"

    def names(self) -> list[str]:
        try:
            paths = self._files.ls(self._prefix, detail=False, refresh=True)
        except FileNotFoundError:
            return []
        return [path.rsplit("/", 1)[1] for path in paths if path.endswith(".json")]

    def read(self, name: str) -> str | None:
        try:
            return str(self._files.cat_file(f"{self._prefix}/{name}").decode())
        except FileNotFoundError:
            return None

    def create(self, name: str, text: str) -> bool:
        try:
            self._files.pipe_file(f"{self._prefix}/{name}", text.encode(), mode="create")
        except FileExistsError:
            return False
        except OSError:
            # some servers' word for "it exists already" is one that s3fs does not know
            if self._files.exists(f"{self._prefix}/{name}"):
                return False
            raise
        return True

    def rewrite(self, name: str, text: str) -> None:
        self._files.pipe_file(f"{self._prefix}/{name}", text.encode())

    def delete(self, name: str) -> None:
        self._files.rm_file(f"{self._prefix}/{name}")
