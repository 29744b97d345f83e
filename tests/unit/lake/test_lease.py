"""The writer's lease in a folder: between processes that see each other, and between such that do not."""

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

import psutil
import pyarrow as pa
import pytest

from lake.storage import lease, store_answers
from lake.storage.delta import append, arrow_schema, ensure_table, version_of
from lake.storage.lease import current_holder, ensure_held, writer_lease
from lake.storage.lease_files import lease_files
from lake.storage.lease_holder import Holder, Pace, Watch, parse, this_process
from lake.tables.ops import OPS_PUBLICATIONS
from runtime import process_ids
from runtime.errors import LeaseError, PlatformError
from runtime.process_ids import ProcessId
from runtime.settings import Settings
from tests.support.awaiting import awaited
from tests.support.namespaces import PID, skip_without

QUICK = Pace(renew_s=0.1, dead_after_s=2.0)
# holds the lease until its input ends; then commits, which the fence may refuse
HOLD = """
import sys, time
from pathlib import Path
from unittest.mock import patch
from lake.storage.lease import ensure_held, writer_lease
from lake.storage.lease_holder import Pace
from runtime.errors import LeaseError
from runtime.settings import Settings
settings, skew, real = Settings(Path(sys.argv[1]), sys.argv[1] + "/lake"), float(sys.argv[2]), time.time
with patch("time.time", lambda: real() + skew):
    try:
        with writer_lease(settings, "test", float(sys.argv[3]), Pace(0.1, 2.0)):
            print("held", flush=True)
            sys.stdin.read()
            ensure_held(settings)
        print("done", flush=True)
    except LeaseError as error:
        print(f"refused: {error}", flush=True)
"""


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(tmp_path, str(tmp_path / "lake"))


def start(settings: Settings, *before: str, skew_s: float = 0.0, wait_s: float = 0.0) -> "subprocess.Popen[str]":
    command = [*before, sys.executable, "-c", HOLD, str(settings.home), str(skew_s), str(wait_s)]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def says(process: "subprocess.Popen[str]") -> str:
    assert process.stdout is not None
    return process.stdout.readline()


def holder_process(settings: Settings, *before: str, skew_s: float = 0.0) -> "subprocess.Popen[str]":
    process = start(settings, *before, skew_s=skew_s)
    assert says(process) == "held\n"
    return process


def lease_of(settings: Settings, holder: Holder, number: int = 7) -> Path:
    folder = Path(settings.lake_uri) / "_lease"
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{number:012d}.json"
    path.write_text(holder.to_json())
    return path


def me(settings: Settings) -> Holder:
    return this_process("tick", (), lease_files(settings).folder_id(), str(settings.home))


def at(holder: Holder, **changed: Any) -> Holder:
    """The holder as a process of another number, start or place."""
    return replace(holder, process=replace(holder.process, **changed))


def test_a_second_writer_is_refused_and_told_who_writes(settings: Settings) -> None:
    """While one process holds the lease another one gets an error that names it."""
    process = holder_process(settings)
    try:
        with pytest.raises(LeaseError, match=f"process {process.pid}"), writer_lease(settings, "second"):
            pass
    finally:
        process.communicate()


def test_the_lease_is_free_again_when_given_back(settings: Settings) -> None:
    """A lease that was given back can be taken, by the same process too."""
    for purpose in ("first", "second"):
        with writer_lease(settings, purpose):
            holder = current_holder(settings)
            assert holder is not None
            assert holder.purpose == purpose
    assert current_holder(settings) is None


@pytest.mark.parametrize("is_reaped", [True, False])
def test_the_lease_of_a_killed_process_is_taken_over(settings: Settings, is_reaped: bool) -> None:
    """SIGKILL leaves the lease behind; the next writer sees that its holder is dead, be it a zombie or gone."""
    process = holder_process(settings)
    process.kill()
    os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)  # waits, and leaves it a zombie
    if is_reaped:
        process.communicate()
    with writer_lease(settings, "next"):
        holder = current_holder(settings)
        assert holder is not None
        assert holder.process.pid == os.getpid()
    process.communicate()


def test_a_writer_waits_for_the_lease_and_says_so(settings: Settings) -> None:
    """With time to wait, a writer goes on as soon as the other one is done, and tells once for whom it waits."""
    process = holder_process(settings)
    told: list[str] = []

    def tell(text: str) -> None:
        told.append(text)
        assert process.stdin is not None
        process.stdin.close()

    with writer_lease(settings, "patient", wait_s=30, tell=tell):
        assert process.wait(60) == 0
    assert len(told) == 1
    assert f"process {process.pid}" in told[0]


@pytest.mark.parametrize("skew_s", [0.0, 86_400.0, -86_400.0])
def test_a_writer_in_another_pid_namespace_keeps_its_lease(settings: Settings, skew_s: float) -> None:
    """Of a holder whose process cannot be seen its renewals tell that it lives, whatever its clock says."""
    skip_without(*PID)
    process = holder_process(settings, "unshare", *PID, skew_s=skew_s)
    try:
        with (
            pytest.raises(LeaseError, match=r"test, since .*, on another machine or in another container"),
            writer_lease(settings, "second", 2 * QUICK.dead_after_s, QUICK),
        ):
            pass
    finally:
        assert process.communicate()[0] == "done\n"


def test_a_writer_in_a_namespace_does_not_steal_from_one_outside(settings: Settings) -> None:
    """Both ways: where this process is not to be seen, its number says nothing."""
    skip_without(*PID)
    with writer_lease(settings, "outside", pace=QUICK):
        other = start(settings, "unshare", *PID, skew_s=-3600.0, wait_s=1.5 * QUICK.dead_after_s)
        assert "refused: Another process is writing" in other.communicate(timeout=60)[0]
        ensure_held(settings)


def test_a_killed_writer_in_another_namespace_is_taken_over_after_its_silence(settings: Settings) -> None:
    """Nobody saw it die: the next one has watched its file for as long as a living holder may be silent."""
    skip_without(*PID)
    process = holder_process(settings, "unshare", *PID, skew_s=86_400.0)
    process.kill()  # ends the namespace, too
    process.wait()  # before its input is closed, which would let it give the lease back
    process.communicate()
    began = time.monotonic()
    with writer_lease(settings, "next", 30.0, QUICK):
        assert time.monotonic() - began > QUICK.dead_after_s


def test_a_writer_that_was_stopped_and_taken_over_commits_nothing_more(settings: Settings) -> None:
    """The fence: who finds the lease with another one when it goes on is refused before its commit."""
    skip_without(*PID)
    process = holder_process(settings, "unshare", *PID)
    inside = psutil.Process(process.pid).children()[0]
    inside.send_signal(signal.SIGSTOP)
    with writer_lease(settings, "next", 30.0, QUICK):
        inside.send_signal(signal.SIGCONT)
        said = process.communicate(timeout=60)[0]
        assert said.startswith("refused: This process was silent for so long")
        assert f"process {os.getpid()}" in said
        ensure_held(settings)  # what it did at its end left the lease of its successor alone
    assert current_holder(settings) is None


def test_a_holder_of_another_boot_is_judged_by_time(settings: Settings) -> None:
    """Its number may be another program's by now, and copied machines share their id: neither proves anything."""
    before = me(settings)
    machine, boot, *rest = process_ids.place().split(" ")
    rebooted = at(before, place=" ".join([machine, "0" * len(boot), *rest]))
    gone = at(rebooted, pid=2**22 + 1)
    for number, holder in enumerate((rebooted, gone)):
        assert not holder.is_here
        assert not holder.is_seen_dead(holder.folder_id)
        lease_of(settings, holder, 10 * (number + 1))
        with pytest.raises(LeaseError, match="another machine"), writer_lease(settings, "at once"):
            pass
        with writer_lease(settings, "patient", 30.0, QUICK):
            pass


@pytest.mark.parametrize("part", range(4))
def test_every_part_of_the_place_tells_processes_apart(settings: Settings, part: int) -> None:
    """Machine, boot, PID and time namespace: where one differs, a number that is gone proves no death."""
    parts = process_ids.place().split(" ")
    parts[part] = "another"
    holder = at(me(settings), pid=2**22 + 1)
    assert holder.is_seen_dead(holder.folder_id)
    assert not at(holder, place=" ".join(parts)).is_seen_dead(holder.folder_id)
    assert not at(holder, place="").is_seen_dead(holder.folder_id)


def test_the_name_of_a_machine_proves_nothing(settings: Settings) -> None:
    """A container of another name that shares the PID namespace is seen; one of this name elsewhere is not."""
    gone = at(replace(me(settings), host="elsewhere"), pid=2**22 + 1)
    assert gone.is_seen_dead(gone.folder_id)


@pytest.mark.parametrize(("seconds", "is_dead"), [(0.0, False), (1.5, False), (2.5, True), (-2.5, True)])
def test_a_process_that_started_at_another_time_is_another(settings: Settings, seconds: float, is_dead: bool) -> None:
    """A process number that was given again is not the holder's; the clock's rounding makes no other of it."""
    holder = me(settings)
    later = at(holder, started_s=holder.process.started_s + seconds)
    assert later.is_seen_dead(holder.folder_id) is is_dead


def test_the_lease_of_the_lake_that_was_copied_is_not_the_copys(settings: Settings, tmp_path: Path) -> None:
    """A copy has a folder of its own: what holds the original's lease does not write here."""
    original = replace(me(settings), folder_id=lease_files(settings).folder_id() + 1)
    lease_of(settings, original)
    assert current_holder(settings) is None
    with writer_lease(settings, "copy"):
        pass


def test_a_silent_holder_elsewhere_is_dead_by_the_watchers_own_clock() -> None:
    """Neither stamp nor time of day count: the same text, seen for longer than a living holder may be silent."""
    now = 100.0
    watch = Watch(Pace(20, 120), lambda: now)
    assert not watch.is_silent("1", "a")
    now += 120
    assert not watch.is_silent("1", "a")
    assert not watch.is_silent("1", "b")  # renewed
    assert watch.has_changed
    now += 120.5
    assert not watch.is_silent("2", "b")  # another holder
    now += 120.5
    assert watch.is_silent("2", "b")


def test_a_fresh_looking_holder_elsewhere_refuses_who_does_not_wait(settings: Settings) -> None:
    """At once, and by name; only a stamp that is far from the clock is a reason to watch."""
    holder = at(replace(me(settings), host="elsewhere"), place="elsewhere")
    lease_of(settings, holder)
    with pytest.raises(LeaseError, match="elsewhere"), writer_lease(settings, "impatient"):
        pass
    assert current_holder(settings) is not None
    for stamp in (0.0, 9e12):
        path = lease_of(settings, replace(holder, renewed_at=stamp))
        assert current_holder(settings) is None
        with writer_lease(settings, "next", pace=QUICK):
            assert not path.exists()
        Path(settings.lake_uri, "_lease", "000000000008.json").unlink()


def test_one_that_was_silent_and_renews_as_it_is_taken_over_keeps_its_lease(settings: Settings) -> None:
    """After creating the next file the taker looks once more: what it had seen must stand there still."""
    path = lease_of(settings, at(replace(me(settings), renewed_at=0.0), place="elsewhere"))
    taking = lease._Taking(lease_files(settings), "", QUICK, lambda sessions, home: None, None)
    seen = path.read_text()
    path.write_text(parse(seen).to_json().replace('"renewed_at": 0.0', '"renewed_at": 1.0'))
    assert taking._create(me(settings), path.name, seen) is None
    assert lease_files(settings).names() == [path.name]


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"host": 1}'])
def test_a_lease_that_cannot_be_read_is_judged_by_time(settings: Settings, text: str) -> None:
    """A damaged file is no holder that can be asked: whoever waits takes over when it stays as it is."""
    path = lease_of(settings, me(settings))
    path.write_text(text)
    with writer_lease(settings, "next", pace=QUICK):
        assert not path.exists()


def test_a_lease_of_another_version_is_read(settings: Settings) -> None:
    """What a newer program says besides, and what an older one did not say yet, makes no lease unreadable."""
    holder = me(settings)
    assert parse(json.dumps(json.loads(holder.to_json()) | {"boot_id": "x", "colour": "red"})) == holder
    older = {"host": "a", "pid": 1, "process_started_at": 0.0, "purpose": "tick", "taken_at": 0.0, "renewed_at": 0.0}
    assert parse(json.dumps(older)).process == ProcessId(1, 0.0, "")


def test_a_commit_without_the_lease_that_was_taken_is_refused(settings: Settings) -> None:
    """Writing a table asks the fence: with a successor in place there is no new version."""
    ensure_table(settings, OPS_PUBLICATIONS)
    rows = pa.Table.from_pylist([], schema=arrow_schema(OPS_PUBLICATIONS))
    with writer_lease(settings, "first"):
        append(settings, OPS_PUBLICATIONS, rows, {"step": "test"})
        version = version_of(settings, OPS_PUBLICATIONS.name)
        lease_of(settings, replace(me(settings), purpose="usurper"), 99)
        with pytest.raises(LeaseError, match="usurper"):
            append(settings, OPS_PUBLICATIONS, rows, {"step": "test"})
    assert version_of(settings, OPS_PUBLICATIONS.name) == version
    assert parse((Path(settings.lake_uri) / "_lease" / "000000000099.json").read_text()).purpose == "usurper"


def test_a_commit_is_refused_when_the_leases_folder_is_gone(settings: Settings) -> None:
    """Nobody can tell then who writes."""
    with writer_lease(settings, "first"):
        next(Path(settings.lake_uri, "_lease").glob("*.json")).unlink()
        with pytest.raises(LeaseError, match="taken over"):
            ensure_held(settings)


class Away:
    """Lease files in a store that does not take anything for a while."""

    def __init__(self, settings: Settings) -> None:
        self.files, self.is_away = lease_files(settings), False
        self.asked = threading.Semaphore(0)

    def __getattr__(self, name: str) -> object:
        return getattr(self.files, name)

    def rewrite(self, name: str, text: str) -> None:
        self.asked.release()
        if self.is_away:
            raise PermissionError("the store is away")
        self.files.rewrite(name, text)


def test_a_renewal_that_fails_ends_neither_the_renewer_nor_goes_unseen(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is tried again; a commit while nobody can tell is refused with the reason; then all goes on."""
    away = Away(settings)
    monkeypatch.setattr(lease, "lease_files", lambda settings: away)
    with writer_lease(settings, "first", pace=Pace(0.05, 0.1)):  # every commit confirms anew
        away.is_away = True
        for _ in range(5):
            assert away.asked.acquire(timeout=60)
        with pytest.raises(LeaseError, match="the store is away"):
            ensure_held(settings)
        away.is_away = False
        ensure_held(settings)
        for _ in range(5):
            assert away.asked.acquire(timeout=60)
        ensure_held(settings)


def test_a_lease_that_cannot_be_given_back_is_said(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    """As an error of the project's own, which says how long others wait."""
    away = Away(settings)
    monkeypatch.setattr(lease, "lease_files", lambda settings: away)
    with pytest.raises(LeaseError, match="could not be given back"), writer_lease(settings, "first"):
        away.is_away = True


def test_a_holder_renews(settings: Settings) -> None:
    """The file says again and again that its holder lives."""
    with writer_lease(settings, "first", pace=QUICK):
        path = next(Path(settings.lake_uri, "_lease").glob("*.json"))
        first = path.read_text()
        awaited(lambda: path.read_text() != first, "that it is renewed", every_s=0.02)


def test_a_lake_without_a_way_to_it_is_named_soon(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A store that takes no connection any more is given up, with the setting to mend; five attempts and the pauses
    between them, 8 s together, fit into half a minute."""
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    with socket.socket() as listening, ExitStack() as waiting:
        listening.bind(("127.0.0.1", 0))
        listening.listen(0)
        for _ in range(4):  # whoever comes after these gets no answer at all
            caller = waiting.enter_context(socket.socket())
            caller.setblocking(False)
            caller.connect_ex(listening.getsockname())
        endpoint = f"http://127.0.0.1:{listening.getsockname()[1]}"
        settings = Settings(
            home=tmp_path, lake_uri="s3://bucket/lake", aws_endpoint_url=endpoint, aws_access_key_id="a",
            aws_secret_access_key="b",
        )  # fmt: skip
        monkeypatch.setattr(store_answers, "_answered", {endpoint})  # it did before
        said = f"{endpoint} does not answer: .*AWS_ENDPOINT_URL"
        with pytest.raises(PlatformError, match=said), writer_lease(settings, "tick"):
            pass
        files: Any = lease_files(settings)
        assert 5 * files._files.config_kwargs["connect_timeout"] + 8 < 30
