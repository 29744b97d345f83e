"""What dbt need not find out at each start: it is known, and right."""

import sys
from types import ModuleType
from typing import Any

import pytest
from dbt.adapters.base.impl import DEFAULT_BASE_BEHAVIOR_FLAGS
from dbt_common.behavior_flags import Behavior

import pipeline.gold.dbt_ahead  # noqa: F401


def test_dbts_flags_are_made_without_a_look_at_any_module(monkeypatch: pytest.MonkeyPatch) -> None:
    """One that is loaded when it is first used stays as it is; the flags name the module that dbt itself names."""
    asked = list[str]()

    class Unloaded(ModuleType):
        def __getattribute__(self, name: str) -> Any:
            asked.append(name)
            return super().__getattribute__(name)

    monkeypatch.setitem(sys.modules, "unloaded", Unloaded("unloaded"))
    behavior = Behavior(list(DEFAULT_BASE_BEHAVIOR_FLAGS), {})
    assert asked == []
    sources = {flag._behavior_change_event.flag_source for flag in behavior._flags}
    assert sources == {"dbt.adapters.base.impl"}
