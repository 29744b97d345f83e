"""Reconciling: what a simulation says that it sent, against what is in bronze, silver and published gold.

Belongs here: the lines that are compared and what each is held to. The messages and their places in the lake are put
side by side in `reconcile_messages`, the completeness that a manifest implies is worked out in `reconcile_gold`.

Nothing here trusts the layer that it checks: expectations come from the manifest and from bronze's clock, and for
values, which a manifest does not have, from the layer before.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import duckdb

from device_sim.manifest import ManifestSummary, read_summary
from lake.models.catalog import Model, known_models
from lake.records import publications
from lake.records.verdicts import latest_failures
from lake.storage.duckdb_connection import connect
from lake.tables.gold import OF_LOCAL_DAYS
from lake.tables.gold_kinds import KIND_TABLES
from pipeline.proof.reconcile_gold import COMPLETENESS, GoldCounts
from pipeline.proof.reconcile_messages import Difference, Messages
from runtime.errors import UsageError
from runtime.settings import Settings

FIRST_DIFFERENCES = 10


@dataclass(frozen=True)
class Line:
    """One comparison. `expected` and `found` are counts, or words for what is no count."""

    layer: str
    what: str
    expected: int | str
    found: int | str

    @property
    def meets(self) -> bool:
        """True when what is found is what is expected."""
        return self.expected == self.found


@dataclass(frozen=True)
class Reconciliation:
    """All comparisons of one manifest with the lake, and the first messages and device hours that differ.

    `held_hours` are in silver and not in gold; `uncompared` says what could not be compared, and why.
    """

    run_id: str
    lines: tuple[Line, ...]
    differences: tuple[Difference, ...] = ()
    held_hours: tuple[str, ...] = ()
    uncompared: tuple[str, ...] = ()

    @property
    def meets(self) -> bool:
        """True when every line meets."""
        return all(line.meets for line in self.lines)


def reconcile(settings: Settings, manifest_path: Path, *, is_alone: bool = True) -> Reconciliation:
    """Compare the manifest at `manifest_path` (its .json) with the newest bronze and silver and with published gold.

    With `is_alone` the lake is to hold what the manifest sent and nothing else; without, other messages may be there
    too, and the totals that those change are not compared. Raises UsageError when there is no such manifest.
    """
    if not manifest_path.is_file() or not manifest_path.with_suffix(".parquet").is_file():
        raise UsageError(
            f"There is no manifest at {manifest_path}: `lakehouse simulate` writes one and prints its path."
        )
    manifest = read_summary(manifest_path)
    models = known_models(settings)
    held = latest_failures(settings)
    held_hours = tuple(sorted({verdict.slice for verdict in held if "T" in verdict.slice}))
    with connect(settings) as connection:
        messages = Messages(connection, settings, models, manifest)
        messages.prepare()
        published = publications.newest(settings)
        gold = GoldCounts(connection, settings, models, published, held_hours)
        lines = [
            *_bronze_lines(messages, is_alone),
            *_silver_lines(messages, is_alone),
            *_gold_lines(gold),
            *(_completeness_lines(gold, manifest) if is_alone else ()),
            *(_gate_lines(connection, models, held_hours) if is_alone else ()),
        ]
        differences: list[Difference] = []
        if not all(line.meets for line in lines):
            differences = messages.differences(is_alone, FIRST_DIFFERENCES)
            differences += gold.differences(FIRST_DIFFERENCES) if is_alone else []
    uncompared = () if is_alone else ("completeness and held hours, since the lake holds other messages too",)
    return Reconciliation(manifest.run_id, tuple(lines), tuple(differences), held_hours, uncompared)


def _bronze_lines(messages: Messages, is_alone: bool) -> Iterator[Line]:
    for topic, sent, landed in messages.by_topic():
        yield Line("bronze", f"bronze.{topic}: messages sent", sent, landed)
    without_identity, landed = messages.without_identity()
    if without_identity:
        yield Line("bronze", "messages without an id of their own", without_identity, landed)
    yield Line("bronze", "Kafka offsets stored twice", 0, messages.repeated_offsets())
    what = "records that were not sent" if is_alone else "messages stored more often than sent"
    yield Line("bronze", what, 0, messages.surplus(is_alone))


def _silver_lines(messages: Messages, is_alone: bool) -> Iterator[Line]:
    for table, expected, found in messages.by_table():
        yield Line("silver", f"{table}: readings", expected, found)
    for reason, expected, found in messages.by_reason():
        yield Line("silver", f"silver.rejected: {reason}", expected, found)
    for status, expected, found in messages.by_clock():
        yield Line("silver", f"readings with a clock {status}", expected, found)
    yield Line("silver", "messages that became something else than expected", 0, messages.misjudged())
    yield Line("silver", "bronze records in no silver table, or in two", 0, messages.not_once())
    yield Line("silver", "silver records that bronze does not have", 0, messages.without_origin())
    expected, found = messages.devices(is_alone)
    yield Line("silver", "silver.devices: devices as registered", expected, found)


def _gold_lines(gold: GoldCounts) -> Iterator[Line]:
    for metric, unit, in_silver, in_gold in gold.by_metric("gold.device_hours"):
        unit = "" if unit == "1" else f" ({unit})"
        yield Line("gold", f"gold.device_hours: readings of {metric}{unit}", in_silver, in_gold)
    yield Line("gold", "gold.device_minutes: readings of all metrics", *gold.all_metrics("gold.device_minutes"))
    yield Line("gold", "gold.device_days: readings of all metrics, whole days",
               *gold.days("gold.device_days", "gold.device_hours"))  # fmt: skip
    expected, found, differing = gold.site_days()
    yield Line("gold", "gold.site_days: readings of all metrics, whole days", expected, found)
    yield Line("gold", "gold.site_days: local days of a site that count others", 0, differing)
    yield from _kind_lines(gold)
    expected, found, differing = gold.counter_site_days()
    yield Line("gold", "gold.counter_site_days: readings of counters, whole days", expected, found)
    yield Line("gold", "gold.counter_site_days: local days of a site that count others", 0, differing)
    yield Line("gold", "readings of held hours that are published", 0, gold.published_of_held())


def _kind_lines(gold: GoldCounts) -> Iterator[Line]:
    """Whose figures are no counts: of those the readings that they are made of are compared."""
    for table in KIND_TABLES:
        what = f"{table.name}: readings of {table.kind}s"
        if table.sliced_by == "hour":
            yield Line("gold", what, *gold.of_kind(str(table.kind), table.name))
        elif table not in OF_LOCAL_DAYS:
            yield Line("gold", f"{what}, whole days", *gold.days(table.name, f"gold.{table.kind}_hours"))


def _completeness_lines(gold: GoldCounts, manifest: ManifestSummary) -> Iterator[Line]:
    gold.prepare_completeness(manifest)
    for column, (expected, found) in zip(COMPLETENESS, gold.completeness(), strict=True):
        what = f"gold.device_completeness: {column.removesuffix('_count').replace('_', ' ')}"
        yield Line("gold", what, expected, found)
    yield Line("gold", "device hours whose completeness is another", 0, gold.differing_hours())


def _gate_lines(
    connection: duckdb.DuckDBPyConnection, models: Mapping[str, Model], held_hours: tuple[str, ...]
) -> Iterator[Line]:
    """Of a manifest without the fault `impossible` no hour is to be held; of one with it, that hour."""
    rows = connection.sql("""
        SELECT strftime(measured_at, '%Y-%m-%dT%H'), model_id, count(*) FILTER (WHERE fault = 'impossible') / count(*)
        FROM messages WHERE expected_clock_status = 'ok' AND expected_fate NOT IN ('duplicate', 'conflict', 'lifecycle')
        GROUP BY ALL HAVING count(*) FILTER (WHERE fault = 'impossible') > 0""").fetchall()
    doomed = sorted({hour for hour, model_id, share in rows if share > models[model_id].quality.max_rejected_ratio})
    yield Line("gate", "hours held", _listed(doomed), _listed(held_hours))


def _listed(hours: tuple[str, ...] | list[str]) -> str:
    more = f" and {len(hours) - 5} more" if len(hours) > 5 else ""
    return (", ".join(hours[:5]) or "none") + more
