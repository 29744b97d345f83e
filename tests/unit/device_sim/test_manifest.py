"""The manifest: what was sent, whole or not at all."""

import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from device_sim.dispatches import Dispatch, batch_of, lifecycle_dispatch
from device_sim.manifest import ManifestWriter, read_summary
from wire.envelope import REGISTERED, TelemetryEnvelope, lifecycle_message


def _dispatch(n: int, fate: str = "reading", fault: str = "none") -> Dispatch:
    message = TelemetryEnvelope("d").message(str(n), "2026-11-20T00:00:00.000Z", b"{}")
    return Dispatch(0, message, "d", str(n), 1_795_132_800_000, "dtmi:x:y;1", None, fault, fate)


def _rows(*numbers: int) -> pa.RecordBatch:
    return batch_of([_dispatch(n) for n in numbers]).rows


def _finish(manifest: ManifestWriter) -> None:
    manifest.finish(False, 1.0, {"seed": 1}, ({"device_id": "d"},))


def test_rows_and_counts_say_what_was_sent(tmp_path: Path) -> None:
    """Each message is a row, and the summary counts them by fate, fault and model; lifecycle apart."""
    manifest = ManifestWriter(tmp_path / "new", "run")
    event = lifecycle_message("d", "r", REGISTERED, "2026-11-20T00:00:00.000Z")
    dispatches = [lifecycle_dispatch(0, event, "dtmi:x:y;1"), _dispatch(1), _dispatch(2, "duplicate", "repeated")]
    assert not manifest.add(batch_of(dispatches).rows)
    manifest.store(set())
    _finish(manifest)
    summary = read_summary(tmp_path / "new" / "run.json")
    assert (summary.telemetry_count, summary.lifecycle_count) == (2, 1)
    assert summary.fates == {"duplicate": 1, "reading": 1}
    assert summary.faults == {"none": 1, "repeated": 1}
    assert summary.models == {"dtmi:x:y;1": 2}
    rows = pq.read_table(summary.parquet_path).to_pylist()
    assert [row["expected_fate"] for row in rows] == ["lifecycle", "reading", "duplicate"]
    assert rows[1] | {"measured_at": str(rows[1]["measured_at"])} == {
        "topic": "telemetry",
        "device_id": "d",
        "source": "/devices/d",
        "message_id": "1",
        "measured_at": "2026-11-20 00:00:00+00:00",
        "component": None,
        "model_id": "dtmi:x:y;1",
        "fault": "none",
        "expected_fate": "reading",
        "expected_clock_status": "ok",
    }


def test_what_was_not_acknowledged_is_left_out(tmp_path: Path) -> None:
    """Failed numbers count through all that was stored before."""
    manifest = ManifestWriter(tmp_path, "run")
    manifest.add(_rows(0, 1))
    manifest.add(_rows(2))
    manifest.store({1})
    manifest.add(_rows(3, 4, 5))
    manifest.store({1, 5})
    _finish(manifest)
    assert pq.read_table(tmp_path / "run.parquet")["message_id"].to_pylist() == ["0", "2", "3", "4"]
    assert json.loads((tmp_path / "run.json").read_text())["telemetry_count"] == 4


def test_nothing_stands_under_its_name_before_it_is_whole(tmp_path: Path) -> None:
    """A reader never meets half a manifest."""
    manifest = ManifestWriter(tmp_path, "run")
    manifest.add(_rows(1))
    manifest.store(set())
    assert not {path.name for path in tmp_path.iterdir()} & {"run.parquet", "run.json"}
    _finish(manifest)
    assert {path.name for path in tmp_path.iterdir()} == {"run.parquet", "run.json"}


def test_rows_are_stored_when_there_are_many(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Memory does not follow the length of a run."""
    monkeypatch.setattr("device_sim.manifest._ROWS_A_GROUP", 4)
    monkeypatch.setattr("device_sim.manifest._BATCHES", 2)
    manifest = ManifestWriter(tmp_path, "run")
    assert [manifest.add(_rows(0, 1)), manifest.add(_rows(2)), manifest.add(_rows(3))] == [False, False, True]
    manifest.store(set())
    assert not manifest.add(_rows(4))
    manifest.store(set())
    _finish(manifest)
    assert pq.read_table(tmp_path / "run.parquet")["message_id"].to_pylist() == ["0", "1", "2", "3", "4"]
