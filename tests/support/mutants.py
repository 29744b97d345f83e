"""Mutants: which tests decide on a change, and in which order.

Belongs here: what `make mutants` wants of a run of tests; `tests/conftest.py` asks. A change of a part is tried by the
tests of that part. Those that need a lake take seconds each before they begin, and call nearly every rule: without this
each change of a rule of a few lines took minutes, and so did finding out which tests reach it.
"""

import os
from collections.abc import Sequence

import pytest

ONLY = "MUTANTS_ONLY"
"""The variable that names the part, as `transforms.clock*`; without it all parts are tried."""
_UNDER_TEST = "MUTANT_UNDER_TEST"  # mutmut's own
# only these are proved on a lake alone
_PROVED_ON_LAKES = ("pipeline.gate", "pipeline.gold.publish")


def are_tried() -> bool:
    """Whether mutmut runs these tests."""
    return _UNDER_TEST in os.environ


def chosen(items: Sequence[pytest.Item]) -> tuple[list[pytest.Item], list[pytest.Item]]:
    """The tests to run, those without a lake first since one that fails ends the trial, and the others."""
    only = os.environ.get(ONLY, "")
    with_lake = [item for item in items if "tests/integration/" in item.path.as_posix()]
    without = [item for item in items if item not in with_lake]
    return ([*without, *with_lake], []) if _needs_lakes(only) else (without, with_lake)


def _needs_lakes(only: str) -> bool:
    """True where what is named may be among the parts that are proved on lakes; a name may end in a wildcard."""
    named = only.partition("*")[0]
    return any(part.startswith(named) or named.startswith(part) for part in _PROVED_ON_LAKES)
