"""Quotas: how much of a tenant passes, and when the rest does."""

import pytest

from hub.access.quotas import Quotas
from hub.programs import PROGRAMS
from runtime.errors import UsageError
from runtime.settings import load_settings


def test_a_profile_limits_each_tenant() -> None:
    """So much at once, then as fast as the rate; another tenant has its own; no profile limits nothing."""
    now = [0.0]
    quotas = Quotas("s1", lambda: now[0])
    assert sum(quotas.take("connects", "a") for _ in range(300)) == 200
    assert quotas.take("connects", "b")
    now[0] = 0.5
    assert sum(quotas.take("connects", "a") for _ in range(300)) == 50
    delays = [quotas.delay_s("messages", "a") for _ in range(250)]
    assert delays[199] == 0
    assert delays[249] == pytest.approx(0.5, abs=0.02)
    free = Quotas()
    assert all(free.take("connects", "a") for _ in range(1000))
    assert free.delay_s("messages", "a") == 0
    with pytest.raises(UsageError, match="s9"):
        Quotas("s9")


def test_a_profile_that_is_not_there_is_refused_before_anything_starts() -> None:
    """By what `up` looks at first, with the names of those that are there."""
    check = PROGRAMS[0].check
    assert check is not None
    with pytest.raises(UsageError, match=r"'s9': give one of none, s1, s3\."):
        check(load_settings({"LAKEHOUSE_HOME": "/"}), {"hub": True, "hub_profile": "s9"})
