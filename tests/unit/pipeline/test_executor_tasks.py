"""What tasks are told and refuse, without a Spark."""

from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pytest

from lake.code_version import versions
from lake.sql_text import Query
from pipeline.silver.apart import public_settings
from pipeline.silver.executor_tasks import Place, find_identities
from runtime.errors import PlatformError
from runtime.settings import load_settings
from tests.unit.runtime.test_settings import CUSTOM

NUMBERS = [pa.RecordBatch.from_pydict({"id": [1, 0]})]
QUERIES = (Query("SELECT 1::BIGINT AS identity"), Query("SELECT 2::BIGINT AS identity"))


def test_a_task_runs_the_queries_that_it_is_told_and_none_of_another_code(tmp_path: Path) -> None:
    """Rows number the queries; where the code or DuckDB is another one nothing is run, and both are named."""
    place = Place(load_settings({}, tmp_path), versions())
    found = find_identities(place, QUERIES, NUMBERS)
    assert [each for batch in found for each in batch.column(0).to_pylist()] == [2, 1]
    with pytest.raises(PlatformError, match=r"Python has .*DuckDB.*, this machine 0\.1: install the same"):
        next(find_identities(replace(place, versions="0.1"), QUERIES, NUMBERS))


def test_tasks_are_told_no_secret(tmp_path: Path) -> None:
    """Of all settings that may hold one, neither the keys of the lake nor a password reaches a task."""
    settings = load_settings(CUSTOM, tmp_path)
    told = repr(public_settings(settings))
    assert settings.lake_uri in told
    secrets = (CUSTOM[name] for name in CUSTOM if "SECRET" in name or "TOKEN" in name or "@" in CUSTOM[name])
    assert [secret for secret in secrets if f"'{secret}'" in told] == []
