"""Which tests try a change of a part: those of the part, the quick ones first."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from tests.support import mutants

LAKE, UNIT = Path("mutants/tests/integration/test_gate.py"), Path("mutants/tests/unit/transforms/test_clock.py")


def chosen(monkeypatch: pytest.MonkeyPatch, only: str) -> tuple[list[Path], list[Path]]:
    """The files of the tests that run for a part, and those that do not."""
    items: list[Any] = [SimpleNamespace(path=path) for path in (LAKE, UNIT, LAKE)]
    monkeypatch.setenv(mutants.ONLY, only)
    run, left = mutants.chosen(items)
    return [item.path for item in run], [item.path for item in left]


@pytest.mark.parametrize("only", ["transforms.clock*", "transforms.repeats.x_repeat_sql__mutmut_1", "lake.storage*"])
def test_a_part_with_tests_of_its_own_needs_no_lake(monkeypatch: pytest.MonkeyPatch, only: str) -> None:
    """Its changes are tried without the tests that make a lake first."""
    assert chosen(monkeypatch, only) == ([UNIT], [LAKE, LAKE])


@pytest.mark.parametrize("only", ["", "*", "pipe*", "pipeline.gate*", "pipeline.gate.suites.x_suite__mutmut_3"])
def test_what_is_proved_on_lakes_is_tried_on_them_last(monkeypatch: pytest.MonkeyPatch, only: str) -> None:
    """So is everything when no part is named."""
    assert chosen(monkeypatch, only) == ([UNIT, LAKE, LAKE], [])
