"""Questions of the API over gold: cursors that nobody gave, and series that there are not."""

import base64
import json
from collections.abc import Sequence
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any, cast

import duckdb
import pyarrow as pa
import pytest

from lake.tables.gold import DEVICE_COMPLETENESS, SITE_DAYS
from serving.access.api_keys import ApiKey
from serving.access.doors import Caller
from serving.access.scopes import parse_scopes
from serving.api.gold_routes import _after
from serving.api.series_routes import series
from serving.problems import Problem
from serving.snapshots import Snapshot

KEY = ApiKey("k", "app", parse_scopes(["read"]), 50.0, datetime.now(UTC), None, None)
ASKED = {"device_id": "d1", "start": datetime(2026, 11, 20, tzinfo=UTC), "end": datetime(2026, 11, 21, tzinfo=UTC),
         "every": "1h", "fill": "gap", "aggregate": "mean", "unit": None}  # fmt: skip


def cursor(*key: str) -> str:
    """A cursor of such a key."""
    return base64.urlsafe_b64encode(json.dumps(key).encode()).decode()


@pytest.mark.parametrize(("text", "taken"), [
    ("2026-11-20T05:00:00+00:00", "2026-11-20T05:00:00"), ("20261120T05", "2026-11-20T05:00:00"),
    ("2026-W47-5", "2026-11-20T00:00:00"), ("2026-11-20T05:00:00+01:00:30", "2026-11-20T03:59:30"),
])  # fmt: skip
def test_a_forged_time_of_a_cursor_is_one_to_duckdb_too(text: str, taken: str) -> None:
    """Whatever Python reads as a time goes into the question as DuckDB writes it."""
    order = [text if name == "hour_at" else "d1" for name in DEVICE_COMPLETENESS.key]
    found = _after(cursor(*order), DEVICE_COMPLETENESS)[DEVICE_COMPLETENESS.key.index("hour_at")]
    with duckdb.connect() as connection:
        read = connection.execute("SELECT epoch(?::TIMESTAMPTZ)", [found]).fetchall()
    assert read == [(datetime.fromisoformat(f"{taken}+00:00").timestamp(),)]
    days = ["20261120" if name == "day_date" else "x" for name in SITE_DAYS.key]
    assert "2026-11-20" in _after(cursor(*days), SITE_DAYS)


@pytest.mark.parametrize("text", ["soon", "0001-01-01T00:00:00+05:00", "\ud800", ""])
def test_a_cursor_of_no_row_is_refused(text: str) -> None:
    """What is no time, or before all that Python has, or half a character, is no defect of ours."""
    with pytest.raises(Problem, match="400 Bad cursor"):
        _after(cursor(*[text] * len(DEVICE_COMPLETENESS.key)), DEVICE_COMPLETENESS)


class FakeSnapshot:
    """A publication with a device that measures a temperature, and is in a state; it stands in the north."""

    def __init__(self, *tables: str) -> None:
        self.publication = SimpleNamespace(tables=dict.fromkeys(tables, 1))
        self._connection = duckdb.connect()
        row = "'d1' AS device_id, 'north' AS site_id, DATE '2026-11-20' AS event_date"
        self._connection.execute(f"""CREATE SCHEMA gold;
            CREATE TABLE gold.device_latest AS SELECT 'temperature' AS metric_name, 'degc' AS unit, {row};
            CREATE TABLE gold.device_hours AS SELECT 'temperature' AS metric_name, 'degc' AS unit, {row},
                TIMESTAMPTZ '2026-11-20 05:00:00+00' AS hour_at;
            CREATE TABLE gold.state_days AS SELECT 'mode' AS metric_name, {row}""")

    def ask(self, sql: str, parameters: Sequence[Any] = ()) -> pa.Table:
        """As a snapshot does."""
        return self._connection.cursor().execute(sql, list(parameters)).to_arrow_table()


@pytest.mark.parametrize(("metric", "sites", "said"), [
    ("mode", None, "mode of d1 is a state, which has no series: gold.state_hours and gold.state_days"),
    ("mode", ("north",), "is a state"), ("mode", ("south",), "never measured"), ("power", None, "never measured"),
])  # fmt: skip
def test_a_series_of_a_state_is_refused_with_the_tables_that_have_states(
    metric: str, sites: tuple[str, ...] | None, said: str
) -> None:
    """To who may see the device; to any other it is as what there is not."""
    snapshot = cast(Snapshot, FakeSnapshot("gold.device_latest", "gold.device_hours", "gold.state_days"))
    with pytest.raises(Problem, match=rf"404 .*{said}"):
        series(snapshot, Caller(KEY, sites), {**ASKED, "metric_name": metric})
    without = cast(Snapshot, FakeSnapshot("gold.device_latest", "gold.device_hours"))
    with pytest.raises(Problem, match=r"404 .*never measured"):
        series(without, Caller(KEY, sites), {**ASKED, "metric_name": metric})
