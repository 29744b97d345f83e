"""Containment: a failure at one connection is logged and stays there.

Belongs here: catching whatever comes out of work for one connection of many. What ends the connection belongs to it.
"""

import logging
from types import TracebackType


class Contained:
    """A `with` block whose failure is logged as `what` and ends there; then `has_failed` is true."""

    __slots__ = ("_log", "_what", "has_failed")

    def __init__(self, log: logging.Logger, what: str) -> None:
        self._log, self._what, self.has_failed = log, what, False

    def __enter__(self) -> "Contained":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, _trace: TracebackType | None
    ) -> bool:
        # what is no Exception ends the process, or cancels a task: that is meant
        self.has_failed = isinstance(error, Exception)
        if self.has_failed:
            self._log.error("%s failed", self._what, exc_info=error)
        return self.has_failed
