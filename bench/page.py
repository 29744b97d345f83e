"""The page of results: docs/reference/benches.md with a plot for each bench, made from bench/results.

Belongs here: spelling what the files say. Only full results are shown; quick ones are for those who change something.

    python -m bench.page
"""

import json
from html import escape
from pathlib import Path
from typing import Any

from bench.harness import RESULTS, Result, result_of

_DOCS = Path(__file__).resolve().parent.parent / "docs" / "reference"
_HEADER = """# Benches

Made from `bench/results/` by `python -m bench.page`; `make bench` measures anew, `make bench QUICK=1` all of it small.

The sides of a bench take turns in one run and are warm. Those of gold and query have to agree on the answer; ticks,
backfills and freshness on what they were given. The scripts of ingest find repeats among 250,000 messages only, so they
may have 2 % more readings than the lakehouse, and no less. Times are wall-clock seconds, with the quickest and the
slowest round, or p99 of many; a ratio is ours over theirs, so below 1 is ahead.
Where all sides are ours it is to the first of them. A run that is slower than the kept result by more than 1.3 times
fails, and so does one that takes more than 8 GB with all that it starts, the other sides and their data among it.
"""
_WIDTH, _LEFT, _ROW, _TOP = 720.0, 190.0, 26.0, 8.0


def page(results: list[dict[str, Any]]) -> str:
    """docs/reference/benches.md of results as they are stored."""
    parts = [_HEADER]
    for stored in results:
        result = result_of(stored)
        is_latency, digits = result.amount == 1, result.digits
        rows = [
            f"| {each.side} | {each.median:.{digits}f} | {min(each.seconds):.{digits}f} to {each.p99:.{digits}f} "
            f"| {'' if is_latency else f'{result.amount / each.median:,.0f}'} | {result.ratio(each):.2f} |"
            for each in result.sides
        ]
        machine = f"{stored['measured_on']}, {stored['cores']} cores, {stored['memory_gib']} GiB"
        peak = f"; the bench took {stored['peak_mb']:,} MB at most" if "peak_mb" in stored else ""
        amount = "" if is_latency else f"; {result.amount:,.0f} {result.unit} a round"
        parts.append(
            f"## {result.bench}\n\n{result.what}{amount}. Goal: {result.goal}. "
            f"Measured {machine}{peak}.\n\n![{result.bench}](benches/{result.bench}.svg)\n\n"
            f"| side | median | spread | {result.unit}/s | ratio |\n| --- | --- | --- | --- | --- |\n" + "\n".join(rows)
        )
    return "\n\n".join(part.rstrip("\n") for part in parts) + "\n"


def plot(result: Result) -> str:
    """SVG: a line from the quickest to the slowest round of each side, a dot at the median."""
    longest = max(each.p99 for each in result.sides)

    def x(seconds: float) -> float:
        return _LEFT + (_WIDTH - _LEFT - 80) * seconds / longest

    parts = []
    for number, each in enumerate(result.sides):
        y = _TOP + _ROW * (number + 0.5)
        parts += [
            f'<text x="{_LEFT - 10}" y="{y + 4:.1f}" text-anchor="end">{escape(each.side)}</text>',
            f'<line x1="{_LEFT}" x2="{x(each.median):.1f}" y1="{y:.1f}" y2="{y:.1f}" stroke="#8aa" stroke-width="8"/>',
            f'<line x1="{x(min(each.seconds)):.1f}" x2="{x(each.p99):.1f}" y1="{y:.1f}" y2="{y:.1f}" stroke="#234"/>',
            f'<circle cx="{x(each.median):.1f}" cy="{y:.1f}" r="4" fill="#234"/>',
            f'<text x="{x(each.p99) + 8:.1f}" y="{y + 4:.1f}">{each.median:.3g} s</text>',
        ]
    height = 2 * _TOP + _ROW * len(result.sides)
    style = 'font-family="sans-serif" font-size="13" style="background:#fff"'
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH:.0f} {height:.0f}" {style}>'
        + "".join(parts)
        + "</svg>\n"
    )


def main() -> None:
    """Write the page and the plots of all full results."""
    found = [json.loads(path.read_text()) for path in sorted(RESULTS.glob("*.json")) if "-quick" not in path.stem]
    (_DOCS / "benches").mkdir(exist_ok=True)
    for stored in found:
        (_DOCS / "benches" / f"{stored['bench']}.svg").write_text(plot(result_of(stored)))
    (_DOCS / "benches.md").write_text(page(found))


if __name__ == "__main__":
    main()
