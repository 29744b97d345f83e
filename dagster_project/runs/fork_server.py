"""The run server: a process that has imported what a run needs, and forks one for each run that it is asked for.

Belongs here: serving, and asking it. Which runs are started so, and what becomes of them, is `launcher`'s.

A run of its own would import all that it uses first (docs/decisions/005). Forking is safe here and hardly anywhere
else: the server has one thread, and imports start nothing. It is told the id of a run alone: what that is, stands in
the instance.
"""

import gc
import os
import signal
import socket
import sys
import traceback
from importlib import import_module

import psutil
from dagster._grpc.types import ExecuteRunArgs
from dagster_shared.serdes import serialize_value

from dagster_project.programs import RUN_SERVER
from dagster_project.runs.instance import open_instance
from dagster_project.runs.under_way import PROCESS_TAG, process_tag
from pipeline.gold import dbt_process
from runtime import processes
from runtime.collector import collect_seldom
from runtime.errors import UsageError
from runtime.settings import Settings, load_settings

_IMPORTED = (
    "dagster_project.definitions",
    "dagster._cli.api",
    "pipeline.gate.validation",
    *dbt_process.IMPORTED,
    "pyspark.sql.connect.functions",
    "pyspark.sql.connect.session",
)
_ANSWER_S = 60.0


def ask(settings: Settings, run_id: str) -> str | None:
    """Have a process started for a run; returns its tag.

    None when there is no server that could have started one. Empty when the process has ended already, or nobody knows
    whether there is one: the run must not be started a second time.
    """
    record = processes.find(settings, RUN_SERVER)
    if record is None:
        return None
    connection = socket.socket(socket.AF_UNIX)
    connection.settimeout(_ANSWER_S)
    try:
        connection.connect(record.address)
    except OSError:
        connection.close()
        return None
    try:
        with connection, connection.makefile("rw") as file:
            print(run_id, file=file, flush=True)
            return file.readline().strip()
    except OSError:
        return ""


def serve(path: str) -> None:
    """Answer at a socket, which stands in a folder of the user's alone, until the process is ended."""
    for module in _IMPORTED:
        import_module(module)
    import_module("pipeline.gold.dbt_ahead").find_out_ahead()
    gc.collect()
    collect_seldom()
    gc.freeze()  # or the first collection in a run would copy every page that it shares
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # no zombies, which would look like runs that go on
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(path)
        listener.listen()
        while True:
            connection, _ = listener.accept()
            with connection:
                connection.settimeout(_ANSWER_S)
                _answer(connection, listener)


def _answer(connection: socket.socket, listener: socket.socket) -> None:
    try:
        with connection.makefile("rw") as file:
            run_id = file.readline().strip()
            if not run_id:  # somebody looked whether anybody listens
                return
            pid = os.fork()
            if pid:
                print(_tag_of(pid), file=file, flush=True)
    except OSError as error:
        print(f"A request was not answered: {error}", file=sys.stderr, flush=True)
        return
    if pid == 0:
        listener.close()
        _execute(run_id)


def _tag_of(pid: int) -> str:
    try:
        return process_tag(pid)[PROCESS_TAG]
    except psutil.NoSuchProcess:
        return ""


def _execute(run_id: str) -> None:
    """Be the process of a run: what `dagster api execute_run` does, in a process that has its imports."""
    from dagster._cli.api import execute_run_command

    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    status = 1
    try:
        dbt_process.keep_spare(load_settings())  # while this process has one thread
        with open_instance(load_settings()) as instance:
            run = instance.get_run_by_id(run_id)
            if run is None or run.job_code_origin is None:
                raise UsageError(f"There is no run {run_id} that could be executed.")
            arguments = ExecuteRunArgs(run.job_code_origin, run_id, instance.get_ref())
        execute_run_command.main([serialize_value(arguments)], standalone_mode=False)
        status = 0
    finally:
        # whatever happened, this process must not go on as a second server
        if sys.exception() is not None:
            traceback.print_exc()
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)


if __name__ == "__main__":
    serve(sys.argv[1])
