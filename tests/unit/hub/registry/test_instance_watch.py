"""Which hub processes live: by beats that are watched, also when a machine's clock is set."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from hub.registry.hub_registry import Registry
from hub.registry.instance_watch import SILENT_S, InstanceWatch


class Scene:
    """Process `b` watches `a`; `clock` is what the machine's says, `passed_s` the time that really went."""

    def __init__(self, url: str) -> None:
        self.passed_s, self.clock = 0.0, datetime(2026, 1, 1, tzinfo=UTC)
        self.registry = Registry(url, lambda: self.clock)
        self.watch = InstanceWatch(lambda: self.passed_s)

    def passes(self, seconds: float, a_lives: bool) -> bool:
        """Time passes, `b` beats each second, and `a` at the end if it lives; whether `b` takes it to."""
        while seconds > 1:
            self.passes(1, a_lives=False)
            seconds -= 1
        self.passed_s += seconds
        if a_lives:
            self.registry.beat("a", 0).result()
        self.watch.saw(self.registry.beat("b", 0).result())
        return self.watch.is_alive("a")


@pytest.fixture
def scene(tmp_path: Path) -> Iterator[Scene]:
    made = Scene(f"sqlite:///{tmp_path / 'registry.db'}")
    yield made
    made.registry.close()


@pytest.mark.parametrize("step", [timedelta(days=1), timedelta(days=-1)])
def test_a_clock_that_is_set_neither_kills_nor_keeps_a_process(scene: Scene, step: timedelta) -> None:
    """Who beats lives, also when nobody looked for long; who does not is gone after a time, and back with a beat."""
    assert scene.passes(0, a_lives=True)
    scene.clock += step
    for seconds in (1.0, SILENT_S, 10 * SILENT_S):
        assert scene.passes(seconds, a_lives=True)
    scene.clock += step
    assert scene.passes(SILENT_S - 0.1, a_lives=False)
    assert not scene.passes(0.1, a_lives=False)
    scene.clock -= 2 * step
    assert not scene.passes(1.0, a_lives=False)
    assert scene.passes(1.0, a_lives=True)


def test_a_process_that_never_beat_is_gone_after_a_time(scene: Scene) -> None:
    """It may have begun just now; killed before its first beat it is waited for no longer than any other."""
    assert scene.passes(0, a_lives=False)
    assert scene.passes(SILENT_S - 0.1, a_lives=False)
    assert not scene.passes(0.1, a_lives=False)


def test_a_process_of_which_a_part_was_ended_is_gone_all_the_same(scene: Scene) -> None:
    """Its count is 0 then, which is no beat: the rest is ended at once; one beat, and it is there again."""
    for _ in range(2):
        assert scene.passes(1, a_lives=True)
    assert not scene.passes(SILENT_S, a_lives=False)
    scene.watch.saw({"a": 0, "b": 9})
    assert (scene.watch.is_alive("a"), scene.watch.gone()) == (False, ["a"])
    scene.watch.saw({"a": 1, "b": 10})
    assert (scene.watch.is_alive("a"), scene.watch.gone()) == (True, [])


def test_while_the_registry_is_away_nobody_is_silent(scene: Scene) -> None:
    """Who looks for the first time after an hour without a registry finds others alive: they may yet beat."""
    assert scene.passes(1, a_lives=True)
    scene.passed_s += 3600
    assert scene.passes(0, a_lives=False)
    assert scene.watch.gone() == []
    assert not scene.passes(SILENT_S, a_lives=False)
    assert scene.watch.gone() == ["a"]


def test_a_process_is_sure_to_live_once_it_was_seen_to_beat(scene: Scene) -> None:
    """A row that is there may be of one that was killed long ago: until a beat comes or stays away, nobody knows."""
    scene.registry.beat("a", 0).result()
    assert scene.watch.is_unsure("a")
    assert scene.passes(1, a_lives=False)
    assert scene.watch.is_unsure("a")
    assert scene.passes(1, a_lives=True)
    assert not scene.watch.is_unsure("a")
    scene.passes(SILENT_S, a_lives=False)
    assert (scene.watch.is_unsure("a"), scene.watch.gone()) == (False, ["a"])
    assert scene.watch.is_unsure("c")
    assert not scene.passes(SILENT_S + 1, a_lives=False)
    assert not scene.watch.is_unsure("c")
