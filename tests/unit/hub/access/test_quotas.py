"""Quotas: how much of a tenant passes, and when the rest does."""

import pytest

from hub.access.quotas import Quotas
from runtime.errors import UsageError


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
