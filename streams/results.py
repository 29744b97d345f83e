"""Results: what a batch of readings, and the time that has passed, change in all windows and alarms.

Belongs here: the declared windows and rules side by side, in their order, and how long their readings are kept. Whose
batches these are, a process that reads Kafka or a task of Spark, is not known here.
"""

from collections.abc import Callable, Mapping, Sequence

import duckdb

from streams.alarms import Alarms
from streams.declarations import Declarations
from streams.hot_outputs import AsOf, window_message
from streams.open_windows import OpenWindows, WindowResult
from transforms.alert_rules import AlarmState
from wire.envelope import Message

CORRECT_S = 600
"""How long readings are kept after their windows are final, for corrections."""
_US = 1_000_000


def _no_scores(results: Sequence[WindowResult]) -> Sequence[WindowResult]:
    return ()


class Results:
    """The windows and alarms of readings in `new_readings` and `open_readings` (see `JudgedBatches`)."""

    def __init__(self, connection: duckdb.DuckDBPyConnection, declared: Declarations, partitions: Sequence[int],
                 states: Mapping[str, AlarmState], correct_s: int = CORRECT_S) -> None:  # fmt: skip
        self.windows = {
            name: OpenWindows(connection, number, window, partitions)
            for number, (name, window) in enumerate(declared.windows.items())
        }
        self.alarms = Alarms(connection, declared.rules.values(), states)
        self._reach_us = _US * (max((w.reach_s for w in declared.windows.values()), default=60) + correct_s)
        # a rule that minds gaps is to know the last reading before one, also after a restart
        self.kept_us = max(self._reach_us, _US * max((r.gap_s for r in declared.rules.values()), default=0))

    def prepare(self) -> None:
        """Plan the statements; as with `JudgedBatches.prepare`, this comes when all tables are made."""
        for window in self.windows.values():
            window.prepare()

    def of_batch(
        self,
        watermark_us: int,
        told_us: int,
        read_from: Mapping[int, int],
        scores: Callable[[Sequence[WindowResult]], Sequence[WindowResult]] = _no_scores,
    ) -> list[Message]:
        """What is to be told when everything up to `watermark_us` was read, and up to `told_us` before."""
        kept_from_us = told_us - self._reach_us
        results = [r for window in self.windows.values() for r in window.update(watermark_us, told_us, kept_from_us)]
        results += scores(results)
        asof = AsOf(watermark_us, self._reach_us, read_from)
        return [
            *(window_message(result, asof) for result in results),
            *self.alarms.on_readings(),
            *self.alarms.on_windows(results),
            *self.alarms.on_time(watermark_us),
        ]
