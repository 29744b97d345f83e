"""Dagster's instance: the folder under the home in which runs, events and schedules are kept.

Belongs here: `dagster.yaml` and opening the instance. What runs in it belongs in the other modules.
"""

import json
from pathlib import Path
from typing import Any

from dagster import DagsterInstance

from runtime.private_files import ensure_home
from runtime.settings import Settings
from runtime.whole_files import write_whole

LOG_NAME = "dagster_runs.log"
_LOG_BYTES = 10_000_000


def prepare_instance(settings: Settings) -> Path:
    """Write `dagster.yaml` into the home; returns the folder, which is DAGSTER_HOME."""
    ensure_home(settings)
    folder = settings.dagster_home
    folder.mkdir(parents=True, exist_ok=True)
    settings.log_folder.mkdir(parents=True, exist_ok=True)
    path = folder / "dagster.yaml"
    text = json.dumps(_configuration(settings), indent=2) + "\n"  # JSON is YAML
    if not path.exists() or path.read_text() != text:
        write_whole(path, text)
    return folder


def open_instance(settings: Settings) -> DagsterInstance:
    """The instance of this home, made when it is not there; its user disposes of it."""
    return DagsterInstance.from_config(str(prepare_instance(settings)))


def _configuration(settings: Settings) -> dict[str, Any]:
    storage = settings.dagster_home / "storage"
    ticks = {"skipped": 1, "success": 7, "failure": 30, "started": 7}
    return {
        "telemetry": {"enabled": False},
        "nux": {"enabled": False},
        "run_storage": _entry("dagster._core.storage.runs", "SqliteRunStorage", base_dir=storage),
        "event_log_storage": _entry(
            "dagster_project.runs.event_log", "KeptSqliteEventLogStorage", base_dir=storage / "events"
        ),
        "schedule_storage": _entry("dagster._core.storage.schedules", "SqliteScheduleStorage", base_dir=storage),
        "local_artifact_storage": _entry("dagster._core.storage.root", "LocalArtifactStorage", base_dir=storage),
        "run_launcher": _entry("dagster_project.runs.launcher", "ForkingRunLauncher"),
        # steps print nothing: what they say goes to the run's own log and to the file below
        "compute_logs": _entry("dagster._core.storage.noop_compute_log_manager", "NoOpComputeLogManager"),
        # one lake has one writer; a second run would only wait for its lease
        "concurrency": {"runs": {"max_concurrent_runs": 1}},
        "run_queue": {"dequeue_interval_seconds": 1},
        # a run whose process is gone is marked as failed, or the queue would wait for it
        "run_monitoring": {"enabled": True, "start_timeout_seconds": 300, "poll_interval_seconds": 30},
        # how often is for each job to say: a backfill that ends with slices held has nothing to retry
        "run_retries": {"enabled": True, "max_retries": 0},
        "retention": {"schedule": {"purge_after_days": ticks}, "sensor": {"purge_after_days": ticks}},
        "python_logs": {
            "python_log_level": "INFO",
            "dagster_handler_config": {
                "handlers": {
                    "file": {
                        "class": "logging.handlers.RotatingFileHandler",
                        "filename": str(settings.log_folder / LOG_NAME),
                        "maxBytes": _LOG_BYTES,
                        "backupCount": 3,
                        "delay": True,
                        "formatter": "line",
                    }
                },
                "formatters": {"line": {"format": "%(asctime)s %(levelname)s %(message)s"}},
            },
        },
    }


def _entry(module: str, name: str, **config: Path) -> dict[str, Any]:
    return {"module": module, "class": name, "config": {key: str(value) for key, value in config.items()}}
