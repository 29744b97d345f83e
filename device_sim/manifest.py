"""The manifest: what a simulation sent, message by message and fault by fault, and what is to become of each.

Belongs here: writing and reading `<run id>.parquet` and `<run id>.json`. Comparing it with the lake belongs to those
who know the lake's tables.
"""

import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from runtime.whole_files import write_whole
from wire.envelope import LIFECYCLE_TOPIC

_ROWS_A_GROUP = 200_000
# a run at its own pace sends one message at a time: that many objects take more memory than their rows
_BATCHES = 1_000
SCHEMA = pa.schema(
    [
        pa.field("topic", pa.string(), nullable=False),
        pa.field("device_id", pa.string()),
        pa.field("source", pa.string(), nullable=False),
        pa.field("message_id", pa.string()),
        pa.field("measured_at", pa.timestamp("us", tz="UTC")),
        pa.field("component", pa.string()),
        pa.field("model_id", pa.string(), nullable=False),
        pa.field("fault", pa.string(), nullable=False),
        pa.field("expected_fate", pa.string(), nullable=False),
        pa.field("expected_clock_status", pa.string(), nullable=False),
    ]
)
"""One row a message sent, in the order of sending.

`device_id` is the Kafka key, null without one; `measured_at` is ce_time, null when it is none; `expected_fate` is
'reading', 'lifecycle' or a reason of `silver.rejected`; where `expected_clock_status` is not 'ok' the reading's
event_at is its received_at.
"""


@dataclass(frozen=True)
class ManifestSummary:
    """What a simulation came to; `parquet_path` has the messages, `json_path` this summary and the devices.

    `fates` and `faults` count the telemetry messages sent, `models` those by model; `lifecycle_count` counts the
    rest. `elapsed_s` is real time.
    """

    run_id: str
    parquet_path: Path
    json_path: Path
    telemetry_count: int
    lifecycle_count: int
    fates: Mapping[str, int]
    faults: Mapping[str, int]
    models: Mapping[str, int]
    is_interrupted: bool
    elapsed_s: float
    arguments: Mapping[str, Any] = field(default_factory=dict)
    devices: tuple[Mapping[str, Any], ...] = ()


class ManifestWriter:
    """Takes rows of what was sent; nothing stands under its final name before `finish`."""

    def __init__(self, folder: Path, run_id: str) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.run_id = run_id
        self._path = folder / f"{run_id}.parquet"
        self._part = self._path.with_suffix(".parquet.part")
        # ids hardly repeat: a dictionary of them takes longer and twice the space
        repeating = [name for name in SCHEMA.names if name not in ("message_id", "measured_at")]
        self._writer = pq.ParquetWriter(
            self._part, SCHEMA, compression="zstd", use_dictionary=repeating, write_statistics=False
        )
        self._batches: list[pa.RecordBatch] = []
        self._kept = 0
        self._next = 0
        self._counts: dict[str, Counter[str]] = {name: Counter() for name in ("expected_fate", "fault", "model_id")}
        self._lifecycle_count = 0

    def add(self, rows: pa.RecordBatch) -> bool:
        """Keep rows of what was sent; True when it is time to `store` what was acknowledged.

        The n-th row added is the n-th message sent.
        """
        self._batches.append(rows)
        self._kept += len(rows)
        if len(self._batches) == _BATCHES:
            self._batches = [pa.concat_batches(self._batches)]
        return self._kept >= _ROWS_A_GROUP

    def store(self, failed: set[int]) -> None:
        """Write the rows kept so far, which are all acknowledged but for those with the numbers in `failed`."""
        if not self._kept:
            return
        table = pa.Table.from_batches(self._batches, SCHEMA)
        first, self._next = self._next, self._next + len(table)
        if failed:
            table = table.filter(pa.array([number not in failed for number in range(first, self._next)]))
        self._batches, self._kept = [], 0
        self._writer.write_table(table)
        self._count(table)

    def _count(self, table: pa.Table) -> None:
        for group in table.group_by(["topic", *self._counts]).aggregate([([], "count_all")]).to_pylist():
            if group["topic"] == LIFECYCLE_TOPIC:
                self._lifecycle_count += group["count_all"]
                continue
            for column, counts in self._counts.items():
                counts[group[column]] += group["count_all"]

    def finish(
        self,
        is_interrupted: bool,
        elapsed_s: float,
        arguments: Mapping[str, Any],
        devices: tuple[Mapping[str, Any], ...],
    ) -> ManifestSummary:
        """Put both files in place, each whole or not at all."""
        self._writer.close()
        fates, faults, models = (dict(sorted(counts.items())) for counts in self._counts.values())
        summary = ManifestSummary(
            run_id=self.run_id,
            parquet_path=self._path,
            json_path=self._path.with_suffix(".json"),
            telemetry_count=sum(fates.values()),
            lifecycle_count=self._lifecycle_count,
            fates=fates,
            faults=faults,
            models=models,
            is_interrupted=is_interrupted,
            elapsed_s=round(elapsed_s, 3),
            arguments=arguments,
            devices=devices,
        )
        self._part.replace(self._path)
        write_whole(summary.json_path, _to_json(summary))
        return summary


def read_summary(path: Path) -> ManifestSummary:
    """The summary that `finish` wrote, its paths beside `path`."""
    raw = json.loads(path.read_text(encoding="utf-8"))
    raw["devices"] = tuple(raw["devices"])
    return ManifestSummary(parquet_path=path.with_suffix(".parquet"), json_path=path, **raw)


def _to_json(summary: ManifestSummary) -> str:
    raw = asdict(summary)
    del raw["parquet_path"], raw["json_path"]
    return json.dumps(raw, indent=1) + "\n"
