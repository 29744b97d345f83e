"""The report's charts and page: what they draw, and that the page needs nothing but itself."""

import re
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from device_sim.manifest import ManifestSummary
from lake.records.publications import Publication
from lake.records.verdicts import Failure, Verdict
from pipeline.gate.suites import slice_suite
from pipeline.proof.reconcile import Line, Reconciliation
from pipeline.proof.reconcile_messages import Difference
from runtime.settings import Settings
from serving.report.charts import HeatRow, Series, heat_map, line_chart, nice_ticks, strip
from serving.report.data import Cell, DeviceDay, Judged, hours_between
from serving.report.page import _TEMPLATES, Context, _heat_cell, render

START = datetime(2026, 11, 20, 5, tzinfo=UTC)
HOURS = [START + timedelta(hours=i) for i in range(4)]


def lines_in(svg: str, css: str) -> list[str]:
    """The separate strokes of a line."""
    path = re.search(rf'<path class="line {css}" d="([^"]*)"', svg)
    assert path is not None
    return [stroke for stroke in path[1].split("M") if stroke]


def cells_in(svg: str) -> list[tuple[str, float, float]]:
    """(class, x, width) of each cell."""
    found = re.findall(r'<rect class="c-(\w+)" x="([\d.]+)" y="[\d.]+" width="([\d.]+)"', svg)
    return [(css, float(x), float(width)) for css, x, width in found]


@pytest.mark.parametrize(
    ("low", "high", "ticks"),
    [
        (0.3, 9.7, [0, 2, 4, 6, 8, 10]),
        (18.2, 22.9, [18, 19, 20, 21, 22, 23]),
        (5.0, 5.0, [5, 6]),
        (-0.04, 0.04, [-0.04, -0.02, 0, 0.02, 0.04]),
    ],
)
def test_ticks_are_round_and_cover_the_values(low: float, high: float, ticks: list[float]) -> None:
    """Ticks start at or below the least value, end at or above the greatest, and are round numbers."""
    assert nice_ticks(low, high) == ticks


def test_a_gap_breaks_the_line() -> None:
    """Where values are missing nothing is drawn across, and a lone value is still seen."""
    svg = line_chart(HOURS, [Series("a", "mild", [1.0, 2.0, None, 3.0])], "degc")
    assert [len(stroke.split("L")) for stroke in lines_in(svg, "mild")] == [2, 1]
    assert lines_in(svg, "mild")[1].endswith("h0")


def test_greater_values_are_drawn_higher() -> None:
    """The vertical axis points up, and time goes to the right."""
    stroke = lines_in(line_chart(HOURS[:2], [Series("a", "mild", [1.0, 2.0])], "degc"), "mild")[0]
    (x1, y1), (x2, y2) = ([float(number) for number in point.split()] for point in stroke.split("L"))
    assert x1 < x2
    assert y1 > y2


def test_a_band_is_closed_for_each_stretch() -> None:
    """A band is an area a stretch without gaps, between the least and the greatest values."""
    series = Series("a", "mild", [1.0, 1.0, None, 1.0], [0.0, 0.0, None, 0.0], [2.0, 2.0, None, 2.0])
    band = re.search(r'class="band mild" d="([^"]*)"', line_chart(HOURS, [series], "degc"))
    assert band is not None
    assert band[1].count("Z") == 2


def test_marked_periods_are_named() -> None:
    """A held hour is shaded and says so, with its text escaped."""
    svg = line_chart(HOURS, [Series("a", "mild", [1.0] * 4)], "degc", [(HOURS[1], HOURS[2], "<held>")])
    assert "&lt;held&gt;" in svg
    assert "<held>" not in svg


@pytest.mark.parametrize("values", [[], [None, None, None, None]])
def test_a_chart_without_values_says_so(values: list[float | None]) -> None:
    """Nothing to draw is words, not an empty frame or an error."""
    assert "No values" in line_chart(HOURS[: len(values)], [Series("a", "mild", values)], "degc")


def test_neighbours_that_say_the_same_are_one_cell() -> None:
    """Cells run together while state and words are equal, and each covers as many hours as it stands for."""
    row = HeatRow("d1", "Pump", ["full", "full", "none", "full"], ["", "", "05: 60 of 60 missing", ""])
    svg = heat_map([row], HOURS)
    states = [css for css, _, _ in cells_in(svg)]
    widths = [width for _, _, width in cells_in(svg)]
    assert states == ["full", "none", "full"]
    assert widths[0] == pytest.approx(2 * widths[1], abs=0.02)
    assert "<title>d1 05: 60 of 60 missing</title>" in svg


def test_groups_of_a_heat_map_are_named_and_counted() -> None:
    """Each model stands at the left of its devices."""
    rows = [HeatRow(f"d{i}", group, ["full"] * 4, [""] * 4) for i, group in enumerate(["Pump", "Pump", "Meter"])]
    svg = heat_map(rows, HOURS)
    assert ">Pump</text>" in svg
    assert ">2 devices</text>" in svg
    assert ">1 device</text>" in svg


@pytest.mark.parametrize(
    ("missing", "expected", "state"),
    [
        (0, 60, "full"),
        (3, 60, "full"),
        (10, 60, "most"),
        (30, 60, "some"),
        (59, 60, "few"),
        (60, 60, "none"),
        (0, 0, "idle"),
    ],
)
def test_a_device_hour_is_coloured_by_what_is_missing(missing: int, expected: int, state: str) -> None:
    """An outage is told from gaps, and both from an hour in which nothing was due."""
    cell = Cell("d1", "m", START, expected, missing, 0)
    assert _heat_cell(cell, START, False)[0] == state
    assert _heat_cell(cell, START, True)[0] == "held"


def test_hours_between_covers_broken_hours() -> None:
    """A span that starts and ends amid hours has both of them."""
    span = hours_between(START + timedelta(minutes=20), START + timedelta(hours=1, minutes=10))
    assert span == [START, START + timedelta(hours=1)]
    assert hours_between(START, START + timedelta(hours=2)) == span


def context(result: Reconciliation, **changes: Any) -> Context:
    """All that the template needs, small."""
    failure = Failure("rejected_share", "reason", 0.3, 0.05, "30 % of <thermostats> were rejected")
    verdict = Verdict("silver.thermostats", "2026-11-20T05", "{}", False, (failure,), 30, "digest", "run", START)
    arguments = {"hours": 48.0, "seed": 7}
    manifest = ManifestSummary(
        "run", Path("m.parquet"), Path("m.json"), 100, 3, {}, {"none": 90}, {}, False, 1.0, arguments
    )
    publication = Publication(
        4, START, {"gold.devices": 9}, {"silver.devices": 2}, ("2026-11-20T06",), (), (), "2026-11-20T05",
        "2026-11-20T06", {"dtmi:x;1": "abcdef"}, "1.0", "run-17",
    )  # fmt: skip
    judged = Judged("silver.rejected", {"2026-11-20T05": verdict}, tuple((c, 1) for c in slice_suite().checks))
    return {
        "now": START, "settings": Settings(home=Path("/h"), lake_uri="/h/lake"), "manifest": manifest, "result": result,
        "publication": publication, "published_hours": 1, "layers": [("gold", [("gold.devices", 3)])], "grains": {},
        "rejected": [("not_json", 3, 100.0, "Not JSON")], "faults": [("late", 7)], "devices": 3, "heat": "",
        "complete_pct": 97.25, "expected": 100, "missing": 3, "metric": ("temperature", "degc"), "unit": "°C",
        "is_held_as_meant": True, "fleet": "",
        "day": DeviceDay("d<1>", "aarhus", date(2026, 11, 20), 3, 60, ()), "day_chart": "", "held": [verdict],
        "releases": [{"slice": "2026-11-20T04", "table": "t", "who": "eve", "when": "now", "why": "seen & known"}],
        "judged": [(judged, "")], "verdict_count": 1, "failing_count": 1, "check_count": 5,
        "glances": [("How many?", "SELECT 1 < 2")],
    } | changes  # fmt: skip


GOOD = Reconciliation("run", (Line("bronze", "messages sent", 5, 5),), held_hours=("2026-11-20T05",))


def test_the_page_says_that_all_meets() -> None:
    """The headline is good only when every line meets, and the held hour is named beside it."""
    page = render(context(GOOD))
    assert "Every message is where it should be." in page
    assert "The layers do not meet." not in page
    assert "2026-11-20T05" in page
    assert 'class="tag bad">differs' not in page


def test_the_page_says_what_does_not_meet() -> None:
    """A line that differs turns the headline, is marked, and the first differences are shown."""
    bad = replace(
        GOOD,
        lines=(*GOOD.lines, Line("silver", "readings", 1_234_567, 4)),
        differences=(Difference("silver", "telemetry /devices/d1 7", "reading", "not in silver"),),
    )
    page = render(context(bad))
    assert "The layers do not meet." in page
    assert "1 of 2 comparisons differ" in page
    assert page.count('class="tag bad">differs') == 1
    assert "1\u2009234\u2009567" in page
    assert "telemetry /devices/d1 7" in page


def test_the_page_shows_the_gate_and_the_publication() -> None:
    """Why a slice is held, who released another, which expectation failed, and the pinned versions."""
    page = render(context(GOOD))
    for words in ("eve", "run-17", "every record is there", "97.2 %", "Publication 4", "--as-of 4"):
        assert words in page


def test_what_devices_say_is_escaped() -> None:
    """Names and reasons are text, never markup."""
    page = render(context(GOOD))
    assert "30 % of &lt;thermostats&gt; were rejected" in page
    assert "d&lt;1&gt;" in page
    assert "seen &amp; known" in page
    assert "<thermostats>" not in page


def test_the_page_needs_nothing_but_itself() -> None:
    """No script, no style sheet, no image, no font and no address: it opens on a machine without a network."""
    page = render(context(GOOD))
    assert re.findall(r"https?://|//\w|<script|<link|<img|@import|url\(|\bsrc=|\bhref=", page) == []


def classes(texts: Sequence[str]) -> set[str]:
    return {name for text in texts for value in re.findall(r'class="([^"{]*)"', text) for name in value.split()}


def test_every_state_has_a_colour() -> None:
    """Cells, lines, bands and legends are drawn in classes that the style knows, in light and in dark."""
    style = (_TEMPLATES / "style.css").read_text()
    states = ["full", "most", "some", "few", "none", "held", "idle"]
    chart = line_chart(HOURS, [Series(css, css, [1.0] * 4, [0.0] * 4, [2.0] * 4) for css in ("mild", "hot")], "degc",
                       [(HOURS[0], HOURS[1], "held")])  # fmt: skip
    drawn = classes([strip(states, [""] * len(states)), chart, (_TEMPLATES / "report.html").read_text()])
    unstyled = {name for name in drawn if not re.search(rf"\.{re.escape(name)}\b", style)}
    assert unstyled == set()
    light, dark = style.split("@media (prefers-color-scheme: dark)")[0], style.split("color-scheme: dark)")[1]
    variables = set(re.findall(r"--[\w-]+(?=:)", light))
    assert variables == set(re.findall(r"--[\w-]+(?=:)", dark.split("* {")[0]))
    assert set(re.findall(r"var\((--[\w-]+)\)", style)) <= variables
