"""Differences between the hot path and gold: a cause counts when its reading shows it and the figures come out."""

from dataclasses import dataclass, field
from typing import Any

import duckdb
import pytest

from lake.sql_text import Relation
from transforms.hot_differences import CANDIDATES, FIGURES, compared, explained

_US = 1_000_000
_MINUTE = 600 * _US
_CLOSED = _MINUTE + 90 * _US


@dataclass
class Minute:
    """One minute of one metric: readings as (offset, value, changes of its row), and what either side says."""

    readings: list[tuple[int, float, dict[str, Any]]] = field(default_factory=list)
    first_event_us: int = 0
    last_event_us: int = 0
    read_from: int = 0

    def add(self, offset: int, value: float, **changes: Any) -> "Minute":
        self.readings.append((offset, value, changes))
        return self

    def cause(self, hot: list[float] | None, gold: list[float], low: int = 0, high: int = 0) -> str:
        """The cause found when the hot path holds the values `hot` and gold `gold`."""
        connection = duckdb.connect()
        run = connection.execute
        key = "'d' AS device_id, 'm' AS metric_name, 'u' AS unit, {} AS minute_us"
        run(f"CREATE TABLE hot AS SELECT {key.format(0)}, {_figures([1.0])}, {90 * _US} AS closed_us, "
            """'{"9":[1,1]}' AS inputs, '{}' AS read_from""")  # fmt: skip
        run(f"CREATE TABLE gold AS SELECT {key.format(_MINUTE)}, {_figures(gold)}")
        if hot is not None:
            run(f"INSERT INTO hot SELECT {key.format(_MINUTE)}, {_figures(hot)}, {_CLOSED}, "
                f"""'{{"0":[{low},{high}]}}', '{{}}'""")  # fmt: skip
        run(f"CREATE TABLE candidates ({CANDIDATES})")
        for offset, value, changes in self.readings:
            at = _MINUTE + offset * _US
            row = {"device_id": "d", "metric_name": "m", "unit": "u", "partition": 0, "offset": offset, "event_us": at,
                   "measured_us": at, "received_us": at + _US, "arrival": offset, "value": value, "is_repeat": False,
                   "first_offset": None, "is_odd": None} | changes  # fmt: skip
            run(f"INSERT INTO candidates VALUES ({', '.join('?' * len(row))})", list(row.values()))
        run(f"CREATE TABLE events AS SELECT 'd' AS device_id, {self.first_event_us} AS first_us, "
            f"{self.last_event_us} AS last_us")  # fmt: skip
        run(f'CREATE TABLE begun AS SELECT 0 AS "partition", {self.read_from} AS first_offset')
        run(f"CREATE TABLE sides AS {compared(Relation('hot'), Relation('gold'), _CLOSED)}")
        run(f"CREATE TABLE differing AS FROM sides WHERE NOT agrees AND minute_us = {_MINUTE}")
        found = run(explained(*map(Relation, ("differing", "candidates", "events", "begun")))).fetchall()
        return str(found[0][4]) if found else "agrees"


def _figures(values: list[float]) -> str:
    figures = (len(values), min(values), max(values), sum(values) / len(values), values[-1])
    return ", ".join(f"{value}::DOUBLE AS {name}" for value, name in zip(figures, FIGURES, strict=True))


_LATE = {"received_us": _CLOSED + 1}


def test_the_same_figures_agree() -> None:
    """Nothing is asked about minutes that agree; the last bits of a mean are no difference."""
    assert Minute().cause([0.3, 0.2, 0.1, 0.5], [0.1, 0.2, 0.3, 0.5], 1, 4) == "agrees"


@pytest.mark.parametrize(("minute", "hot", "span", "expected"), [
    (Minute().add(1, 1.0).add(9, 2.0, **_LATE), [1.0], (1, 1), "late"),
    (Minute().add(9, 2.0, **_LATE), None, (0, 0), "late"),
    (Minute(read_from=2).add(1, 1.0).add(3, 2.0), [2.0], (3, 3), "before"),
    (Minute(first_event_us=_MINUTE + 5 * _US).add(1, 1.0).add(5, 2.0), [2.0], (5, 5), "registry"),
    # registered in the same millisecond, and just before, when its reading was read first
    (Minute(first_event_us=_MINUTE + 2 * _US).add(1, 1.0).add(5, 2.0), [2.0], (5, 5), "registry"),
    (Minute(first_event_us=_MINUTE + 2 * _US).add(1, 1.0), None, (0, 0), "registry"),
    (Minute(first_event_us=_MINUTE + _US + 1).add(1, 1.0).add(5, 2.0), [2.0], (5, 5), "registry"),
    (Minute(first_event_us=_MINUTE + _US + 1).add(1, 1.0), None, (0, 0), "registry"),
    (Minute(last_event_us=_CLOSED).add(1, 1.0).add(5, 2.0, received_us=_MINUTE + 70 * _US), [1.0], (1, 1), "clock"),
    (Minute(last_event_us=_CLOSED).add(1, 1.0).add(2, 3.0, event_us=_MINUTE + 70 * _US,
                                                   received_us=_MINUTE + 70 * _US), [1.0, 3.0], (1, 2), "clock"),
    (Minute().add(1, 1.0).add(2, 7.0, is_odd=True).add(3, 2.0), [1.0, 2.0], (1, 3), "header"),
    (Minute().add(2, 7.0, is_odd=True), None, (0, 0), "header"),
    (Minute().add(4, 1.0).add(5, 7.0, is_repeat=True, first_offset=2), [1.0, 7.0], (4, 5), "repeat"),
    (Minute(read_from=2).add(1, 1.0).add(5, 7.0, is_repeat=True, first_offset=1), [7.0], (5, 5), "before+repeat"),
])  # fmt: skip
def test_a_cause_is_found_in_the_readings(
    minute: Minute, hot: list[float] | None, span: tuple[int, int], expected: str
) -> None:
    """What a reading shows explains the minute when the figures come out with it."""
    gold = [value for _, value, row in minute.readings
            if not row.get("is_repeat") and row.get("event_us", _MINUTE) < _MINUTE + 60 * _US]  # fmt: skip
    assert minute.cause(hot, gold, *span) == expected


@pytest.mark.parametrize(("minute", "hot", "span"), [
    # a doctored figure, with and without a late reading that would be an excuse
    (Minute().add(1, 1.0), [1.5], (1, 1)),
    (Minute().add(1, 1.0).add(9, 2.0, **_LATE), [1.5], (1, 1)),
    # received in time and not counted: nothing says why
    (Minute().add(1, 1.0).add(9, 2.0), [1.0], (1, 1)),
    # late by the clock, and yet within what the hot path says it holds
    (Minute().add(1, 1.0).add(9, 2.0, **_LATE), [1.0], (1, 9)),
    # an odd header explains its own record alone
    (Minute().add(1, 1.0).add(2, 7.0, is_odd=True).add(9, 2.0), [1.0], (1, 3)),
    # a repeat of a reading that it holds
    (Minute().add(4, 1.0).add(5, 7.0, is_repeat=True, first_offset=4), [1.0, 7.0], (4, 5)),
    # an event of the registry that changes nothing about the reading
    (Minute(last_event_us=_CLOSED).add(1, 1.0).add(9, 2.0), [1.0], (1, 1)),
    # registered a second before
    (Minute(first_event_us=_MINUTE + _US).add(1, 1.0).add(5, 2.0), [2.0], (5, 5)),
    # never told
    (Minute().add(9, 2.0), None, (0, 0)),
])  # fmt: skip
def test_what_nothing_proves_is_unexplained(minute: Minute, hot: list[float] | None, span: tuple[int, int]) -> None:
    """A difference without evidence, or with evidence that does not come out, stays unexplained."""
    gold = [value for _, value, row in minute.readings if not row.get("is_repeat")]
    assert minute.cause(hot, gold, *span) == "unexplained"
