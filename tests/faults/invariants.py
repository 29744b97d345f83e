"""The invariants: what every case ends with, whatever was done to the lake before.

Belongs here: asking a lake whether every message counts once, whether gold is what a rebuild gives, and what readers
see. How a lake came to its state belongs in the cases.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

import duckdb

from lake.models.catalog import known_models
from lake.reading.reader import open_reader
from lake.records import publications
from lake.records.publications import Publication
from lake.slices import day_of
from lake.storage.delta import commit_metadata
from lake.storage.duckdb_connection import connect, scan
from lake.storage.locations import table_uri
from lake.storage.spark_commits import is_changed_since
from lake.tables.gold import GOLD_TABLES
from pipeline.gold.plan import GoldPlan, build_candidates
from pipeline.gold.silences import silences_amid
from pipeline.gold.stale import stale_slices
from pipeline.proof.reconcile import reconcile
from runtime.settings import Settings

Seen = Mapping[str, object]
"""Gold table -> a digest of its rows, as readers see them; `publication` -> its id."""

_DIGEST = "SELECT count(*), sum(hash(t)::HUGEINT) FROM {} AS t"


@dataclass
class Invariants:
    """Checks lakes; a rebuild is kept for the lakes whose silver has the same rows. `folder` is for rebuilds."""

    folder: Path
    _rebuilt: dict[object, Path] = field(default_factory=dict)

    def hold(self, settings: Settings, manifest: Path, *, lost: int = 0) -> None:
        """Assert all of them on a lake that has taken in everything that the manifest names.

        `lost` messages were deleted in Kafka before they could be read.
        """
        if lost:
            assert_all_but(settings, manifest, lost)
        else:
            assert_once(settings, manifest)
        published = publications.newest(settings)
        assert published is not None, "nothing is published"
        assert_whole(settings, published)
        stale = stale_slices(settings, known_models(settings)).hours
        assert not stale, f"not all is published: {stale}"
        with connect(settings) as connection:
            rebuilt = self._rebuild(settings, published, connection)
            connection.execute(f"ATTACH '{rebuilt}' AS candidate (READ_ONLY)")
            for table in GOLD_TABLES:
                ours = f"SELECT {', '.join(table.column_names)} FROM "
                gold = ours + scan(table_uri(settings, table.name), published.tables[table.name])
                full = f"{ours} candidate.gold.{table.short_name}"
                for what, one, other in (("more", gold, full), ("less", full, gold)):
                    rows = connection.sql(f"{one} EXCEPT ALL {other} LIMIT 3").fetchall()
                    assert not rows, f"{table.name} has {what} than a full rebuild gives: {rows}"

    def _rebuild(self, settings: Settings, published: Publication, connection: duckdb.DuckDBPyConnection) -> Path:
        """The candidates of all slices, built from the published silver as if there had been no gold."""
        key = tuple(
            connection.sql(_DIGEST.format(scan(table_uri(settings, name), version))).fetchall()[0]
            for name, version in sorted(published.inputs.items())
        )
        if key not in self._rebuilt:
            home = self.folder / str(len(self._rebuilt))
            models = known_models(settings)
            stale = stale_slices(settings, models)
            with_records, carried = sorted(stale.with_records), stale.carried
            hours = dict.fromkeys(with_records, True) | dict.fromkeys(carried, False)
            days = {day_of(hour): [h for h in with_records if day_of(h) == day_of(hour)] for hour in hours}
            silences = silences_amid(with_records)
            plan = GoldPlan(hours, days, published.inputs, models, carried=carried, silences=silences)
            self._rebuilt[key] = build_candidates(replace(settings, home=home), plan)
        return self._rebuilt[key]


def assert_once(settings: Settings, manifest: Path) -> None:
    """Every message of the manifest is in bronze, silver and gold once, and nothing else is."""
    found = reconcile(settings, manifest)
    wrong = [line for line in found.lines if not line.meets]
    assert not wrong, f"not every message counts once: {wrong} {found.differences}"


def assert_all_but(settings: Settings, manifest: Path, lost: int) -> None:
    """So many messages of the manifest are nowhere; every other one is in bronze once and in silver once."""
    lines = {line.what: line for line in reconcile(settings, manifest).lines}
    sent = lines["bronze.telemetry: messages sent"]
    assert int(sent.expected) - int(sent.found) == lost, sent
    for what in (
        "Kafka offsets stored twice",
        "records that were not sent",
        "bronze records in no silver table, or in two",
        "silver records that bronze does not have",
    ):
        assert lines[what].meets, lines[what]


def assert_whole(settings: Settings, published: Publication) -> None:
    """One record pins a version of every gold table, what was written for it names its run, and nothing but upkeep has
    written since."""
    assert set(published.tables) == {table.name for table in GOLD_TABLES}
    for name, version in published.tables.items():
        assert not is_changed_since(settings, name, version), f"{name} is pinned at {version}, not at its newest rows"
        run_id = commit_metadata(settings, name, version).get("run_id")
        earlier = {p.run_id for p in publications.list_all(settings) if p.tables[name] == version}
        assert run_id is None or run_id in earlier, (
            f"{name} at {version} was written by {run_id}, which published nothing"
        )


def seen(settings: Settings) -> Seen:
    """What readers see of gold, all tables of it, now."""
    with open_reader(settings, known_models(settings)) as reader:
        found: dict[str, object] = {}
        for table in GOLD_TABLES:
            (statement,) = reader.statements(_DIGEST.format(table.name))
            found[table.name] = reader.run(statement).fetchall() if reader.publication else None
        return found | {"publication": reader.publication and reader.publication.publication_id}
