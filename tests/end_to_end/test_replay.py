"""Recorded data, replayed through the whole line, against DuckDB on the file itself."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import duckdb
import pytest

from runtime.settings import Settings
from tests.end_to_end.lakehouse import lakehouse, query

RECORDING = Path(__file__).resolve().parents[1] / "data" / "ambient_temperature.csv"

ROWS = 500
MODEL = {
    "@context": "dtmi:dtdl:context;2",
    "@id": "dtmi:example:office;1",
    "@type": "Interface",
    "displayName": "Office thermometer",
    "contents": [
        {"@type": ["Telemetry", "Temperature"], "name": "temperature", "schema": "double", "unit": "degreeFahrenheit"}
    ],
}
QUALITY = {"reporting_interval_s": 3600, "ranges": {"temperature": [-40, 150]}}
HOURS = """
    SELECT strftime(date_trunc('hour', timestamp), '%Y-%m-%dT%H') AS hour, count(*) AS reading_count,
        min(value) AS value_min, max(value) AS value_max, avg(value) AS value_mean,
        arg_max(value, timestamp) AS value_last, quantile_cont(value, 0.5) AS value_p50,
        quantile_cont(value, 0.95) AS value_p95
    FROM read_csv('{path}', columns = {{'timestamp': 'TIMESTAMP', 'value': 'DOUBLE'}}, header = true)
    GROUP BY ALL ORDER BY hour
"""
# of another device, years before: a reading in eleven days
SPARSE = [datetime(2010, 1, 1, 12, tzinfo=UTC) + n * timedelta(days=11) for n in range(30)]


@pytest.mark.timeout(900)
def test_gold_hours_equal_what_duckdb_computes_from_the_file(settings: Settings, tmp_path: Path) -> None:
    """Every figure of every hour is the one that the file gives, a silence costs no hour, and a second replay changes
    nothing."""
    recording = tmp_path / "ambient_temperature.csv"
    # three weeks of it: the point is equality, and each hour is a slice of its own
    recording.write_text("".join(RECORDING.read_text().splitlines(keepends=True)[:ROWS]))
    model, quality = tmp_path / "office.json", tmp_path / "office.quality.json"
    model.write_text(json.dumps(MODEL))
    quality.write_text(json.dumps(QUALITY))
    lakehouse(settings, "models", "add", str(model), "--quality", str(quality))
    replay = ["replay", str(recording), "--model", "dtmi:example:office;1", "--device", "office-1"]
    replay += ["--time-column", "timestamp", "--map", "value=temperature"]
    lakehouse(settings, *replay)
    sparse = tmp_path / "sparse.csv"
    sparse.write_text("time,temperature\n" + "".join(f"{at:%FT%TZ},{n}\n" for n, at in enumerate(SPARSE)))
    lakehouse(settings, "replay", str(sparse), "--model", "dtmi:example:office;1", "--device", "sparse-1")
    lakehouse(settings, "refresh")

    expected = duckdb.sql(HOURS.format(path=recording)).fetchall()
    figures = "reading_count, value_min, value_max, value_mean, value_last, value_p50, value_p95"
    hours = f"""SELECT strftime(hour_at, '%Y-%m-%dT%H') AS hour, {figures} FROM gold.device_hours
        WHERE device_id = 'office-1' AND metric_name = 'temperature' AND unit = 'degf' ORDER BY hour"""
    first = [tuple(row.values()) for row in query(settings, hours)]
    assert first == expected
    _check_sparse(settings)

    lakehouse(settings, *replay)
    lakehouse(settings, "refresh")
    assert [tuple(row.values()) for row in query(settings, hours)] == expected
    assert query(settings, "SELECT reason, count(*) AS n FROM silver.rejected GROUP BY ALL") == [
        {"reason": "duplicate", "n": sum(hour[1] for hour in expected) + 1}
    ]


def _check_sparse(settings: Settings) -> None:
    """Each reading has its hour, each hour between them is missing, and only hours with readings were judged."""
    figures = "SELECT hour_at, reading_count, value_mean FROM gold.device_hours WHERE device_id = 'sparse-1' ORDER BY 1"
    found = [tuple(row.values()) for row in query(settings, figures)]
    assert found == [(f"{at:%FT%TZ}", 1, float(n)) for n, at in enumerate(SPARSE)]
    span = f"device_id = 'sparse-1' AND hour_at <= '{SPARSE[-1]}'"
    missing = (
        f"SELECT count(*) AS hours, sum(missing_count)::INTEGER AS missing FROM gold.device_completeness WHERE {span}"
    )
    silent = 29 * (11 * 24 - 1)
    assert query(settings, missing) == [{"hours": 30 + silent, "missing": silent}]
    judged = (
        "SELECT count(DISTINCT slice) AS n FROM ops.verdicts WHERE table_name = 'gold.device_hours' AND slice < '2011'"
    )
    assert query(settings, judged) == [{"n": 30}]
