"""Whose programs a home's records speak of: its own, on this machine, and no others."""

import json
import shutil
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from runtime import process_records, processes
from runtime.kafka import broker
from runtime.process_ids import ProcessId
from runtime.process_records import ProcessRecord
from runtime.settings import Settings

SLEEP = [sys.executable, "-c", "import time; time.sleep(60)"]


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Settings]:
    """A home with a program, which ends with the test."""
    settings = Settings(home=tmp_path / "home", lake_uri=str(tmp_path))
    record = processes.spawn(settings, "nap", SLEEP)
    yield settings
    processes.write(settings, record)
    processes.stop(settings, "nap", timeout_s=1)


def of(folder: Path) -> Settings:
    return Settings(home=folder, lake_uri=str(folder))


def test_a_copied_home_has_none_of_the_originals_programs(home: Settings, tmp_path: Path) -> None:
    """Neither found, nor listed, nor stopped by name or with its family; the original's goes on."""
    record = processes.find(home, "nap")
    assert record is not None
    assert record.home == str(home.home)
    copy = of(tmp_path / "copy")
    shutil.copytree(home.home, copy.home)
    assert processes.find(copy, "nap") is None
    assert processes.recorded(copy, "nap") is None
    assert processes.running_processes(copy) == []
    for stop in (processes.stop, processes.stop_family):
        shutil.copy(processes.record_path(home, "nap"), processes.record_path(copy, "nap"))
        assert not stop(copy, "nap")
    assert processes.find(home, "nap") == record


def test_a_home_that_was_moved_keeps_its_programs(home: Settings, tmp_path: Path) -> None:
    """It is the same home at another place, and `down` there must reach what runs for it."""
    home.home.rename(tmp_path / "moved")
    moved = of(tmp_path / "moved")
    try:
        assert [record.name for record in processes.running_processes(moved)] == ["nap"]
    finally:
        moved.home.rename(home.home)


def test_a_copy_brought_up_keeps_programs_of_its_own(home: Settings, tmp_path: Path) -> None:
    """A program of the same name in the copy is the copy's, and ends without the original's."""
    copy = of(tmp_path / "copy")
    shutil.copytree(home.home, copy.home)
    started = processes.start_kept(copy, "nap", lambda: processes.spawn(copy, "nap", SLEEP))
    assert started != processes.find(home, "nap")
    assert processes.stop_family(copy, "nap")
    assert not psutil.pid_exists(started.pid)
    assert processes.find(home, "nap") is not None


@pytest.mark.parametrize("is_gone", [True, False])
def test_a_number_of_another_place_is_no_program_here(home: Settings, is_gone: bool) -> None:
    """After a reboot, or in another container, it is somebody else's by now: not found, and never stopped."""
    record = processes.find(home, "nap")
    assert record is not None
    elsewhere = ProcessId(2**22 + 1 if is_gone else record.pid, record.process.started_s, "another")
    processes.write(home, replace(record, process=elsewhere))
    assert processes.find(home, "nap") is None
    assert processes.recorded(home, "nap") is not None
    assert not processes.stop_family(home, "nap")
    assert psutil.pid_exists(record.pid)


@pytest.mark.parametrize("step_s", [3600.0, -3600.0])
def test_a_clock_that_is_set_loses_no_program(home: Settings, step_s: float, monkeypatch: pytest.MonkeyPatch) -> None:
    """The system derives both the start of processes and its own from the clock."""
    boot, create_time = psutil.boot_time(), psutil.Process.create_time
    monkeypatch.setattr(psutil, "boot_time", lambda: boot + step_s)
    monkeypatch.setattr(psutil.Process, "create_time", lambda process: create_time(process) + step_s)
    assert processes.find(home, "nap") is not None


def test_a_record_of_a_newer_program_is_read(home: Settings) -> None:
    """What it says besides is left aside."""
    path = process_records.record_path(home, "nap")
    path.write_text(json.dumps(json.loads(path.read_text()) | {"colour": "red"}))
    assert isinstance(processes.find(home, "nap"), ProcessRecord)


@pytest.mark.parametrize("is_copy", [True, False])
def test_a_copys_broker_takes_a_port_of_its_own(tmp_path: Path, is_copy: bool) -> None:
    """The former port is where the original's senders look, which may be down now and come back."""
    settings = of(tmp_path / "copy")
    kafka = settings.home / "kafka"
    kafka.mkdir(parents=True)
    data = tmp_path / "home" / "kafka" / "data" if is_copy else kafka / "data"
    (kafka / "server.properties").write_text(broker._server_properties(data, 20123, 20124))
    assert (broker._former_port(settings) == 20123) is not is_copy
