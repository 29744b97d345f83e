"""The run server and the launcher: runs that begin as a fork, and what becomes of those that are ended."""

import socket
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psutil
import pytest
from dagster import DagsterInstance, DagsterRun, DagsterRunStatus
from dagster._core.definitions.reconstruct import ReconstructableRepository
from dagster._core.launcher.base import LaunchRunContext, WorkerStatus

from dagster_project import programs
from dagster_project.runs.fork_server import ask
from dagster_project.runs.instance import open_instance
from dagster_project.runs.under_way import end_abandoned, run_processes
from lake.storage.lease import writer_lease
from runtime import processes
from runtime.ports import accepts
from runtime.private_files import socket_path
from runtime.process_ids import ProcessId
from runtime.process_records import ProcessRecord
from runtime.settings import Settings
from tests.support.awaiting import awaited

_LIMIT_S = 90.0


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Settings]:
    """A home without a lake, in which only the run server runs."""
    folder = tmp_path_factory.mktemp("home")
    settings = Settings(home=folder, lake_uri=str(folder / "lake"), kafka_bootstrap="127.0.0.1:1")
    record = processes.start_kept(settings, programs.RUN_SERVER, lambda: programs.start_run_server(settings, {}))
    try:
        processes.wait_until_ready(settings, record, lambda: accepts(record.address), _LIMIT_S)
        yield settings
    finally:
        processes.stop_family(settings, programs.RUN_SERVER)


@pytest.fixture
def instance(home: Settings, monkeypatch: pytest.MonkeyPatch) -> Iterator[DagsterInstance]:
    """Dagster's instance of that home, as the daemon opens it."""
    monkeypatch.setenv("LAKEHOUSE_HOME", str(home.home))
    with open_instance(home) as opened:
        yield opened


def launched(instance: DagsterInstance) -> DagsterRun:
    """A run of the job `publish`, which needs neither Kafka nor Spark, as the daemon launches it."""
    job = ReconstructableRepository.for_module("dagster_project.definitions", "defs").get_reconstructable_job("publish")
    made = instance.create_run_for_job(
        job.get_definition(), status=DagsterRunStatus.STARTING, job_code_origin=job.get_python_origin()
    )
    instance.run_launcher.launch_run(LaunchRunContext(made, None))
    return made


def status(instance: DagsterInstance, run: DagsterRun) -> DagsterRunStatus:
    """How a run is doing."""
    found = instance.get_run_by_id(run.run_id)
    assert found is not None
    return found.status


def waiting(instance: DagsterInstance, run: DagsterRun) -> psutil.Process:
    """The process of a run that waits for the lease, as its log says."""
    awaited(
        lambda: any(entry.user_message.startswith("waiting: ") for entry in instance.all_logs(run.run_id)),
        "that it waits",
    )
    (process,) = run_processes(instance)
    return process


def test_a_run_is_a_fork_and_comes_to_its_end(home: Settings, instance: DagsterInstance) -> None:
    """Its process is a child of the server's, it ends well, and the server answers the next one."""
    server = processes.find(home, programs.RUN_SERVER)
    assert server is not None
    with writer_lease(home, "test"):
        run = launched(instance)
        assert waiting(instance, run).ppid() == server.pid
    awaited(lambda: status(instance, run) is DagsterRunStatus.SUCCESS, "its end")
    again = launched(instance)
    awaited(lambda: status(instance, again) is DagsterRunStatus.SUCCESS, "the end of the other")
    awaited(lambda: not psutil.Process(server.pid).children(), "the end of its spare dbt")  # its spare dbt neither


def test_a_run_can_be_terminated(home: Settings, instance: DagsterInstance) -> None:
    """Terminating it in the UI ends its process, and leaves it as cancelled."""
    with writer_lease(home, "test"):
        run = launched(instance)
        process = waiting(instance, run)
        assert instance.run_launcher.terminate(run.run_id)
        psutil.wait_procs([process], timeout=_LIMIT_S)
        assert not process.is_running()
        assert status(instance, run) is DagsterRunStatus.CANCELED
    assert not instance.run_launcher.terminate(run.run_id)


def test_a_run_whose_process_was_killed_is_found(home: Settings, instance: DagsterInstance) -> None:
    """The daemon, which asks for the health of its runs, is told; and a look at what is under way ends the run."""
    with writer_lease(home, "test"):
        run = launched(instance)
        process = waiting(instance, run)
        started = instance.get_run_by_id(run.run_id)
        assert started is not None
        assert instance.run_launcher.check_run_worker_health(started).status is WorkerStatus.RUNNING
        process.kill()
        awaited(lambda: not process.is_running(), "its end")
        assert instance.run_launcher.check_run_worker_health(started).status is WorkerStatus.FAILED
        assert end_abandoned(instance) == [run.run_id]


def test_a_run_is_not_started_twice(tmp_path: Path) -> None:
    """A server that takes a request and dies may have forked: that is no leave to start the run elsewhere. One that
    cannot be reached has not."""
    settings = Settings(home=tmp_path, lake_uri=str(tmp_path / "lake"))
    settings.run_folder.mkdir(parents=True)

    def close(server: socket.socket) -> None:
        connection, _ = server.accept()
        with connection:
            connection.recv(100)

    address = str(socket_path(settings, programs.RUN_SERVER))
    with socket.socket(socket.AF_UNIX) as server, ThreadPoolExecutor(1) as pool:
        server.bind(address)
        server.listen()
        processes.keep(settings, ProcessRecord(programs.RUN_SERVER, ProcessId.of(), address))
        done = pool.submit(close, server)
        assert ask(settings, "a-run") == ""
        done.result()
    assert ask(settings, "a-run") is None


def test_who_only_looks_starts_no_run(home: Settings) -> None:
    """Opening the port, as a readiness check does, forks nothing; without a server nobody answers."""
    server = processes.find(home, programs.RUN_SERVER)
    assert server is not None
    assert accepts(server.address)
    assert ask(home, "no-such-run")  # answered after that look, by a process that says so in the log and ends
    awaited(
        lambda: "There is no run no-such-run" in processes.log_path(home, programs.RUN_SERVER).read_text(),
        "the line in its log",
    )
    elsewhere = Settings(home=Path("/nowhere"), lake_uri="/nowhere/lake")
    assert ask(elsewhere, "no-such-run") is None
