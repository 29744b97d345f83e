"""Memory: how much a bench takes with everything that it starts.

Belongs here: sampling it. What a program of `up` takes is freshness's own, which divides what programs share.
"""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from runtime.process_family import ask_each, family

LIMIT_MB = 8 * 1024
"""No bench may take more."""
_EVERY_S = 2.0  # a sample with ten children takes 1.3 ms, which the answers of the query bench may come to wait for


@dataclass
class Peak:
    """The most that was seen, in MB (2**20 bytes)."""

    mb: int = 0


@contextmanager
def peak_memory() -> Iterator[Peak]:
    """Sample this process and its children, at once and then until it is left."""
    peak, ended = Peak(), threading.Event()

    def sample() -> None:
        while True:
            peak.mb = max(peak.mb, resident_mb())
            if ended.wait(_EVERY_S):
                return

    sampler = threading.Thread(target=sample, name="memory")
    sampler.start()
    try:
        yield peak
    finally:
        ended.set()
        sampler.join()


def resident_mb() -> int:
    """MB of this process and all that descend from it; a page that several share counts for each."""
    return sum(ask_each(family(), lambda each: each.memory_info().rss).values()) // 2**20
