"""Pictures of a mailed report as PNG: lines over time.

Belongs here: turning numbers into a picture, since mail programs show no SVG. Names stand in the mail's own text, where
every script can be read; the picture has numbers and dates only. On white, since a mail's background is not known.
"""

import io
from collections.abc import Sequence
from datetime import datetime
from itertools import groupby

from PIL import Image, ImageDraw, ImageFont

from serving.report.charts import nice_ticks

COLOURS = ("#0b62a4", "#c05000", "#2e7d32", "#7b1fa2", "#00838f", "#ad1457", "#5d4037", "#455a64")
"""One a line, in this order; all are dark on white."""
WIDTH, HEIGHT = 600, 220
_SHARP = 2  # pixels a point, for screens that have them
_SMOOTH = 2  # drawn larger than that and made smaller, so that lines have no steps
_LEFT, _RIGHT, _TOP, _BOTTOM = 46, 8, 8, 34
_GRID, _TEXT = "#d9dee3", "#454f59"


def line_picture(moments: Sequence[datetime], lines: Sequence[Sequence[float | None]]) -> bytes:
    """Lines over time, broken where there is no value; a lone value is a dot. `moments` are in order, in UTC."""
    scale = _SHARP * _SMOOTH
    image = Image.new("RGB", (WIDTH * scale, HEIGHT * scale), "white")
    draw = ImageDraw.Draw(image)
    font = ImageFont.load_default(11 * scale)
    values = [value for line in lines for value in line if value is not None]
    ticks = nice_ticks(min(values), max(values)) if values else [0.0, 1.0]
    span_s = max((moments[-1] - moments[0]).total_seconds(), 1.0) if moments else 1.0

    def x(moment: datetime) -> float:
        share = (moment - moments[0]).total_seconds() / span_s
        return (_LEFT + (WIDTH - _LEFT - _RIGHT) * share) * scale

    def y(value: float) -> float:
        share = (value - ticks[0]) / (ticks[-1] - ticks[0])
        return (HEIGHT - _BOTTOM - (HEIGHT - _TOP - _BOTTOM) * share) * scale

    for tick in ticks:
        draw.line([(_LEFT * scale, y(tick)), ((WIDTH - _RIGHT) * scale, y(tick))], _GRID, scale)
        draw.text(((_LEFT - 6) * scale, y(tick)), f"{tick:g}", _TEXT, font, anchor="rm")
    for moment in _labelled(moments):
        draw.text((x(moment), (HEIGHT - _BOTTOM + 8) * scale), f"{moment.day} {moment:%b}", _TEXT, font, anchor="mt")
    for place, line in enumerate(lines):
        colour = COLOURS[place % len(COLOURS)]
        for is_there, stretch in groupby(zip(moments, line, strict=True), key=lambda point: point[1] is not None):
            if is_there:
                points = [(x(moment), y(value)) for moment, value in stretch if value is not None]
                _stroke(draw, points, colour, 2 * scale)
    small = image.resize((WIDTH * _SHARP, HEIGHT * _SHARP), Image.Resampling.LANCZOS)
    made = io.BytesIO()
    small.convert("P", palette=Image.Palette.ADAPTIVE, colors=64).save(made, "PNG", optimize=True)
    return made.getvalue()


def _stroke(draw: ImageDraw.ImageDraw, points: Sequence[tuple[float, float]], colour: str, width: int) -> None:
    if len(points) > 1:
        draw.line(list(points), colour, width, joint="curve")
        return
    ((left, top),) = points
    draw.ellipse([(left - width, top - width), (left + width, top + width)], colour)


def _labelled(moments: Sequence[datetime]) -> list[datetime]:
    """Midnights, at most ten of them."""
    midnights = [moment for moment in moments if moment.hour == 0 and moment.minute == 0]
    return midnights[:: max(1, -(-len(midnights) // 10))]
