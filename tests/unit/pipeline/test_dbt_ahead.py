"""What dbt need not find out at each start: it is known, and right."""

import subprocess
import sys
from multiprocessing import resource_tracker
from types import ModuleType
from typing import Any
from unittest.mock import patch

import pytest
from dbt.adapters.base.impl import DEFAULT_BASE_BEHAVIOR_FLAGS
from dbt_common.behavior_flags import Behavior
from dbt_common.clients.jinja import template_cache
from mashumaro.core.meta.code.builder import CodeBuilder

from lake.project_files import PROJECT_FOLDER
from pipeline.gold import dbt_ahead  # noqa: F401
from pipeline.gold.dbt_manifest import ensure_manifest, read_manifest


def test_dbts_flags_are_made_without_a_look_at_any_module(monkeypatch: pytest.MonkeyPatch) -> None:
    """One that is loaded when it is first used stays as it is; the flags name the module that dbt itself names."""
    asked = list[str]()

    class Unloaded(ModuleType):
        def __getattribute__(self, name: str) -> Any:
            asked.append(name)
            return super().__getattribute__(name)

    monkeypatch.setitem(sys.modules, "unloaded", Unloaded("unloaded"))
    behavior = Behavior(list(DEFAULT_BASE_BEHAVIOR_FLAGS), {})  # type: ignore[arg-type]  # of dbt-adapters
    assert asked == []
    sources = {flag._behavior_change_event.flag_source for flag in behavior._flags}
    assert sources == {"dbt.adapters.base.impl"}


def test_a_process_that_forks_dbts_has_what_reading_the_manifest_makes() -> None:
    """No class is made ready when it is read, the macros that build models are templates, and no process was begun for
    a lock."""
    ensure_manifest()
    code = f"from {__name__} import find_all_made; find_all_made()"
    done = subprocess.run([sys.executable, "-c", code], cwd=PROJECT_FOLDER, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr


def find_all_made() -> None:
    """In a process in which nothing has read the manifest yet."""
    assert resource_tracker._resource_tracker._fd is None  # type: ignore[attr-defined]
    made = list[str]()
    with patch.object(CodeBuilder, "add_unpack_method", lambda builder: made.append(str(builder.cls))):
        manifest = read_manifest()
    assert made == []
    for name in ("macro.lakehouse.materialization_by_date_duckdb", "macro.dbt_duckdb.materialization_table_duckdb"):
        assert manifest.macros[name].macro_sql in template_cache.file_cache
