"""States carried into hours in which nothing came: which hours are built, and when again, over random histories.

Refreshes are played here: each takes what is stale and makes its rows as plain Python does of the silver of that time.
What is published then must be what one refresh of everything would make.
"""

import json
import tempfile
from collections.abc import Collection, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path

from deltalake import CommitProperties, DeltaTable, write_deltalake
from hypothesis import example, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from lake.models.catalog import silver_tables
from lake.records import publications
from lake.records.publications import Publication
from lake.slices import HOUR, runs_of, slice_of, slice_start, slices_between
from lake.storage.locations import table_uri
from lake.tables.contracts import Table
from lake.tables.gold import DEVICE_COMPLETENESS, DEVICE_SILENCES
from lake.tables.gold_kinds import COUNTER_HOURS, KIND_TABLES, STATE_HOURS
from lake.tables.silver import SILVER_DEVICES, SILVER_REJECTED
from pipeline.gold.carried_hours import carried_into_silence
from pipeline.gold.stale import silver_versions, stale_slices
from runtime.settings import Settings
from tests.support.kinds_oracle import Reading, state_hours
from tests.support.kinds_sql import LIMIT, MODEL, plant_models
from tests.support.small_lake import Row, arrow_table

START = datetime(2026, 11, 20, 5, tzinfo=UTC)
HOURS = (0, 1, 4, 8, 9, 20, 70, 72)
_HOUR = st.sampled_from(HOURS)
_STEPS = st.lists(
    st.tuples(st.sampled_from(("arrive", "arrive", "arrive", "move", "refuse", "publish")), _HOUR, _HOUR),
    min_size=2,
    max_size=10,
)


class Played:
    """A silver with the states of two devices and with refusals, and the published hours of the states."""

    def __init__(self, folder: Path) -> None:
        self.settings = Settings(home=folder, lake_uri=str(folder / "lake"))
        self.models = plant_models(self.settings.models_folder)
        self.readings: list[Reading] = []
        self.refused: list[datetime] = []
        self.gold: dict[str, list[tuple[object, ...]]] = {}
        self._write(SILVER_DEVICES, [])
        self._write(SILVER_REJECTED, [])
        self._write(COUNTER_HOURS, [])

    def arrive(self, hour: int, other: int) -> None:
        """A device says its state, late in an hour or at its start."""
        at = START + hour * HOUR + (59 * timedelta(minutes=1) if other % 2 else timedelta())
        self.readings.append(Reading("ab"[other % 3 == 0], at, len(self.readings), ("on", "off")[other % 2]))
        self._readings({slice_of(at)})

    def move(self, hour: int, to: int) -> None:
        """What was in an hour is judged anew and counts in another."""
        ours = [each for each in self.readings if each.hour == START + hour * HOUR]
        self.readings = [each for each in self.readings if each not in ours]
        self.readings += [Reading(each.device, each.at + (to - hour) * HOUR, each.offset, each.value) for each in ours]
        self._readings({slice_of(START + each * HOUR) for each in (hour, to)})

    def refuse(self, hour: int, _: int) -> None:
        """A record comes that is no reading."""
        self.refused.append(START + hour * HOUR)
        rows: list[Row] = [
            {"topic": "telemetry", "partition": 0, "offset": number, "event_at": at, "event_date": at.date(),
             "event_hour": at.hour} for number, at in enumerate(self.refused)
        ]  # fmt: skip
        self._write(SILVER_REJECTED, rows, {slice_of(START + hour * HOUR)})

    def publish(self, *_: int) -> None:
        """What is stale is made of the silver of now; of what is gone nothing is left."""
        found = stale_slices(self.settings, self.models)
        full = self.full()
        for hour in found.hours:
            self.gold[hour] = [] if hour in found.gone else full.get(hour, [])
        if found.hours:
            self._publish(sorted(found.hours))

    def full(self) -> dict[str, list[tuple[object, ...]]]:
        """The rows by hour that a refresh of everything makes."""
        every = [*(each.at for each in self.readings), *self.refused]
        first, last = slice_of(min(every, default=START)), slice_of(max(every, default=START - HOUR))
        rows = state_hours(self.readings, LIMIT, [slice_start(each) for each in slices_between(first, last)])
        made: dict[str, list[tuple[object, ...]]] = {}
        for (device, hour, state), row in rows.items():
            made.setdefault(slice_of(hour), []).append((device, state, row["reading_count"], row["duration_s"]))
        return made

    def _readings(self, slices: set[str]) -> None:
        rows: list[Row] = [
            {"device_id": each.device, "model_id": MODEL, "topic": "telemetry", "partition": 0, "offset": each.offset,
             "event_at": each.at, "event_date": each.at.date(), "event_hour": each.at.hour, "mode": each.value}
            for each in self.readings
        ]  # fmt: skip
        self._write(next(iter(silver_tables(self.models.values()).values())), rows, slices)

    def _write(self, table: Table, rows: list[Row], slices: Collection[str] = ()) -> int:
        uri = table_uri(self.settings, table.name)
        metadata: Mapping[str, object] = {"step": "rebuild", "slices": runs_of(slices)}
        properties = CommitProperties(custom_metadata={"userMetadata": json.dumps(metadata)})
        write_deltalake(
            uri, arrow_table(table, rows), mode="overwrite", partition_by=list(table.partition_by) or None,
            commit_properties=properties,
        )  # fmt: skip
        return int(DeltaTable(uri).version())

    def _publish(self, slices: list[str]) -> None:
        moments = {slice_of(each) for each in [*(one.at for one in self.readings), *self.refused]}
        heard = [_row(hour) for hour in moments]
        states = [
            _row(hour) | {"metric_name": "mode", "unit": "1", "state": state, "reading_count": count}
            | {"device_id": device} for hour, rows in self.gold.items() for device, state, count, _ in rows
        ]  # fmt: skip
        tables = {table.name: 0 for table in (*KIND_TABLES, DEVICE_SILENCES)}
        tables[DEVICE_COMPLETENESS.name] = self._write(DEVICE_COMPLETENESS, heard)
        tables[STATE_HOURS.name] = self._write(STATE_HOURS, states)
        previous = publications.newest(self.settings)
        publications.record(
            self.settings,
            Publication(
                publication_id=1 if previous is None else previous.publication_id + 1, published_at=START,
                tables=tables, inputs=silver_versions(self.settings, self.models), slices=tuple(slices), held=(),
                releases=(), first_slice=min(moments, default=""), last_slice=max(moments, default=""),
                models={model_id: model.digest for model_id, model in self.models.items()}, code_version="test",
                run_id="test",
            ),
        )  # fmt: skip


def _row(slice_: str) -> Row:
    start = slice_start(slice_)
    return {"device_id": "a", "hour_at": start, "event_date": start.date(), "event_hour": start.hour}


@hypothesis_settings(max_examples=25, deadline=None)
@given(_STEPS)
@example([("arrive", 0, 1), ("arrive", 8, 1), ("publish", 0, 0), ("move", 8, 0)])
@example([("arrive", 0, 1), ("publish", 0, 0), ("refuse", 8, 0)])
@example([("arrive", 0, 0), ("arrive", 4, 0), ("refuse", 0, 0), ("publish", 0, 0), ("move", 0, 4)])
def test_states_in_silent_hours_are_those_of_a_full_refresh(steps: list[tuple[str, int, int]]) -> None:
    """Records come late, leave hours, end silences and begin them: hours without any have the states carried into
    them, and no others; then nothing is stale."""
    with tempfile.TemporaryDirectory() as folder:
        played = Played(Path(folder))
        for name, hour, other in (*steps, ("publish", 0, 0)):
            getattr(played, name)(hour, other)
        assert {hour: sorted(rows) for hour, rows in played.gold.items() if rows} == {
            hour: sorted(rows) for hour, rows in played.full().items()
        }
        assert stale_slices(played.settings, played.models).hours == {}


def test_no_more_silent_hours_are_built_than_the_limit_allows(tmp_path: Path) -> None:
    """Of a silence of days the hours that a state of a limit of two hours may reach, whatever its length."""
    models = plant_models(tmp_path)
    hours = {slice_of(START), slice_of(START + 70 * HOUR)}
    found = carried_into_silence(models, {"silver.plants": {slice_of(START)}}, hours)
    assert found == {slice_of(START + HOUR), slice_of(START + 2 * HOUR)}
    assert carried_into_silence({}, {"silver.plants": hours}, hours) == frozenset()
