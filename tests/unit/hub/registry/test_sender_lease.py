"""The outbox's lease: one holder at a time, also when a machine's clock is wrong or is set."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from hub.registry.hub_registry import Registry
from hub.registry.sender_lease import SILENT_S, SenderLease


class Scene:
    """Two processes on one registry, each with its own clock in `clocks`; `passed_s` is the time that really went."""

    def __init__(self, url: str) -> None:
        self.passed_s = 0.0
        self.clocks = [datetime(2026, 1, 1, tzinfo=UTC)] * 2
        self.registries = [Registry(url, lambda: self.clocks[0]), Registry(url, lambda: self.clocks[1])]
        pairs = zip(self.registries, ("a", "b"), strict=True)
        self.a, self.b = (SenderLease(each, name, lambda: self.passed_s) for each, name in pairs)

    def close(self) -> None:
        for each in self.registries:
            each.close()


@pytest.fixture
def scene(tmp_path: Path) -> Iterator[Scene]:
    made = Scene(f"sqlite:///{tmp_path / 'registry.db'}")
    yield made
    made.close()


@pytest.mark.parametrize("step", [timedelta(days=1), timedelta(days=-1)])
def test_a_clock_that_is_set_gives_the_lease_to_nobody_else(scene: Scene, step: timedelta) -> None:
    """Neither the holder's clock nor the other's, forward or back, while the holder renews."""
    assert scene.a.take()
    assert not scene.b.take()
    for number in (0, 1):
        scene.clocks[number] += step
        for _ in range(3):
            scene.passed_s += SILENT_S / 2
            assert scene.a.take()
            assert not scene.b.take()


def test_a_clock_that_was_set_back_keeps_the_lease_of_the_dead_no_longer(scene: Scene) -> None:
    """Whoever watched takes it once the holder has been silent for long enough, and the holder hears of it."""
    assert scene.a.take()
    scene.b.watch()
    scene.clocks = [each - timedelta(days=1) for each in scene.clocks]
    scene.passed_s += SILENT_S - 0.1
    assert not scene.b.take()
    scene.passed_s += 0.1
    assert scene.b.take()
    woken: list[bool] = []
    scene.registries[0].on_commit(lambda: woken.append(True))
    assert not scene.a.take()
    assert not woken


def test_a_lease_that_is_given_back_is_free_at_once(scene: Scene) -> None:
    """Nobody waits for it then; who does not hold it gives nothing back."""
    assert scene.a.take()
    scene.b.give_back()
    assert not scene.b.take()
    scene.a.give_back()
    assert scene.b.take()
    assert not scene.a.take()
