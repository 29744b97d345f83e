"""The writer's lease: one process writes to a lake at a time.

Belongs here: taking, keeping and giving back the lease, taking over one whose holder is dead, and the fence before each
commit. Spark's LogStore is safe within one JVM only, and on S3 it loses commits silently when two drivers write, so
this is not a courtesy.

Spark may still be working for a holder that is dead, or was interrupted: so the lease names the holder's Spark
sessions, and nobody goes on, nor gives it back, before what runs in them has ended.

The lease is the highest numbered file in `<lake>/_lease/`. To take it a process creates the next number exclusively,
which exactly one of several can; only the holder ever rewrites its own file. One that takes over a silent holder looks
at its file once more after it has created its own, and a holder that was silent rewrites its file before it looks for
a higher number: so of two that believe to hold it at least one sees the other, and does not commit.
"""

import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace

from lake.storage.lease_files import LeaseFiles, lease_files
from lake.storage.lease_holder import PACE, Holder, Pace, Watch, parse, this_process
from lake.storage.locations import explain_store
from runtime.errors import LeaseError, PlatformError
from runtime.settings import Settings

LEASE_WAIT_S = 1800.0
"""How long a command or a run waits for other writers: a refresh of many days takes minutes."""
_ASK_S = 0.5

AwaitWork = Callable[[Iterable[str], str], None]
"""Awaits what runs in Spark sessions, whose key a home has."""
Tell = Callable[[str], None]


@dataclass
class _Held:
    """A lease that this process holds: its file, and when it last was known to stand there unchallenged."""

    files: LeaseFiles
    name: str
    holder: Holder
    pace: Pace
    confirmed_at: float
    trouble: str = ""
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def renew(self, *, released: bool = False) -> None:
        """Say that the holder lives, or is done. Raises LeaseError when another one has taken over."""
        with self._lock:
            self.check_unchallenged()
            now = _awake_and_asleep_s()
            self.files.rewrite(self.name, replace(self.holder, renewed_at=time.time(), released=released).to_json())
            if not released:
                self.check_unchallenged()
            self.confirmed_at, self.trouble = now, ""

    def check_unchallenged(self) -> None:
        """Raises LeaseError when there is a file that follows ours, or ours is gone."""
        names = self.files.names()
        if names and names[-1] == self.name:
            return
        text = self.files.read(names[-1]) if names else None
        other = "somebody who has deleted its file" if text is None else str(parse(text))
        raise LeaseError(
            f"This process was silent for so long that its right to write to the lake was taken over, by {other}. "
            "It commits nothing more: run the step again."
        )

    def confirm(self) -> None:
        """Make sure, before a commit, that the lease is held. Raises LeaseError when it is not, or nobody can tell."""
        is_fresh = _awake_and_asleep_s() - self.confirmed_at < self.pace.dead_after_s - 2 * self.pace.renew_s
        try:
            self.check_unchallenged() if is_fresh else self.renew()
        except OSError as error:
            reason = self.trouble or str(error)
            raise LeaseError(
                f"Whether this process may still write to the lake cannot be told ({reason}), so it does not: "
                "see that the lake can be written, and run the step again."
            ) from error

    def keep_renewing(self, stop: threading.Event) -> None:
        """For a thread of its own: renew until told to stop or taken over; what fails is tried again soon."""
        while not stop.wait(self.pace.renew_s if not self.trouble else self.pace.renew_s / 10):
            try:
                self.renew()
            except LeaseError:
                return  # the next commit says so
            except Exception as error:  # noqa: BLE001  # whatever it is must not end the thread, and `confirm` tells it
                self.trouble = f"{type(error).__name__}: {error}"


# by the lake's address: what this process holds, for the fence before commits
_held: dict[str, _Held] = {}


@contextmanager
def writer_lease(
    settings: Settings, purpose: str, wait_s: float = 0.0, pace: Pace = PACE, tell: Tell | None = None
) -> Iterator[None]:
    """Hold the lease of the lake while the block runs, renewing it in the background.

    Waits up to `wait_s` seconds for another holder, and says so by `tell`; one that seems dead, and is not here, is
    watched for as long as it takes. The Spark sessions that write are opened before it is taken. Raises LeaseError,
    which names the holder, when it stays held; PlatformError when S3 does not answer or refuses.
    """

    def await_work(sessions: Iterable[str], home: str) -> None:
        for session in sessions:
            from runtime.spark.operations import await_operations

            await_operations(settings, session, home)

    taking = _Taking(lease_files(settings), str(settings.home), pace, await_work, tell)
    try:
        held = taking.take(purpose, _session_addresses(), wait_s)
    except OSError as error:
        if not settings.is_s3:
            raise
        raise PlatformError(explain_store(settings, settings.lake_uri, str(error))) from error
    stop = threading.Event()
    renewer = threading.Thread(target=held.keep_renewing, args=(stop,), daemon=True, name="lease")
    renewer.start()
    _held[settings.lake_uri] = held
    try:
        yield
    except BaseException:
        await_work(held.holder.sessions, held.holder.home)
        raise
    finally:
        del _held[settings.lake_uri]
        stop.set()
        renewer.join()
        _give_back(held)


def ensure_held(settings: Settings) -> None:
    """The fence: called before each commit. Raises LeaseError when this process has lost the lease that it took.

    A process that took none (it only makes a table, or is a test) is not stopped.
    """
    held = _held.get(settings.lake_uri)
    if held is not None:
        held.confirm()


def current_holder(settings: Settings) -> Holder | None:
    """Who holds the lease now, as far as can be told at a glance; None when nobody does."""
    files = lease_files(settings)
    _, text = _newest(files)
    holder = None if text is None else parse(text)
    if holder is None or holder.is_seen_dead(files.folder_id()) or (not holder.is_here and holder.seems_silent()):
        return None
    return holder


def _session_addresses() -> tuple[str, ...]:
    """Those of this process. Who has not imported Spark, which takes a second, has none."""
    if "runtime.spark.connect_server" not in sys.modules:
        return ()
    from runtime.spark.operations import session_addresses

    return session_addresses()


def _give_back(held: _Held) -> None:
    try:
        held.renew(released=True)
    except LeaseError:
        return  # it is another's, and who commits next in this block's name was told
    except OSError as error:
        raise LeaseError(
            f"The right to write to the lake could not be given back ({error}): other machines wait for "
            f"{held.pace.dead_after_s:.0f} s before they write."
        ) from error


@dataclass
class _Taking:
    """One attempt to take the lease."""

    files: LeaseFiles
    home: str
    pace: Pace
    await_work: AwaitWork
    tell: Tell | None

    def take(self, purpose: str, sessions: tuple[str, ...], wait_s: float) -> _Held:
        """The lease. Raises LeaseError when another one holds it and `wait_s` seconds have passed."""
        deadline = time.monotonic() + wait_s
        watch = Watch(self.pace)
        while True:
            name, text = _newest(self.files)
            holder = None if text is None else parse(text)
            if holder is None or self._is_dead(holder, name, text or "", watch):
                if holder is not None and not holder.released:
                    self._await_work_of(holder)
                held = self._create(this_process(purpose, sessions, self.files.folder_id(), self.home), name, text)
                if held is not None:
                    return held
                continue
            self._wait(holder, watch, deadline)

    def _is_dead(self, holder: Holder, name: str, text: str, watch: Watch) -> bool:
        if holder.is_here or holder.released:
            return holder.is_seen_dead(self.files.folder_id())
        return watch.is_silent(name, text)

    def _await_work_of(self, holder: Holder) -> None:
        """Spark at an address of its own loopback can be asked by who is here alone."""
        sessions = [each for each in holder.sessions if holder.is_here or "//localhost:" not in each]
        self.await_work(sessions, holder.home)

    def _create(self, mine: Holder, before: str, seen: str | None) -> _Held | None:
        """The lease after the one `before`; None when another process was quicker, or its holder lives after all."""
        name = f"{int(before.removesuffix('.json') or 0) + 1:012d}.json"
        now = _awake_and_asleep_s()
        if not self.files.create(name, mine.to_json()):
            return None
        if before and self.files.read(before) not in (seen, None):
            self.files.delete(name)
            return None
        for old in self.files.names():
            if old < name:
                self.files.delete(old)
        return _Held(self.files, name, mine, self.pace, now)

    def _wait(self, holder: Holder, watch: Watch, deadline: float) -> None:
        is_watched = not holder.is_here and holder.seems_silent(self.pace) and not watch.has_changed
        remaining = deadline - time.monotonic()
        if remaining <= 0 and not is_watched:
            raise LeaseError(
                f"Another process is writing to this lake: {holder}. Wait for it, or stop it, and run this again."
            )
        if self.tell is not None:
            rest = f"; whether it lives shows within {self.pace.dead_after_s:.0f} s" if is_watched else ""
            self.tell(f"waiting: another process is writing to this lake: {holder}{rest}")
            self.tell = None
        # a file on S3 cannot be watched; the holder's file is asked for at a human pace
        time.sleep(_ASK_S if is_watched else min(_ASK_S, max(0.0, remaining)))


def _newest(files: LeaseFiles) -> tuple[str, str | None]:
    """Name and text of the newest lease; an empty name when there was never one."""
    while names := files.names():
        text = files.read(names[-1])
        if text is not None:  # else its successor has just deleted it
            return names[-1], text
    return "", None


def _awake_and_asleep_s() -> float:
    """Seconds that nobody sets, which go on while the machine sleeps: others may be awake."""
    return time.clock_gettime(getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC))
