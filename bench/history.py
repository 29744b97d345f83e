"""History: a recording of years, replayed and brought to published gold, beside bare DuckDB on the same file.

Belongs here: making the recordings, and asking both for the same figures. What is timed of ours is `lakehouse refresh`
as a user runs it, with the start of Kafka and Spark and all commits; replaying the file comes before.
"""

import json
import os
import shutil
import subprocess
from datetime import UTC, datetime, timedelta
from pathlib import Path

import duckdb

from bench.harness import COMMAND, Result, Side, take_turns

_MODEL = "dtmi:example:office;1"
_DECLARED = {
    "@context": "dtmi:dtdl:context;2", "@id": _MODEL, "@type": "Interface", "displayName": "Office thermometer",
    "contents": [{"@type": ["Telemetry", "Temperature"], "name": "temperature", "schema": "double",
                  "unit": "degreeCelsius"}],
}  # fmt: skip
_START = datetime(2013, 7, 4, tzinfo=UTC)
_SPARSE_H = 11 * 24
_FIGURES = "count(*) AS hours, sum(reading_count)::BIGINT AS readings, round(sum(value_mean), 3) AS means"
_BARE = """COPY (
    SELECT date_trunc('hour', timestamp) AS hour_at, count(*) AS reading_count, min(value) AS value_min,
        max(value) AS value_max, avg(value) AS value_mean, arg_max(value, timestamp) AS value_last,
        quantile_cont(value, [0.5, 0.95]) AS percentiles
    FROM read_csv('{csv}', columns = {{'timestamp': 'TIMESTAMPTZ', 'value': 'DOUBLE'}}) GROUP BY hour_at
) TO '{out}'"""


def run(folder: Path, is_quick: bool) -> list[Result]:
    """Ten years of an hourly reading, and 310 readings with 11 days between; 3 rounds. Quick a year, and one round."""
    hourly, rounds = (8_760, 1) if is_quick else (87_600, 3)
    return [
        _measured(folder, "history", "an hourly reading of years", hourly, 1, "ten years within 120 s", rounds),
        _measured(folder, "history-sparse", "a reading in 11 days", 310, _SPARSE_H, "within 20 s", rounds),
    ]


def _measured(folder: Path, name: str, what: str, rows: int, every_h: int, goal: str, rounds: int) -> Result:
    home, out = folder / name, folder / f"{name}.parquet"
    recording = folder / f"{name}.csv"
    recording.write_text(_recording(rows, every_h))
    model, quality = folder / "office.json", folder / "office.quality.json"
    model.write_text(json.dumps(_DECLARED))
    quality.write_text(json.dumps({"reporting_interval_s": 3600}))

    def ours(*arguments: str) -> str:
        environment = os.environ | {"LAKEHOUSE_HOME": str(home)}
        return subprocess.run(
            [*COMMAND, *arguments], env=environment, check=True, capture_output=True, text=True
        ).stdout

    def replayed() -> None:
        shutil.rmtree(home, ignore_errors=True)
        ours("models", "add", str(model), "--quality", str(quality))
        ours("replay", str(recording), "--model", _MODEL, "--device", "office-1", "--time-column", "timestamp",
             "--map", "value=temperature")  # fmt: skip

    def published() -> object:
        sql = f"SELECT {_FIGURES} FROM gold.device_hours"
        return [tuple(row.values()) for row in json.loads(ours("sql", sql, "--format", "json"))]

    def bare() -> None:
        duckdb.sql(f"SET TimeZone = 'UTC'; {_BARE.format(csv=recording, out=out)}")

    def written() -> object:
        return duckdb.sql(f"SELECT {_FIGURES} FROM '{out}'").fetchall()

    sides = [Side("lakehouse refresh", lambda: ours("refresh"), replayed, published),
             Side("DuckDB, bare", bare, answer=written)]  # fmt: skip
    return Result(name, what, rows, "readings", take_turns(sides, rounds), goal)


def _recording(rows: int, every_h: int) -> str:
    lines = ["timestamp,value"]
    for number in range(rows):
        at = _START + timedelta(hours=number * every_h)
        lines.append(f"{at:%Y-%m-%dT%H:%M:%SZ},{15 + number * 7 % 24 / 2}")
    return "\n".join(lines) + "\n"
