"""The writer's lease in a folder."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from lake.storage.lease import current_holder, writer_lease
from runtime.errors import LeaseError
from runtime.settings import Settings

HOLD = """
import sys
from pathlib import Path
from lake.storage.lease import writer_lease
from runtime.settings import Settings
with writer_lease(Settings(Path(sys.argv[1]), sys.argv[1] + "/lake"), "test"):
    print("held", flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(tmp_path, str(tmp_path / "lake"))


def holder_process(settings: Settings) -> subprocess.Popen[str]:
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(settings.home)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    return process


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
        assert holder.pid == os.getpid()
    process.communicate()


def test_a_writer_waits_for_the_lease(settings: Settings) -> None:
    """With time to wait, a writer goes on as soon as the other one is done."""
    process = holder_process(settings)
    assert process.stdin is not None
    process.stdin.close()
    with writer_lease(settings, "patient", wait_s=30):
        assert process.wait(10) == 0


def test_a_silent_holder_on_another_machine_is_dead(settings: Settings) -> None:
    """Elsewhere no process id can be asked for: a holder that has not renewed for long has lost its lease."""
    folder = Path(settings.lake_uri) / "_lease"
    folder.mkdir(parents=True)
    holder = {"host": "elsewhere", "pid": 1, "process_started_at": 0.0, "purpose": "tick", "taken_at": 0.0}
    (folder / "000000000007.json").write_text(json.dumps(holder | {"renewed_at": 9e12}))
    with pytest.raises(LeaseError, match="elsewhere"), writer_lease(settings, "impatient"):
        pass
    (folder / "000000000007.json").write_text(json.dumps(holder | {"renewed_at": 0.0}))
    with writer_lease(settings, "next"):
        assert [path.name for path in folder.glob("*.json")] == ["000000000008.json"]
