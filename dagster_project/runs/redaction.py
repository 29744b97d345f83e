"""Redaction: a device's id out of the config of Dagster's runs.

Belongs here: the runs of a job that was started for a device, in Dagster's SQLite file. What the lake has of a device
leaves it in `pipeline.erasure`.
"""

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

from dagster import DagsterInstance, RunsFilter
from dagster._core.storage.runs import SqliteRunStorage
from dagster._serdes import serialize_value
from dagster_shared.record import copy

from pipeline.erasure.mentions import Mentions


def forget_device(instance: DagsterInstance, job_name: str, mentions: Mentions) -> int:
    """Put `[erased]` in the place of the device in the configs of a job's runs; returns in how many.

    The run under way is among them: what it still tells is added to what is stored. What SQLite deletes is written
    over, and no longer lies in its log either.
    """
    if not isinstance(instance.run_storage, SqliteRunStorage):
        return 0  # somebody's own database, and their own rules
    runs = instance.get_runs(RunsFilter(job_name=job_name))
    configs = ((run, _redacted(run.run_config, mentions)) for run in runs)
    named = [
        (serialize_value(copy(run, run_config=config)), run.run_id)
        for run, config in configs
        if config != run.run_config
    ]
    with closing(sqlite3.connect(Path(instance.root_directory) / "runs.db", timeout=30.0)) as connection:
        connection.execute("PRAGMA secure_delete = ON")
        with connection:
            connection.executemany("UPDATE runs SET run_body = ? WHERE run_id = ?", named)
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    return len(named)


def _redacted(value: Any, mentions: Mentions) -> Any:
    if isinstance(value, str):
        return mentions.redacted(value)
    if isinstance(value, dict):
        return {name: _redacted(each, mentions) for name, each in value.items()}
    return [_redacted(each, mentions) for each in value] if isinstance(value, list) else value
