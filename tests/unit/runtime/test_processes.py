"""Starting, finding and stopping programs, with small real ones."""

import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from runtime import processes
from runtime.errors import PlatformError
from runtime.process_ids import ProcessId
from runtime.process_records import ProcessRecord
from runtime.settings import Settings
from tests.support.awaiting import awaited

SLEEP = [sys.executable, "-c", "import time; print('up', flush=True); time.sleep(60)"]
# a command that starts the program, says so, and waits until it is ended
COMMAND = """
import sys, time
from pathlib import Path
from runtime import processes
from runtime.settings import Settings
home = Settings(home=Path(sys.argv[1]), lake_uri="")
start = lambda: processes.spawn(home, "nap", sys.argv[2:], "here")
with processes.running(home, "nap", start) as record:
    print(record.pid, flush=True)
    time.sleep(60)
"""


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Settings]:
    """A home whose programs end with the test."""
    settings = Settings(home=tmp_path, lake_uri=str(tmp_path))
    yield settings
    for record in processes.running_processes(settings):
        processes.stop(settings, record.name, timeout_s=1)


def _starter(settings: Settings, command: list[str] = SLEEP) -> Callable[[], ProcessRecord]:
    return lambda: processes.spawn(settings, "nap", command, "here")


def _command(settings: Settings) -> tuple["subprocess.Popen[str]", int]:
    """A command that uses the program, and the program's pid."""
    child = subprocess.Popen(
        [sys.executable, "-c", COMMAND, str(settings.home), *SLEEP],
        stdout=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).parents[3],
    )
    assert child.stdout is not None
    return child, int(child.stdout.readline())


def test_started_program_is_recorded_and_logged(home: Settings) -> None:
    """The record says who runs and where; the output is in the log."""
    record = _starter(home)()
    processes.wait_until_ready(home, record, lambda: "up" in processes.log_path(home, "nap").read_text(), 20)
    assert processes.find(home, "nap") == record
    assert processes.running_processes(home) == [record]
    stored = json.loads((home.run_folder / "nap.json").read_text())
    assert stored["pid"] == record.pid
    assert stored["address"] == "here"


def test_stopped_program_is_gone_with_its_record(home: Settings) -> None:
    """After `stop` there is no process and no record, and a second `stop` says that there was none."""
    record = _starter(home)()
    assert processes.stop(home, "nap")
    assert not psutil.pid_exists(record.pid)
    assert not processes.record_path(home, "nap").exists()
    assert not processes.stop(home, "nap")


def test_stopping_does_not_wait_for_what_nobody_reaps(home: Settings) -> None:
    """A program that ends at SIGTERM is stopped at once, also when its parent leaves it a zombie."""
    parent = "import subprocess; print(subprocess.Popen(['sleep', '60']).pid, flush=True); input()"
    command = [sys.executable, "-c", parent]
    home.run_folder.mkdir(parents=True)
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        started = psutil.Process(int(process.stdout.readline()))
        processes.keep(home, ProcessRecord("nap", ProcessId.of(started.pid), "here"))
        begun = time.monotonic()
        assert processes.stop(home, "nap", timeout_s=20)
        assert time.monotonic() - begun < 10
        assert started.status() == psutil.STATUS_ZOMBIE
        process.communicate("\n")


def test_program_that_ignores_sigterm_is_killed(home: Settings) -> None:
    """SIGKILL comes after the time to stop."""
    stubborn = "import signal, time; signal.signal(15, signal.SIG_IGN); print('up', flush=True); time.sleep(60)"
    record = _starter(home, [sys.executable, "-c", stubborn])()
    processes.wait_until_ready(home, record, lambda: "up" in processes.log_path(home, "nap").read_text(), 20)
    processes.stop(home, "nap", timeout_s=0.3)
    assert not psutil.pid_exists(record.pid)


def test_children_of_a_program_end_with_it(home: Settings) -> None:
    """What a program started itself does not stay behind."""
    parent = "import subprocess, time; print(subprocess.Popen(['sleep', '60']).pid, flush=True); time.sleep(60)"
    record = _starter(home, [sys.executable, "-c", parent])()
    log = processes.log_path(home, "nap")
    processes.wait_until_ready(home, record, lambda: log.read_text().strip().isdigit(), 20)
    grandchild = int(log.read_text())
    assert psutil.pid_exists(grandchild)
    processes.stop(home, "nap")
    assert not psutil.pid_exists(grandchild) or psutil.Process(grandchild).status() == psutil.STATUS_ZOMBIE


def test_other_process_with_the_same_pid_is_not_taken_for_it(home: Settings) -> None:
    """A record from before a reboot does not point at whoever has its pid now."""
    home.run_folder.mkdir(parents=True)
    processes.write(home, ProcessRecord("nap", replace(ProcessId.of(), started_s=1.0), "here"))
    assert processes.recorded(home, "nap") is not None
    assert processes.find(home, "nap") is None
    assert not processes.stop(home, "nap")


def test_half_written_record_counts_as_none(home: Settings) -> None:
    """A record that cannot be read does not stop a command."""
    home.run_folder.mkdir(parents=True)
    processes.record_path(home, "nap").write_text('{"name": "na')
    assert processes.find(home, "nap") is None


def test_program_that_ends_while_starting_says_why(home: Settings) -> None:
    """The error carries the line of the log that tells the reason."""
    record = _starter(home, [sys.executable, "-c", "raise OSError('the disk is upside down')"])()
    with pytest.raises(PlatformError, match="nap ended while starting: OSError: the disk is upside down"):
        processes.wait_until_ready(home, record, lambda: False, 20)


def test_program_that_never_answers_is_given_up(home: Settings) -> None:
    """Waiting ends at its limit and names the log."""
    record = _starter(home)()
    with pytest.raises(PlatformError, match=r"did not answer within 0 s.*nap\.log"):
        processes.wait_until_ready(home, record, lambda: False, 0.05)


def test_missing_program_is_an_error_without_a_record(home: Settings) -> None:
    """A program that does not exist gives an error and leaves no record."""
    with pytest.raises(PlatformError, match="nap cannot be started"):
        _starter(home, ["/no/such/program"])()
    assert processes.running_processes(home) == []


def test_failed_start_leaves_nothing(home: Settings) -> None:
    """A start that is broken off, by Ctrl-C for example, stops what it began."""
    record = _starter(home)()
    with pytest.raises(KeyboardInterrupt), processes.stopped_on_failure(home, "nap"):
        raise KeyboardInterrupt
    assert not processes.is_alive(record)


def test_last_user_stops_it(home: Settings) -> None:
    """The first user may leave before the second: the program ends with the second."""
    first = processes.running(home, "nap", _starter(home))
    second = processes.running(home, "nap", _starter(home))
    record = first.__enter__()
    assert second.__enter__() == record
    first.__exit__(None, None, None)
    assert processes.is_alive(record)
    second.__exit__(None, None, None)
    assert not processes.is_alive(record)


def test_kept_program_is_left_running(home: Settings) -> None:
    """What `up` starts stays, whether or not a command was using it already; a second `up` meets it."""
    with processes.running(home, "nap", _starter(home)) as used:
        kept = processes.start_kept(home, "nap", _starter(home))
        assert kept.pid == used.pid
    assert processes.is_alive(kept)
    assert processes.start_kept(home, "nap", _starter(home)) == kept


@pytest.mark.parametrize("signum", [signal.SIGTERM, signal.SIGINT])
def test_command_that_is_told_to_end_stops_what_it_started(home: Settings, signum: int) -> None:
    """SIGTERM and Ctrl-C leave no process behind."""
    command, pid = _command(home)
    with command:
        command.send_signal(signum)
        command.wait(120)
    assert not psutil.pid_exists(pid)
    assert processes.running_processes(home) == []


def test_program_started_from_a_background_job_can_be_interrupted(home: Settings) -> None:
    """A shell that has Ctrl-C ignored for its background jobs does not pass that on to the programs."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        record = _starter(home, ["sleep", "60"])()
        assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    program = psutil.Process(record.pid)
    program.send_signal(signal.SIGINT)
    psutil.wait_procs([program], timeout=120)
    assert not processes.is_alive(record)


def test_program_of_a_killed_command_is_used_and_ended_by_the_next(home: Settings) -> None:
    """SIGKILL leaves the program running; the next command uses it and, as its last user, stops it."""
    command, pid = _command(home)
    with command:
        command.kill()
    with processes.running(home, "nap", _starter(home)) as record:
        assert record.pid == pid
    awaited(
        lambda: not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE, "the program's end"
    )
    assert processes.running_processes(home) == []


def test_log_of_the_run_before_is_kept(home: Settings) -> None:
    """After a restart the output of the run before is still there to read."""
    for word in ("first", "second"):
        record = _starter(home, [sys.executable, "-c", f"print({word!r})"])()
        psutil.wait_procs([psutil.Process(record.pid)], timeout=120)
    log = processes.log_path(home, "nap")
    assert log.with_name("nap.log.1").read_text() == "first\n"


def test_what_a_crashed_program_had_started_ends_before_the_next_one(home: Settings) -> None:
    """`up` starts a program that was killed again, and its children do not stay beside those of the new one."""
    parent = "import subprocess, time; print(subprocess.Popen(['sleep', '60']).pid, flush=True); time.sleep(60)"
    start = _starter(home, [sys.executable, "-c", parent])
    first = processes.start_kept(home, "nap", start)
    log = processes.log_path(home, "nap")
    processes.wait_until_ready(home, first, lambda: log.read_text().strip().isdigit(), 20)
    child = psutil.Process(int(log.read_text()))
    killed = psutil.Process(first.pid)
    killed.kill()
    killed.wait(120)
    second = processes.start_kept(home, "nap", start)
    assert second.pid != first.pid
    assert not child.is_running() or child.status() == psutil.STATUS_ZOMBIE
