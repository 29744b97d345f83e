"""The reconciliation on real Delta tables: it meets where all is well, and each kind of disagreement is caught."""

import json
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from deltalake import write_deltalake

from device_sim.manifest import SCHEMA, read_summary
from lake.models.kinds import Kind
from lake.records import publications
from lake.records.publications import Publication
from lake.records.verdicts import Failure, Verdict, input_version, record_verdicts
from lake.slices import slice_start
from lake.storage.locations import table_uri
from lake.tables.bronze import BRONZE_LIFECYCLE
from lake.tables.gold import GOLD_TABLES
from lake.tables.gold_kinds import KIND_TABLES
from pipeline.proof.reconcile import Reconciliation, reconcile
from runtime.errors import StepError, UsageError
from runtime.settings import Settings
from serving.report.page import write_report
from tests.support.small_lake import H5, H6, NOW, THERMOSTAT, THERMOSTATS, Candidate, Lake, Row, arrow_table
from wire.envelope import rfc3339

DAY = "2026-11-20"
DEVICE = "/devices/d1"
REGISTERED = ("device_id", "model_id", "site_id", "in_service_at", "reporting_interval_s")
FAILURE = Failure("rejected_share", "reason", 0.4, 0.05, "40 % of thermostats readings were rejected (limit 5 %)")


@dataclass
class World:
    """What was sent and what is in each layer; a test breaks one of them before `reconciled`."""

    lake: Lake
    sent: list[Row] = field(default_factory=list)
    lifecycle: list[Row] = field(default_factory=list)
    gold: dict[str, list[Row]] = field(default_factory=dict)
    held: tuple[str, ...] = ()
    periods: Row = field(default_factory=dict)

    @property
    def settings(self) -> Settings:
        return self.lake.settings

    def send(self, row: Row, fate: str = "reading", clock: str = "ok") -> None:
        """The manifest's word on a bronze record."""
        copied = {name: row[name] for name in ("topic", "device_id", "measured_at")}
        self.sent.append(copied | {
            "source": row["ce_source"], "message_id": row["ce_id"], "component": None, "model_id": THERMOSTAT,
            "fault": "none" if fate in ("reading", "lifecycle") else fate, "expected_fate": fate,
            "expected_clock_status": clock,
        })  # fmt: skip

    def write(self) -> Path:
        """Write all of it; returns the manifest's path."""
        inputs = self.lake.write()
        self._write_table(BRONZE_LIFECYCLE.name, arrow_table(BRONZE_LIFECYCLE, self.lifecycle))
        for table in GOLD_TABLES:
            self._write_table(table.name, arrow_table(table, self.gold.get(table.short_name, [])))
        version = input_version(inputs)
        held = [Verdict(THERMOSTATS, hour, version, False, (FAILURE,), 30, "digest", "run", NOW) for hour in self.held]
        record_verdicts(self.settings, held)
        versions = {table.name: 0 for table in GOLD_TABLES}
        publications.record(
            self.settings, Publication(1, NOW, versions, inputs, (H5, H6, DAY), (), (), H5, H6, {}, "1", "run")
        )
        return self._write_manifest()

    def reconciled(self, is_alone: bool = True) -> Reconciliation:
        return reconcile(self.settings, self.write(), is_alone=is_alone)

    def hours(self, table: str, hour: str) -> list[Row]:
        """The gold rows of an hour."""
        return [row for row in self.gold[table] if row["event_hour"] == int(hour[11:])]

    def _write_manifest(self) -> Path:
        """The files that the simulator writes."""
        path = self.settings.home / "manifests" / "run.json"
        path.parent.mkdir(exist_ok=True)
        pq.write_table(pa.Table.from_pylist(self.sent, schema=SCHEMA), path.with_suffix(".parquet"))
        device = {name: value for name, value in self.lake.device("d1").items() if name in REGISTERED}
        device |= {"in_service_at": rfc3339(device["in_service_at"]), "periods": self.periods}
        start, end = rfc3339(slice_start(H5)), rfc3339(slice_start(H6) + timedelta(hours=1))
        summary = {
            "run_id": "run", "telemetry_count": len(self.sent) - 1, "lifecycle_count": 1, "fates": {}, "faults": {},
            "models": {}, "is_interrupted": False, "elapsed_s": 1.0, "devices": [device],
            "arguments": {"start": start, "end": end, "hours": 2.0, "seed": 1},
        }  # fmt: skip
        path.write_text(json.dumps(summary))
        return path

    def _write_table(self, name: str, rows: pa.Table) -> None:
        write_deltalake(table_uri(self.settings, name), rows, mode="overwrite")


@pytest.fixture
def world(tmp_path: Path) -> World:
    """Two hours of good readings, one with a clock that is ahead; a repeat, two broken messages, one without an id."""
    made = World(Lake(Settings(home=tmp_path, lake_uri=str(tmp_path / "lake"))))
    lake = made.lake
    for slice_ in (H5, H6):
        lake.fill(slice_)
    lake.refuse(H6, 3, "duplicate")
    lake.refuse(H6, 40, "out_of_range")
    lake.refuse(H6, 41, "not_json")
    lake.refuse(H6, 42, "bad_envelope")
    ahead = lake.read(H6, 50)
    ahead["clock_status"], ahead["event_at"] = "ahead", ahead["received_at"]
    for row in (ahead, lake.bronze[-1]):
        row["measured_at"] += timedelta(days=400)
    fates = {row["offset"]: row["reason"] for row in lake.rejected}
    clocks = {row["offset"]: row["clock_status"] for row in lake.readings}
    _register(made)
    for row in lake.bronze:
        fate = fates.get(row["offset"], "reading")
        row["ce_source"] = DEVICE
        row["ce_id"] = None if fate == "bad_envelope" else f"{row['measured_at']:%d%H%M}"
        made.send(row, fate, clocks.get(row["offset"], "ok"))
    candidate = Candidate(lake, [H5, H6], [DAY], {})
    made.gold = candidate.rows
    for row in made.hours("device_completeness", H6):
        row |= {"duplicate_count": 1, "rejected_count": 3, "clock_flagged_count": 1, "missing_count": 30}
    return made


def _register(world: World) -> None:
    device = world.lake.devices[0]
    at = device["in_service_at"]
    world.lifecycle.append({
        "topic": "lifecycle", "partition": 0, "offset": 0, "ingest_id": 1, "received_at": NOW,
        "received_date": NOW.date(), "ce_source": DEVICE, "ce_id": "registered", "device_id": "d1", "measured_at": at,
    })  # fmt: skip
    world.send(world.lifecycle[0], "lifecycle")


def differing(result: Reconciliation) -> set[str]:
    return {line.what for line in result.lines if not line.meets}


def test_a_good_lake_meets(world: World) -> None:
    """Every line meets, message by message, and nothing is named as different."""
    result = world.reconciled()
    assert differing(result) == set()
    assert result.meets
    assert result.differences == ()
    lines = {line.what: line.found for line in result.lines}
    assert lines["bronze.telemetry: messages sent"] == 65
    assert lines["messages without an id of their own"] == 1
    assert lines["silver.rejected: duplicate"] == 1
    assert lines["readings with a clock ahead"] == 1
    assert lines["gold.device_completeness: missing"] == 60


def lost_in_kafka(world: World) -> None:
    world.lake.bronze.pop(5)
    world.lake.readings.pop(5)


def stored_twice(world: World) -> None:
    world.lake.bronze.append(dict(world.lake.bronze[5]))


def nobody_sent(world: World) -> None:
    row = world.lake.read(H5, 45)
    world.lake.bronze[-1] |= {"ce_source": DEVICE, "ce_id": "unsent"}
    row["message_id"] = "unsent"


def left_out_of_silver(world: World) -> None:
    world.lake.readings.pop(5)


def reading_and_rejected(world: World) -> None:
    row = world.lake.readings[5]
    columns = {name: row[name] for name in ("topic", "partition", "offset", "received_at", "event_at", "clock_status")}
    world.lake.rejected.append(columns | {"reason": "not_json", "event_date": row["event_date"], "event_hour": 5})


def from_nowhere(world: World) -> None:
    world.lake.readings.append(world.lake.readings[5] | {"offset": 9_000})


def another_reason(world: World) -> None:
    world.lake.rejected[1]["reason"] = "wrong_type"


def another_clock(world: World) -> None:
    world.lake.readings[5]["clock_status"] = "behind"


def wrong_device(world: World) -> None:
    world.lake.devices[0]["site_id"] = "elsewhere"


def unknown_device(world: World) -> None:
    world.lake.devices.append(world.lake.device("d2"))


def lost_registration(world: World) -> None:
    world.lifecycle.clear()


def hour_counts_less(world: World) -> None:
    world.hours("device_hours", H5)[0]["reading_count"] -= 1


def minute_missing(world: World) -> None:
    world.gold["device_minutes"].pop()


def day_counts_more(world: World) -> None:
    world.gold["device_days"][0]["reading_count"] += 1


def site_day_missing(world: World) -> None:
    world.gold["site_days"].clear()


IN_SILVER = "bronze records in no silver table, or in two"
JUDGED = "messages that became something else than expected"
READINGS = "silver.thermostats: readings"
METRIC = "gold.device_hours: readings of temperature (degc)"
DEVICE_HOURS = "device hours whose completeness is another"
DAYS = "gold.device_days: readings of all metrics, whole days"


@pytest.mark.parametrize(
    ("break_it", "line", "named"),
    [
        (lost_in_kafka, "bronze.telemetry: messages sent", "not in bronze"),
        (stored_twice, "Kafka offsets stored twice", "in bronze"),
        (nobody_sent, "records that were not sent", "in bronze"),
        (left_out_of_silver, IN_SILVER, "not in silver"),
        (left_out_of_silver, READINGS, "not in silver"),
        (left_out_of_silver, METRIC, "not in silver"),
        (reading_and_rejected, IN_SILVER, "in 2 places"),
        (from_nowhere, "silver records that bronze does not have", None),
        (another_reason, JUDGED, "wrong_type"),
        (another_reason, "silver.rejected: wrong_type", "wrong_type"),
        (another_clock, JUDGED, "clock behind"),
        (another_clock, "readings with a clock behind", "clock behind"),
        (wrong_device, "silver.devices: devices as registered", None),
        (unknown_device, "silver.devices: devices as registered", None),
        (lost_registration, "bronze.lifecycle: messages sent", "not in bronze"),
        (hour_counts_less, METRIC, None),
        (minute_missing, "gold.device_minutes: readings of all metrics", None),
        (day_counts_more, DAYS, None),
        (site_day_missing, "gold.site_days: readings of all metrics, whole days", None),
    ],
)
def test_each_disagreement_is_caught(
    world: World, break_it: Callable[[World], None], line: str, named: str | None
) -> None:
    """What is wrong in a layer makes its line differ, and the message is named where there is one."""
    break_it(world)
    result = world.reconciled()
    assert line in differing(result)
    assert not result.meets
    if named is not None:
        assert any(named in difference.found for difference in result.differences)


@pytest.mark.parametrize("is_right", [True, False])
@pytest.mark.parametrize("kind", ["counter", "state", "gauge"])
def test_readings_of_each_kind_are_compared(
    world: World, kind: Any, is_right: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What tables of kinds count is what silver has, and their days what their hours do; each that does not differs."""
    declared = Kind(kind, 7200)
    models = {
        name: replace(model, telemetry=tuple(
            replace(each, kind=declared) if each.name == "temperature" else each for each in model.telemetry
        ))
        for name, model in world.lake.models.items()
    }  # fmt: skip
    monkeypatch.setattr("pipeline.proof.reconcile.known_models", lambda settings: models)
    of_kind = [table for table in KIND_TABLES if table.kind == kind]
    world.gold |= {"gauge_hours": [], "gauge_days": []}  # of the thermostats as they are
    for table in of_kind:
        same = table.short_name.replace(kind, "device").replace("device_site", "site")
        rows = [dict(row) for row in world.gold[same]]
        rows[-1]["reading_count"] -= 0 if is_right else 1 if table.sliced_by == "hour" else 2
        world.gold[table.short_name] = rows
    wrong = {what.partition(":")[0] for what in differing(world.reconciled())}
    assert wrong == (set() if is_right else {table.name for table in of_kind})


@pytest.mark.parametrize(
    "column", ["expected", "received", "missing", "late", "clock_flagged", "duplicate", "rejected"]
)
def test_each_count_of_completeness_is_compared(world: World, column: str) -> None:
    """One count of one device hour that is off by one is found, and its device and hour are named."""
    world.hours("device_completeness", H6)[0][f"{column}_count"] += 1
    result = world.reconciled()
    assert differing(result) == {f"gold.device_completeness: {column.replace('_', ' ')}", DEVICE_HOURS}
    assert [difference.where for difference in result.differences] == [f"d1 {H6}"]


def in_maintenance(world: World) -> None:
    start = slice_start(H6) + timedelta(minutes=45)
    world.periods = {"maintenance": [[rfc3339(start), rfc3339(start + timedelta(minutes=10))]]}


def test_nothing_is_due_in_maintenance(world: World) -> None:
    """Reporting times from the start of maintenance to before its end are not expected, and so not missing."""
    in_maintenance(world)
    for row in world.hours("device_completeness", H6):
        row |= {"expected_count": 50, "missing_count": 20}
    assert differing(world.reconciled()) == set()


def test_maintenance_that_gold_does_not_know_is_caught(world: World) -> None:
    """Gold that expects readings of a device in maintenance differs."""
    in_maintenance(world)
    assert DEVICE_HOURS in differing(world.reconciled())


def test_counts_that_cancel_out_are_named(world: World) -> None:
    """Two hours that are off in opposite ways have the right total, and yet do not meet."""
    world.hours("device_completeness", H5)[0]["late_count"] += 1
    world.hours("device_completeness", H6)[0]["late_count"] -= 1
    result = world.reconciled()
    assert differing(result) == {DEVICE_HOURS}
    assert not result.meets


def test_an_hour_that_nobody_meant_to_be_held_is_caught(world: World) -> None:
    """A held hour is left out of gold's lines; that it is held at all differs from what the manifest says."""
    hold(world, H6)
    result = world.reconciled()
    assert differing(result) == {"hours held"}
    assert result.held_hours == (H6,)


def test_a_held_hour_meets_when_it_was_meant_to_be(world: World) -> None:
    """An hour with an impossible share of its readings is expected to be held, and not to be in gold."""
    hold(world, H6)
    mean_it(world, H6)
    result = world.reconciled()
    assert differing(result) == set()
    assert {line.found for line in result.lines if line.what == "hours held"} == {H6}


def test_an_hour_that_should_be_held_and_is_not_is_caught(world: World) -> None:
    """An impossible share that the gate let pass differs."""
    mean_it(world, H6)
    assert differing(world.reconciled()) == {"hours held"}


def test_a_held_hour_in_gold_is_caught(world: World) -> None:
    """Readings of a held hour that readers see differ."""
    minutes, hours = list(world.gold["device_minutes"]), list(world.gold["device_hours"])
    hold(world, H6)
    mean_it(world, H6)
    world.gold |= {"device_minutes": minutes, "device_hours": hours}
    assert differing(world.reconciled()) == {"readings of held hours that are published"}


def hold(world: World, hour: str) -> None:
    """As the gate does: the hour is in no gold table, nor is its day."""
    world.held = (hour,)
    for name in ("device_minutes", "device_hours", "device_completeness"):
        world.gold[name] = [row for row in world.gold[name] if row["event_hour"] != int(hour[11:])]
    world.gold["device_days"], world.gold["site_days"] = [], []


def mean_it(world: World, hour: str) -> None:
    """The manifest says that a tenth of the hour was made impossible on purpose, and so it was."""
    ours = [row for row in world.lake.readings if row["event_hour"] == int(hour[11:]) and row["clock_status"] == "ok"]
    for row in ours[-3:]:
        world.lake.readings.remove(row)
        world.lake.rejected.append(row | {"reason": "out_of_range"})
        world.sent[1 + row["offset"]] |= {"fault": "impossible", "expected_fate": "out_of_range"}
    if world.held != (hour,):
        _count_anew(world, hour)


def _count_anew(world: World, hour: str) -> None:
    world.gold = Candidate(world.lake, [H5, H6], [DAY], {}).rows
    for row in world.hours("device_completeness", hour):
        row |= {"duplicate_count": 1, "rejected_count": 6, "clock_flagged_count": 1, "missing_count": 33}


def test_other_messages_may_be_there_when_not_alone(world: World) -> None:
    """A lake that holds more than the manifest meets, and what cannot be compared is said."""
    nobody_sent(world)
    world.gold = Candidate(world.lake, [H5, H6], [DAY], {}).rows
    result = world.reconciled(is_alone=False)
    assert differing(result) == set()
    assert result.uncompared


def test_a_lost_message_is_caught_also_when_not_alone(world: World) -> None:
    """Other messages do not stand in for one that is missing."""
    nobody_sent(world)
    lost_in_kafka(world)
    assert "bronze.telemetry: messages sent" in differing(world.reconciled(is_alone=False))


def test_a_lake_without_anything_in_it_does_not_meet(world: World) -> None:
    """Tables that do not exist are empty, and no error."""
    path = world.write()
    empty = Settings(home=world.settings.home, lake_uri=str(world.settings.home / "nothing"))
    result = reconcile(empty, path)
    assert {"bronze.telemetry: messages sent", READINGS, "gold.device_completeness: received"} <= differing(result)


def test_a_manifest_that_is_not_there_is_a_usage_error(tmp_path: Path) -> None:
    """The error says which command writes one."""
    with pytest.raises(UsageError, match="lakehouse simulate"):
        reconcile(Settings(home=tmp_path, lake_uri=str(tmp_path / "lake")), tmp_path / "none.json")


def test_the_report_tells_of_the_held_hour(world: World) -> None:
    """The page has the verdict, the held hour with its reason, and the rejected messages by reason."""
    hold(world, H6)
    mean_it(world, H6)
    path = world.write()
    result = reconcile(world.settings, path)
    page = write_report(world.settings, read_summary(path), result, world.settings.home / "r.html", now=NOW).read_text()
    assert "Every message is where it should be." in page
    assert FAILURE.message in page
    assert 'class="c-held"' in page
    assert "A value lies outside its declared range" in page


def test_there_is_no_report_before_a_publication(world: World) -> None:
    """Without published gold there is nothing to report on, and that is what is said."""
    path = world.write()
    empty = Settings(home=world.settings.home, lake_uri=str(world.settings.home / "nothing"))
    with pytest.raises(StepError, match="lakehouse refresh"):
        write_report(empty, read_summary(path), Reconciliation("run", ()), path, now=NOW)
