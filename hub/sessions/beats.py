"""The beats of this process: the registry hears that it lives, and who of the others does not is seen.

Belongs here: beating, and telling what comes back by it. Judging by beats belongs in `instance_watch`, what the
registry does with them in `connections`.
"""

from collections.abc import Callable
from concurrent.futures import Future

from hub.registry.hub_registry import Registry
from hub.registry.instance_watch import InstanceWatch


class Beats:
    """`taken_for_gone` is told, in another thread, when others took this process for gone and ended what it holds."""

    def __init__(
        self, registry: Registry, instance: str, low_water_ms: Callable[[], int], taken_for_gone: Callable[[], None]
    ) -> None:
        self._registry, self._instance, self._low_water_ms = registry, instance, low_water_ms
        self._taken_for_gone = taken_for_gone
        self._count = 0
        self.living = InstanceWatch()

    def beat(self) -> None:
        """Once; the answer is taken in when it comes."""
        done = self._registry.beat(self._instance, self._low_water_ms(), self.living.gone())
        done.add_done_callback(self._beaten)

    def _beaten(self, done: Future[dict[str, int]]) -> None:
        if done.exception() is not None:
            return
        beats = done.result()
        self.living.saw(beats)
        count, self._count = self._count, beats[self._instance]
        if self._count <= count:
            # its row was forgotten, or was about to be, and counts anew
            self._taken_for_gone()
