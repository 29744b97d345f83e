"""Word of what Kafka took: each waiter gets its own, whatever becomes of another."""

import asyncio
from collections.abc import Callable
from typing import Any

from hub.messages.landing import Landing


class Kafka:
    """In the producer's place: takes each record at the next poll."""

    def __init__(self) -> None:
        self.reports: list[Callable[[None, None], None]] = []

    def produce(self, _topic: str, _value: bytes, _key: bytes, _partition: int, report: Any, *_: Any) -> None:
        self.reports.append(report)

    def poll(self, _timeout_s: float) -> None:
        reports, self.reports = self.reports, []
        for report in reports:
            report(None, None)


class Waiter:
    """Notes its word; `broken` names what it fails at."""

    def __init__(self, broken: str = "") -> None:
        self.broken, self.failed = broken, ""
        self.told: list[str] = []
        self.is_settled = asyncio.Event()

    def landed(self, token: Any, _error: str | None) -> None:
        self.told.append(str(token))
        assert self.broken != "landed"

    def settle(self) -> None:
        assert self.broken != "settle"
        self.is_settled.set()

    def fail(self, reason: str) -> None:
        self.failed = reason or "yes"

    def pause(self) -> None: ...

    def resume(self) -> None: ...


def test_a_waiter_that_fails_is_ended_and_the_others_hear_theirs() -> None:
    """Polling goes on: records that come later are told of too."""

    async def scenario() -> None:
        landing, kafka = Landing("127.0.0.1:1", asyncio.get_running_loop()), Kafka()
        landing._producer, landing._produce = kafka, kafka.produce  # type: ignore[assignment]
        broken, good = [Waiter("landed"), Waiter("settle")], [Waiter(), Waiter()]
        for waiter in (broken[0], good[0], broken[1], good[1]):
            landing.give(waiter, "one", "topic", b"", [], b"")
        for waiter in good:
            await asyncio.wait_for(waiter.is_settled.wait(), 30)
            waiter.is_settled.clear()
            landing.give(waiter, "two", "topic", b"", [], b"")
        for waiter in good:
            await asyncio.wait_for(waiter.is_settled.wait(), 30)
        assert [waiter.told for waiter in good] == [["one", "two"]] * 2
        assert all(waiter.failed for waiter in broken)
        assert landing.outstanding == 0

    asyncio.run(scenario())
