"""The invariants themselves: they hold where nothing went wrong, and a doctored lake breaks each of them."""

from tests.faults.base import Scene
from tests.faults.invariants import Invariants, seen


def test_they_hold_on_an_undisturbed_lake(published: Scene, invariants: Invariants) -> None:
    """A lake that was filled in two runs without any fault is as it should be."""
    invariants.hold(published.settings, published.manifest)
    assert seen(published.settings)["publication"] == 2
