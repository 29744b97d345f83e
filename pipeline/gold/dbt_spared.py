"""What dbt would do for nobody, and leaves undone.

Belongs here: work whose result nobody reads when dbt builds our models. What it finds out the same each time, and what
is therefore found out once, is in `dbt_ahead`, which asks for this too. Importing this changes nothing.
"""

from collections.abc import Iterable
from functools import cache
from typing import Any

from dbt.compilation import Linker
from dbt_common.clients import agate_helper
from dbt_common.events.base_types import BaseEvent, DebugLevel, EventLevel
from dbt_common.events.event_manager import EventManager

_make_event = BaseEvent.__init__
_fire = EventManager.fire_event
_type_tester = cache(agate_helper.build_type_tester)
_empty_table = cache(agate_helper.empty_table)


def _keep(event: DebugLevel, /, *text: Any, **values: Any) -> None:
    """Make no message of an event of the lowest level yet: there are some thirty a model, and seldom a log of them."""
    event.__dict__["values"] = text, values


def _fire_if_heard(
    manager: EventManager, e: BaseEvent, level: EventLevel | None = None, *rest: Any, **named: Any
) -> None:
    if isinstance(e, DebugLevel):
        is_heard = level not in (None, EventLevel.DEBUG) or any(
            each.level == EventLevel.DEBUG for each in manager.loggers
        )
        if not is_heard:
            return
        text, values = e.__dict__["values"]
        _make_event(e, *text, **values)
    _fire(manager, e, level, *rest, **named)


def _cached_type_tester(text_columns: Iterable[str], string_null_values: Iterable[str] | None = ("null", "")) -> Any:
    """Each new one makes three parsers of dates in human words, and there is one for each answer of the database."""
    nulls = None if string_null_values is None else tuple(string_null_values)
    return _type_tester(frozenset(text_columns), nulls)


def leave_undone() -> None:
    """Let dbt leave this undone in this process, and in its forks."""
    DebugLevel.__init__ = _keep  # type: ignore[method-assign,assignment]
    EventManager.fire_event = _fire_if_heard  # type: ignore[method-assign,assignment]
    agate_helper.build_type_tester = _cached_type_tester
    agate_helper.empty_table = _empty_table
    # the file graph_summary.json, which is for those who look into dbt's own speed
    Linker.get_graph_summary = lambda *_: {}  # type: ignore[method-assign]
