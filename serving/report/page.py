"""The report: one self-contained HTML page on a simulation and what became of it.

Belongs here: putting figures and charts into the template beside this module (`report_template/`). Figures are asked
for in `report_data`, drawn in `report_charts`. The page loads nothing from anywhere.
"""

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from itertools import groupby
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from device_sim.manifest import ManifestSummary
from lake.models.catalog import Model, known_models
from lake.reading.reader import Reader, open_reader
from lake.records import publications
from lake.records.publications import Publication
from lake.records.verdicts import latest_failures
from lake.slices import HOUR, slice_of, slice_start, slices_between
from lake.tables.every import FIXED_TABLES
from pipeline.proof.reconcile import Reconciliation
from runtime.errors import StepError
from runtime.settings import Settings
from runtime.whole_files import write_whole
from serving.report import data as data
from serving.report.charts import HeatRow, Series, heat_map, line_chart, strip
from serving.unit_symbols import SYMBOLS
from transforms.reasons import MEANINGS, Reason

_TEMPLATES = Path(__file__).parent / "template"
_HALF = HOUR / 2
Context = dict[str, Any]


def write_report(
    settings: Settings, manifest: ManifestSummary, result: Reconciliation, path: Path, *, now: datetime
) -> Path:
    """Write the report on what `manifest` sent to `path`; returns it. Raises StepError when nothing is published."""
    publication = publications.newest(settings)
    if publication is None:
        raise StepError("Nothing has been published, so there is nothing to report on: run `lakehouse refresh`.")
    models = known_models(settings)
    with open_reader(settings, models) as reader:
        context = {
            "now": now,
            "settings": settings,
            "manifest": manifest,
            "result": result,
            "publication": publication,
            "published_hours": sum("T" in slice_ for slice_ in publication.slices),
            "is_held_as_meant": any(line.layer == "gate" and line.meets for line in result.lines),
            **_flow(reader, models, manifest),
            **_charts(reader, models, manifest, result.held_hours),
            **_gate(settings, models, publication),
        }
    context["glances"] = [(title, _dedented(sql)) for title, sql in data.GLANCES]
    path.parent.mkdir(parents=True, exist_ok=True)
    write_whole(path, render(context))
    return path


def render(context: Context) -> str:
    """The page of a context; every name that the template uses must be there."""
    environment = Environment(
        loader=FileSystemLoader(_TEMPLATES), autoescape=True, undefined=StrictUndefined, trim_blocks=True,
        lstrip_blocks=True,
    )  # fmt: skip
    environment.filters |= {"count": _count, "moment": _moment}
    return environment.get_template("report.html").render(context)


def _flow(reader: Reader, models: Mapping[str, Model], manifest: ManifestSummary) -> Context:
    counts = data.row_counts(reader)
    rejected = data.rejected_by_reason(reader)
    most = max((n for _, n in rejected), default=1)
    faults = sorted(manifest.faults.items(), key=lambda item: -item[1])
    grains = {table.name: table.grain for table in FIXED_TABLES}
    return {
        "layers": list(data.layer_counts(counts, models)),
        "grains": grains,
        "rejected": [(reason, n, 100 * n / most, _meaning(reason)) for reason, n in rejected],
        "faults": [(name.replace("_", " ").replace("corrupt.", "broken: "), n) for name, n in faults if name != "none"],
        "devices": len(manifest.devices),
    }


def _charts(
    reader: Reader, models: Mapping[str, Model], manifest: ManifestSummary, held_hours: Sequence[str]
) -> Context:
    first, end = (datetime.fromisoformat(str(manifest.arguments[name])) for name in ("start", "end"))
    hours = data.hours_between(first, end)
    held = {hour for hour in hours if slice_of(hour) in held_hours}
    cells = data.completeness(reader, hours[0], end)
    shaded = [(hour, hour + HOUR, f"{slice_of(hour)} is held") for hour in sorted(held)]
    expected, missing = sum(cell.expected for cell in cells), sum(cell.missing for cell in cells)
    context: Context = {
        "heat": Markup(heat_map(list(_heat_rows(cells, hours, held, models)), hours)),
        "complete_pct": 100 * (1 - missing / expected) if expected else 0.0,
        "expected": expected,
        "missing": missing,
        "metric": None,
        "unit": "",
        "day": None,
    }
    metric = data.main_metric(reader)
    if metric is None:
        return context
    unit = SYMBOLS.get(metric[1], metric[1])
    context |= {"metric": metric, "unit": unit}
    fleet = {each.hour_at: each for each in data.fleet_hours(reader, *metric, hours[0], end)}
    known = [fleet.get(hour) for hour in hours]
    lines = [
        Series("p95", "hot", _values(known, "p95")),
        Series("median", "mild", _values(known, "p50"), _values(known, "low"), _values(known, "high")),
    ]
    # the value of an hour stands at its start, and so does the shade of one that is held
    around = [(hour - _HALF, hour + _HALF, words) for hour, _, words in shaded]
    context["fleet"] = Markup(line_chart(hours, lines, unit, around))
    day = data.telling_day(reader, *metric, hours[0], end)
    if day is not None:
        moments = data.buckets_of_day(day.day)
        buckets = {bucket.at: bucket for bucket in day.buckets}
        found = [buckets.get(moment) for moment in moments]
        line = Series("mean", "mild", _values(found, "mean"), _values(found, "low"), _values(found, "high"))
        ours = [(start, stop, words) for start, stop, words in shaded if start.date() == day.day]
        context["day"] = day
        context["day_chart"] = Markup(line_chart(moments, [line], unit, ours))
    return context


def _values(points: Sequence[object | None], name: str) -> list[float | None]:
    return [None if point is None else float(getattr(point, name)) for point in points]


def _heat_rows(
    cells: Sequence[data.Cell], hours: Sequence[datetime], held: set[datetime], models: Mapping[str, Model]
) -> Iterator[HeatRow]:
    for (model_id, device_id), group in groupby(cells, key=lambda cell: (cell.model_id, cell.device_id)):
        by_hour = {cell.hour_at: cell for cell in group}
        drawn = [_heat_cell(by_hour.get(hour), hour, hour in held) for hour in hours]
        name = models[model_id].display_name if model_id in models else model_id or "no model"
        yield HeatRow(device_id, name, [state for state, _ in drawn], [title for _, title in drawn])


def _heat_cell(cell: data.Cell | None, hour: datetime, is_held: bool) -> tuple[str, str]:
    """(state, title); hours that are as they should be have no title and run together."""
    if is_held:
        return "held", ""
    if cell is None or cell.expected == 0:
        return "idle", ""
    share = 1 - cell.missing / cell.expected
    if share >= 0.95:
        return "full", ""
    state = "most" if share >= 0.7 else "some" if share >= 0.3 else "few" if share > 0 else "none"
    return state, f"{slice_of(hour)}: {cell.missing} of {cell.expected} missing"


def _gate(settings: Settings, models: Mapping[str, Model], publication: Publication) -> Context:
    judged = data.judged_tables(settings, models, publication)
    slices = [verdict for each in judged for verdict in each.verdicts.values()]
    return {
        "held": latest_failures(settings),
        "releases": publication.releases,
        "judged": [(each, Markup(_verdict_strip(each, publication))) for each in judged],
        "verdict_count": len(slices),
        "failing_count": sum(bool(verdict.failures) for verdict in slices),
        "check_count": sum(len(each.checks) for each in judged),
    }


def _verdict_strip(judged: data.Judged, publication: Publication) -> str:
    """The verdicts in order; an hourly table has a cell for every hour of the publication, judged or not."""
    slices = sorted(judged.verdicts)
    if all("T" in slice_ for slice_ in slices) and publication.first_slice:
        slices = slices_between(min(slices[0], publication.first_slice), max(slices[-1], publication.last_slice))
    drawn = [_verdict_cell(judged, slice_) for slice_ in slices]
    return strip([state for state, _ in drawn], [title for _, title in drawn])


def _verdict_cell(judged: data.Judged, slice_: str) -> tuple[str, str]:
    verdict = judged.verdicts.get(slice_)
    if verdict is None:
        return "idle", f"{slice_}: not judged in this publication"
    if verdict.released_by is not None:
        return "most", f"{slice_}: released by {verdict.released_by}"
    return ("full", "") if verdict.is_passing else ("held", f"{slice_}: held")


def _meaning(reason: str) -> str:
    return MEANINGS[Reason(reason)] if reason in set(Reason) else ""


def _dedented(sql: str) -> str:
    lines = sql.strip().splitlines()
    return "\n".join([lines[0], *(line.removeprefix(" " * 8) for line in lines[1:])])


def _count(number: int) -> str:
    return f"{number:,}".replace(",", "\u2009")


def _moment(moment: datetime | str) -> str:
    at = slice_start(moment) if isinstance(moment, str) else moment
    return f"{at.day} {at:%B %Y, %H:%M} UTC"
