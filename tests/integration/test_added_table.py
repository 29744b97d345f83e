"""A gold table added by its declaration and its dbt model alone, in a copy of the project, goes the whole way."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.support.old_lakes import unpacked

ROOT = Path(__file__).resolve().parents[2]
CONTRACT = "tests/unit/pipeline/test_dbt_contract.py"
DECLARATION = """
SITE_HOURS = gold_table(
    "site_hours",
    "site, metric, unit and hour with readings",
    (
        *required(
            ("site_id", "string", "Where the devices stood; 'unknown' without one"),
            ("metric_name", "string", "The telemetry's name in its model"),
            ("unit", "string", "Unit of the value columns"),
            ("hour_at", "timestamp", "Start of the hour"),
        ),
        *EVENT_SLICE,
        *required(
            ("reading_count", "bigint", "Readings in the hour"),
            ("value_min", "double", "Smallest value"),
            ("value_max", "double", "Largest value"),
        ),
    ),
    ("site_id", "metric_name", "unit", "hour_at"),
    Period("hour_at", HOUR),
    "hour",
    adds_up=(AddsUp("agrees_with_devices", "{observed:metric} that those of the devices contradict",
                    ("metric_name", "unit"), DEVICE_HOURS.name),),
)

GOLD_TABLES = (
    SITE_HOURS,
    """
MODEL = """with

device_hours as (

    select * from {{ ref('device_hours') }}

),

final as (

    select
        coalesce(site_id, 'unknown') as site_id,
        metric_name,
        unit,
        hour_at,
        event_date,
        event_hour,
        sum(reading_count)::bigint as reading_count,
        min(value_min) as value_min,
        max(value_max) as value_max
    from device_hours
    group by all

)

select * from final
"""
COLUMNS = {
    "site_id": ("varchar", "Where the devices stood; 'unknown' without one"),
    "metric_name": ("varchar", "The telemetry's name in its model"),
    "unit": ("varchar", "Unit of the value columns"),
    "hour_at": ("timestamp with time zone", "Start of the hour"),
    "event_date": ("date", "UTC date of the period"),
    "event_hour": ("integer", "UTC hour of the period, 0 to 23"),
    "reading_count": ("bigint", "Readings in the hour"),
    "value_min": ("double", "Smallest value"),
    "value_max": ("double", "Largest value"),
}
YML = {
    "models": [
        {
            "name": "site_hours",
            "description": "One row per site, metric, unit and hour with readings.",
            "data_tests": [
                {"unique_key": {"arguments": {"columns": ["site_id", "metric_name", "unit", "hour_at"]}}},
                {"never_null": {"arguments": {"columns": list(COLUMNS)}}},
            ],
            "columns": [{"name": n, "data_type": t, "description": d} for n, (t, d) in COLUMNS.items()],
        }
    ]
}
SCRIPT = """
import json, sys
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from lake.models.catalog import known_models
from lake.reading.reader import open_reader
from pipeline.gold.gold_refresh import refresh_gold
from pipeline.proof.lineage import trace_message, trace_row
from pipeline.run import Run
from runtime.settings import load_settings

settings = load_settings()
models = known_models(settings)
run = Run(settings, models, sys.argv[1], datetime.now(UTC))
outcome = refresh_gold(run, ["2026-11-20T04", "2026-11-20T05", "2026-11-20T06"])
held = sorted({(v.slice, v.table, f.expectation) for v in outcome.held for f in v.failures})
found = {"held": held, "judged": sorted(v.slice for v in outcome.verdicts if v.table == "gold.site_hours")}
if outcome.publication is not None:
    with open_reader(settings, models) as reader:
        ask = lambda table: reader.run(f"SELECT sum(reading_count)::INT, max(value_max) FROM {table}").fetchone()
        found["sums"] = [ask("gold.site_hours"), ask("gold.device_hours")]
        key = reader.run("SELECT * EXCLUDE hour_at, hour_at::VARCHAR AS hour_at FROM gold.site_hours LIMIT 1")
        names = [column[0] for column in key.description]
        row = dict(zip(names, key.fetchone()))
        place = reader.run("SELECT topic, \\"partition\\", \\"offset\\" FROM silver.thermostats LIMIT 1").fetchone()
    named = {name: str(row[name]) for name in ("site_id", "metric_name", "unit", "hour_at")}
    found["traced"] = [len(trace_row(settings, models, "gold.site_hours", named).readings), row["reading_count"]]
    found["counts_in"] = sorted({table for table, _ in trace_message(settings, models, *place).gold})
print(json.dumps(found))
"""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A copy of the project with one more gold table: its declaration, and its dbt model."""
    copy = tmp_path / "project"
    ignored = shutil.ignore_patterns("__pycache__", "target", "logs", ".*")
    for room in (path.parent for path in ROOT.glob("*/__init__.py") if path.parent.name not in ("tests", "bench")):
        shutil.copytree(room, copy / room.name, ignore=ignored)
    shutil.copytree(ROOT / "dbt", copy / "dbt", ignore=ignored)
    (copy / CONTRACT).parent.mkdir(parents=True)
    shutil.copy(ROOT / CONTRACT, copy / CONTRACT)
    shutil.copy(ROOT / "pyproject.toml", copy / "pyproject.toml")
    declared = copy / "lake" / "tables" / "gold.py"
    text = declared.read_text()
    assert "\nGOLD_TABLES = (" in text
    declared.write_text(text.replace("\nGOLD_TABLES = (", DECLARATION))
    (copy / "dbt" / "models" / "cold" / "site_hours.sql").write_text(MODEL)
    (copy / "dbt" / "models" / "cold" / "site_hours.yml").write_text(json.dumps(YML))  # JSON is YAML
    return copy


def run(project: Path, home: Path, *arguments: str, spark: str = "") -> subprocess.CompletedProcess[str]:
    """A Python of the copy, over the home; where it needs Spark, on the one at an address."""
    ours = {name: value for name, value in os.environ.items() if not name.startswith(("LAKEHOUSE_", "PYTEST"))}
    environment = ours | {
        "PYTHONPATH": str(project), "LAKEHOUSE_HOME": str(home), "LAKEHOUSE_LAKE_URI": str(home / "lake"),
    } | ({"LAKEHOUSE_SPARK": spark} if spark else {})  # fmt: skip
    return subprocess.run(
        [sys.executable, *arguments], cwd=project, env=environment, capture_output=True, text=True, timeout=500
    )


def refreshed(project: Path, home: Path, run_id: str) -> dict[str, Any]:
    """What building, judging and publishing all hours comes to."""
    result = run(project, home, "-c", SCRIPT, run_id)
    assert result.returncode == 0, result.stderr
    found: dict[str, Any] = json.loads(result.stdout.splitlines()[-1])
    return found


def test_a_table_added_in_two_places_goes_the_whole_way(project: Path, tmp_path: Path, spark_address: str) -> None:
    """It is published with what it sums up, held when it does not add up, and known to traces, proofs and pages."""
    home = unpacked(tmp_path / "home", 1).home
    hours = ["2026-11-20T04", "2026-11-20T05", "2026-11-20T06"]

    model = project / "dbt" / "models" / "cold" / "site_hours.sql"
    model.write_text(MODEL.replace("sum(reading_count)::bigint", "sum(reading_count)::bigint + 1"))
    wrong = refreshed(project, home, "wrong")
    assert [each for each in wrong["held"] if each[0] != "all"] == [
        [hour, "gold.site_hours", "agrees_with_devices"] for hour in hours
    ]

    model.write_text(MODEL)
    found = refreshed(project, home, "right")
    assert (found["held"], found["judged"]) == ([], hours)
    assert found["sums"][0] == found["sums"][1]
    assert found["traced"][0] == found["traced"][1] > 0
    assert "gold.site_hours" in found["counts_in"]

    assert "### gold.site_hours" in run(project, home, "-m", "lake.reference").stdout
    contract = run(project, home, "-m", "pytest", "-q", "-p", "no:cacheprovider", CONTRACT)
    assert contract.returncode == 0, contract.stdout
    verified = run(project, home, "-m", "lakehouse.cli", "verify", "--json", spark=spark_address)
    compared = {each["table"]: each for each in json.loads(verified.stdout)["tables"]}
    ours = compared["gold.site_hours"]
    assert (ours["rows"], ours["differing"], ours["problem"]) == (33, 0, None)
