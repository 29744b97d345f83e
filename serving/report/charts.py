"""Charts of the report as inline SVG: a heat map, lines with bands, strips of verdicts.

Belongs here: turning numbers into SVG text. No colours: each shape has a class, and the template's style gives it one
for light and dark. Where the numbers come from is in `data`.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from html import escape
from itertools import groupby

from runtime.wording import counted

_LEFT, _RIGHT, _TOP, _BOTTOM = 52.0, 12.0, 10.0, 40.0
_WIDTH = 1000.0


@dataclass(frozen=True)
class Series:
    """One line, by moment; None breaks it. `low` and `high`, when given, draw a band around it."""

    name: str
    css: str
    values: Sequence[float | None]
    low: Sequence[float | None] = field(default=())
    high: Sequence[float | None] = field(default=())


@dataclass(frozen=True)
class HeatRow:
    """A row of cells: `states` are class names, `titles` what the cells say when pointed at ('' for nothing)."""

    label: str
    group: str
    states: Sequence[str]
    titles: Sequence[str]


def line_chart(
    moments: Sequence[datetime],
    series: Sequence[Series],
    unit: str,
    marked: Sequence[tuple[datetime, datetime, str]] = (),
    height: float = 280.0,
) -> str:
    """Lines over time, left to right from the first to the last of `moments`; `marked` periods are shaded and named."""
    numbers = [v for s in series for values in (s.values, s.low, s.high) for v in values if v is not None]
    if len(moments) < 2 or not numbers:
        return '<p class="empty">No values to draw.</p>'
    first, span_s = moments[0], (moments[-1] - moments[0]).total_seconds()
    ticks = nice_ticks(min(numbers), max(numbers))
    bottom = height - _BOTTOM

    def x(moment: datetime) -> float:
        share = (moment - first).total_seconds() / span_s
        return _LEFT + (_WIDTH - _LEFT - _RIGHT) * min(max(share, 0.0), 1.0)

    def y(value: float) -> float:
        return bottom - (bottom - _TOP) * (value - ticks[0]) / (ticks[-1] - ticks[0])

    parts = []
    for start, end, name in marked:
        width = max(x(end) - x(start), 2.0)
        parts.append(
            f'<rect class="held-band" x="{x(start):.1f}" y="{_TOP}" width="{width:.1f}" height="{bottom - _TOP:.1f}">'
            f"<title>{escape(name)}</title></rect>"
        )
    for tick in ticks:
        parts.append(f'<line class="grid" x1="{_LEFT}" x2="{_WIDTH - _RIGHT}" y1="{y(tick):.1f}" y2="{y(tick):.1f}"/>')
        parts.append(f'<text x="{_LEFT - 8}" y="{y(tick) + 4:.1f}" text-anchor="end">{tick:g}</text>')
    parts += _time_axis(moments, x, bottom)
    for each in series:
        if each.low:
            parts.append(f'<path class="band {each.css}" d="{_band(moments, each, x, y)}"/>')
        parts.append(f'<path class="line {each.css}" d="{_line(moments, each.values, x, y)}"/>')
    return _svg(height, parts, f"{', '.join(s.name for s in series)} in {unit}")


def heat_map(rows: Sequence[HeatRow], hours: Sequence[datetime], cell_height: float = 4.0) -> str:
    """A row of cells a device, a column an hour; groups of rows are named at the left."""
    if not rows or not hours:
        return '<p class="empty">No hours to draw.</p>'
    left, gap = 118.0, 10.0
    width = (_WIDTH - left - _RIGHT) / len(hours)
    parts, top = [], _TOP
    for group, members in groupby(rows, key=lambda row: row.group):
        block = list(members)
        middle = top + len(block) * cell_height / 2
        parts.append(f'<text class="strong" x="{left - 10}" y="{middle - 2:.1f}" text-anchor="end">'
                     f"{escape(group)}</text>")  # fmt: skip
        parts.append(f'<text x="{left - 10}" y="{middle + 13:.1f}" text-anchor="end">'
                     f"{counted(len(block), 'device')}</text>")  # fmt: skip
        for row in block:
            parts += _cells(row, left, top, width, cell_height)
            top += cell_height
        top += gap
    bottom = top - gap + 4

    def x(moment: datetime) -> float:
        return left + width * (moment - hours[0]).total_seconds() / 3600

    parts += _time_axis(hours, x, bottom)
    return _svg(bottom + _BOTTOM, parts, "Completeness of each device in each hour")


def strip(states: Sequence[str], titles: Sequence[str]) -> str:
    """One row of small cells, as wide as its place."""
    row = HeatRow("", "", states, titles)
    cells = "".join(_cells(row, 0.0, 0.0, 10.0, 14.0))
    return (
        f'<svg class="strip" viewBox="0 0 {10 * len(states)} 14" preserveAspectRatio="none" role="img" '
        f'aria-label="{escape(counted(len(states), "slice"))}">{cells}</svg>'
    )


def nice_ticks(low: float, high: float, count: int = 5) -> list[float]:
    """Round numbers from at or below `low` to at or above `high`, some `count` of them."""
    span = high - low or abs(high) or 1.0
    raw = span / count
    magnitude = 10.0 ** math.floor(math.log10(raw))
    step = next(m * magnitude for m in (1, 2, 2.5, 5, 10) if m * magnitude >= raw * 0.999)
    first = math.floor(low / step)
    last = max(math.ceil(high / step), first + 1)
    return [round(i * step, 10) for i in range(first, last + 1)]


def _svg(height: float, parts: Sequence[str], label: str) -> str:
    return (
        f'<div class="chart"><svg viewBox="0 0 {_WIDTH:g} {height:g}" role="img" aria-label="{escape(label)}">'
        f"{''.join(parts)}</svg></div>"
    )


def _time_axis(moments: Sequence[datetime], x: Callable[[datetime], float], bottom: float) -> Iterator[str]:
    """Hours every six (fewer when there is little room), and the day under its first."""
    hours = (moments[-1] - moments[0]).total_seconds() / 3600
    every = 6 if hours <= 80 else 24
    last_day = None
    for moment in moments:
        if moment.minute or (moment.hour % every and hours > 8):
            continue
        yield f'<line class="tick" x1="{x(moment):.1f}" x2="{x(moment):.1f}" y1="{bottom:.1f}" y2="{bottom + 4:.1f}"/>'
        yield f'<text x="{x(moment):.1f}" y="{bottom + 17:.1f}" text-anchor="middle">{moment:%H}</text>'
        if moment.date() != last_day:
            last_day = moment.date()
            yield (
                f'<text class="strong" x="{x(moment):.1f}" y="{bottom + 33:.1f}" text-anchor="middle">'
                f"{moment.day} {moment:%b}</text>"
            )


def _cells(row: HeatRow, left: float, top: float, width: float, height: float) -> Iterator[str]:
    """Neighbouring cells that say the same are one rectangle: a fleet has thousands."""
    position = 0
    for (state, title), cells in groupby(zip(row.states, row.titles, strict=True)):
        count = len(list(cells))
        x, wide = left + position * width, count * width
        words = f"{row.label} {title}".strip() if title else ""
        shape = f'class="c-{state}" x="{x:.2f}" y="{top:.1f}" width="{wide:.2f}" height="{height:g}"'
        yield f"<rect {shape}><title>{escape(words)}</title></rect>" if words else f"<rect {shape}/>"
        position += count


def _line(
    moments: Sequence[datetime],
    values: Sequence[float | None],
    x: Callable[[datetime], float],
    y: Callable[[float], float],
) -> str:
    path: list[str] = []
    for is_there, stretch in groupby(zip(moments, values, strict=True), key=lambda point: point[1] is not None):
        if is_there:
            points = [f"{x(moment):.1f} {y(value):.1f}" for moment, value in stretch if value is not None]
            # a lone point is drawn as a dot, by a line of no length with round ends
            path.append(f"M{'L'.join(points)}" if len(points) > 1 else f"M{points[0]}h0")
    return "".join(path)


def _band(
    moments: Sequence[datetime], series: Series, x: Callable[[datetime], float], y: Callable[[float], float]
) -> str:
    """A closed area for each stretch without a gap."""
    path: list[str] = []
    points = [
        None if low is None or high is None else (x(moment), y(low), y(high))
        for moment, low, high in zip(moments, series.low, series.high, strict=True)
    ]
    for is_there, stretch in groupby(points, key=lambda point: point is not None):
        if is_there:
            known = [point for point in stretch if point is not None]
            upper = "L".join(f"{at:.1f} {high:.1f}" for at, _, high in known)
            lower = "L".join(f"{at:.1f} {low:.1f}" for at, low, _ in reversed(known))
            path.append(f"M{upper}L{lower}Z")
    return "".join(path)
