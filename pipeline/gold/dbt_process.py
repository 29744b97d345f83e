"""The process that dbt runs in: loaded before it is needed, told what to build, followed to its end.

Belongs here: starting dbt, and what it says. What it builds from is written by `gold`.

dbt keeps its state in globals, so it has a process of its own. Loading it and reading its project takes seconds: it
starts while something else is done, and a process that has imported dbt can fork it.
"""

import gc
import json
import logging
import os
import signal
import subprocess
import sys
import traceback
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from logging.handlers import RotatingFileHandler
from typing import IO, Any, NoReturn

from lake.project_files import DBT_FOLDER, PROJECT_FOLDER
from lake.storage.locations import candidate_path
from pipeline.gold.absent_kinds import unneeded_models
from pipeline.gold.dbt_manifest import read_manifest
from runtime.collector import collect_seldom
from runtime.errors import StepError
from runtime.settings import Settings, inherited_environment, load_settings, take_environment

IMPORTED = (
    "dbt.cli.main",
    "dbt.task.run",
    "dbt.adapters.duckdb",
    "lake.storage.dbt_plugin",
    "sqlparse",
    "daff",
    "pipeline.gold.dbt_ahead",
)
"""What `keep_spare` wants to find imported."""

# the folder that it runs in is on the path, so that dbt finds the plugin of `lake` with or without an installation
_PROGRAM = "from pipeline.gold.dbt_process import serve; serve()"
# it writes no log of its own: it makes each line before it asks whether anyone wants it, which took a fifth of its
# time. What is wanted `_tell` says
_OPTIONS = ("--log-level", "none", "--log-level-file", "none", "--no-populate-cache", "--no-write-json")
# not `build`: dbt's data tests ask of the same rows what the gate asks next, and are for those who change a model
_BUILD = (*_OPTIONS, "run")

# the models to build again once hours of a built candidate are held: the ones that are not sliced, and those that may
# have carried something out of these hours
_AFTER_HOLDING = ("--select", "stg_published_latest+", "stg_counter_increases+", "stg_state_parts+", "stg_gauge_spans+")

_LOG_BYTES = 10_000_000
_spare: "list[Dbt]" = []


@dataclass
class Dbt:
    """A dbt that loads, and waits for its order; the end of this process is its end too, while it waits.

    `wait` gives its exit code.
    """

    stdin: IO[str]
    stdout: IO[str]
    wait: Callable[[], int]
    kill: Callable[[], None]


def dbt_environment(settings: Settings) -> dict[str, str]:
    """The variables that dbt needs for this home, to be added to the process's own."""
    return settings.child_environment() | {
        "LAKEHOUSE_CANDIDATE_DB": str(candidate_path(settings)),
        "DBT_PROJECT_DIR": str(DBT_FOLDER),
        "DBT_PROFILES_DIR": str(DBT_FOLDER),
        "DBT_TARGET_PATH": str(settings.work_folder / "dbt"),
        "DBT_LOG_PATH": str(settings.log_folder),
    }


def start_dbt(settings: Settings) -> Dbt:
    """Let dbt load while something else is done; `run_dbt` takes it on, `end_dbt` ends it."""
    if _spare:
        return _spare.pop()
    child = subprocess.Popen(
        [sys.executable, "-c", _PROGRAM],
        cwd=PROJECT_FOLDER,
        env=inherited_environment(dbt_environment(settings)),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert child.stdin is not None
    assert child.stdout is not None
    return Dbt(child.stdin, child.stdout, child.wait, child.kill)


def run_dbt(settings: Settings, dbt: Dbt, progress: Callable[[str], None] | None = None, *,
            after_holding: bool = False) -> None:  # fmt: skip
    """Run dbt's models on the plan that was written.

    With `after_holding` only the models that are not sliced, or that carry, are built. Raises StepError with dbt's own
    message.
    """
    errors: list[str] = []
    other: list[str] = []
    unneeded = unneeded_models(settings)
    order = {
        "arguments": [
            *_BUILD,
            *(_AFTER_HOLDING if after_holding else ()),
            *(("--exclude", *unneeded) if unneeded else ()),
        ],
        "environment": inherited_environment(dbt_environment(settings) | {"LAKEHOUSE_HAS_PLAN": "1"}),
    }
    try:
        with suppress(BrokenPipeError):  # it could not load; what it says follows
            print(json.dumps(order), file=dbt.stdin, flush=True)
        for line in dbt.stdout:
            _follow(line, errors, other, progress)
    except BaseException:
        end_dbt(dbt)  # an interrupted run leaves none behind
        raise
    if _closed(dbt):
        raise StepError(
            f"dbt could not build the gold candidates: {' '.join(errors or other) or 'it gave no reason'} "
            f"(its log is {settings.log_folder / 'dbt.log'})."
        )


def end_dbt(dbt: Dbt) -> None:
    """End a dbt that has nothing to build."""
    dbt.kill()
    _closed(dbt)


def serve() -> NoReturn:
    """Be the dbt: read the project, wait for the order, and carry it out. Without one, end."""
    from dbt.adapters.duckdb.connections import DuckDBConnectionManager
    from dbt.cli.main import dbtRunner

    from pipeline.gold.dbt_ahead import find_out_ahead

    find_out_ahead()
    collect_seldom()
    manifest = read_manifest()  # without one dbt reads the project when it has to build
    line = sys.stdin.readline()
    if not line:
        sys.exit(0)
    order: dict[str, Any] = json.loads(line)
    take_environment(order["environment"])
    os.chdir(PROJECT_FOLDER)
    done = dbtRunner(manifest=manifest, callbacks=[_teller(load_settings())]).invoke(order["arguments"])
    # dbt would at exit, which a fork does not come to; a database that is left open has a log, and DuckDB 1.5 cannot
    # replay one in which types are made
    DuckDBConnectionManager.close_all_connections()  # type: ignore[no-untyped-call]  # of dbt-duckdb
    gc.collect()
    sys.exit(0 if done.success else 1)


def _teller(settings: Settings) -> Callable[[Any], None]:
    """What hears dbt's events: it says them, details aside, and writes warnings and errors to the log."""
    from dbt_common.events.functions import msg_to_json

    log = RotatingFileHandler(settings.log_folder / "dbt.log", maxBytes=_LOG_BYTES, backupCount=1, delay=True)

    def tell(event: Any) -> None:
        level = event.info.level
        if level != "debug":
            print(msg_to_json(event), flush=True)
        if level in ("warn", "error"):
            log.emit(logging.makeLogRecord({"msg": f"{event.info.ts.ToJsonString()} [{level}] {event.info.msg}"}))

    return tell


def keep_spare(settings: Settings) -> None:
    """Fork a dbt for the next `start_dbt`. Only for a process with one thread, which has imported IMPORTED and called
    `dbt_ahead.find_out_ahead`."""
    order, to_dbt = os.pipe()
    from_dbt, said = os.pipe()
    pid = os.fork()
    if pid == 0:
        _become_dbt(settings, order, said, (to_dbt, from_dbt))
    os.close(order)
    os.close(said)
    _spare.append(
        Dbt(
            os.fdopen(to_dbt, "w"),
            os.fdopen(from_dbt),
            lambda: os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]),
            lambda: os.kill(pid, signal.SIGKILL),
        )
    )


def _become_dbt(settings: Settings, order: int, said: int, others: Sequence[int]) -> NoReturn:
    status = 1
    try:
        take_environment(inherited_environment(dbt_environment(settings)))
        for descriptor, number in ((order, 0), (said, 1), (said, 2)):
            os.dup2(descriptor, number)
        for descriptor in (order, said, *others):
            os.close(descriptor)
        sys.stdin, sys.stdout = os.fdopen(0), os.fdopen(1, "w")
        sys.stderr = os.fdopen(2, "w")
        serve()
    except SystemExit as ended:
        status = ended.code if isinstance(ended.code, int) else int(ended.code is not None)
    except BaseException:  # noqa: BLE001  # told, and the end of this process
        with suppress(OSError):
            traceback.print_exc()
    finally:
        # whatever happened, this process must not go on as another of its parent
        with suppress(OSError, ValueError):  # whom it would tell may have ended
            sys.stdout.flush()
            sys.stderr.flush()
        os._exit(status)


def _closed(dbt: Dbt) -> int:
    """Its exit code, once it has ended and nothing of it is left open."""
    with suppress(BrokenPipeError):  # closing writes what is left once more
        dbt.stdin.close()
    dbt.stdout.close()
    return dbt.wait()


def _follow(line: str, errors: list[str], other: list[str], progress: Callable[[str], None] | None) -> None:
    """Take one line of dbt's JSON log: collect what went wrong, tell what is done."""
    try:
        event: dict[str, Any] = json.loads(line)
    except json.JSONDecodeError:
        other.append(line.strip())
        return
    info, data = event.get("info", {}), event.get("data", {})
    if info.get("level") == "error":
        errors.append(str(info.get("msg", "")).strip())
    if progress is not None and info.get("name") == "LogModelResult":
        progress(f"{data['node_info']['node_name']} ({data['index']} of {data['total']})")
