"""Stale slices: what gold has to be rebuilt, and why, read from the commits of the silver tables.

Belongs here: comparing the newest publication's inputs with what silver has committed since. Nothing is remembered
between runs, so nothing can be forgotten: a lost orchestrator database loses no stale slice.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace

from deltalake import DeltaTable

from lake.models.catalog import Model
from lake.records.publications import Publication, newest
from lake.slices import slice_of, slices_of_runs
from lake.storage.delta import open_table, read_rows
from lake.storage.retention import final_before
from lake.storage.slice_files import slices_of
from lake.storage.spark_commits import commits_of, is_changed
from lake.tables.gold import DEVICE_SILENCES
from lake.tables.gold_kinds import STATE_HOURS
from lake.tables.silver import SILVER_DEVICES, SILVER_REJECTED, SILVER_SITES, UNSLICED_SILVER
from pipeline.gold.carried_hours import carried_into_silence, hours_that_depend, unpublished_kinds
from pipeline.gold.declared_sites import declared_sites, rezoned
from pipeline.gold.model_changes import hours_of_other_models
from pipeline.gold.published_hours import published_hours
from runtime.settings import Settings
from runtime.wording import counted
from transforms.registry_changes import merged


@dataclass(frozen=True)
class Stale:
    """Slices whose inputs changed after the gold that was built from them, each with the reasons.

    `with_records` are all slices of silver that have records now, stale or not, and can be built from bronze. Of the
    stale ones `emptied` have lost all records that they had, and `gone` are to leave gold, or to be known as empty: it
    has them, or waits for them, and silver has no records there. `carried` are all hours amid them without records into
    which states may be carried, stale or not.
    """

    hours: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    with_records: frozenset[str] = frozenset()
    emptied: frozenset[str] = frozenset()
    gone: frozenset[str] = frozenset()
    carried: frozenset[str] = frozenset()

    def with_lost(self, held: Collection[str], final: str) -> "Stale":
        """The same with those of the `held` hours that have lost all records since: gold is to have no row of them, and
        until that is judged they hold their day. Hours before `final` stay as they are."""
        lost = {slice_ for slice_ in held if slice_ >= final} - self.with_records - self.carried
        return replace(self, gone=self.gone | lost)


def silver_versions(settings: Settings, models: Mapping[str, Model]) -> dict[str, int]:
    """The newest version of every silver table that exists."""
    return {name: opened.version() for name, opened in _silver(settings, models).items()}


def _silver(settings: Settings, models: Mapping[str, Model]) -> dict[str, DeltaTable]:
    """Every silver table that exists, opened at its newest version."""
    fixed = {SILVER_REJECTED.name, *(table.name for table in UNSLICED_SILVER)}
    names = sorted({model.table for model in models.values()} | fixed)
    found = ((name, open_table(settings, name)) for name in names)
    return {name: opened for name, opened in found if opened is not None}


def stale_slices(settings: Settings, models: Mapping[str, Model]) -> Stale:
    """What has changed since the newest publication; everything before the first one. Final slices never are stale, and
    neither is what silver does not have and gold never had, whatever a commit says that it touched."""
    publication, silver = newest(settings), _silver(settings, models)
    sliced = [name for name in silver if name not in {table.name for table in UNSLICED_SILVER}]
    present = {name: slices_of(settings, name, silver[name]) for name in sliced}
    with_records = frozenset(slice_ for slices in present.values() for slice_ in slices)
    reasons: dict[str, list[str]] = {}
    for table, name in unpublished_kinds(models, publication):
        reasons |= {slice_: [f"{table} is not published yet"] for slice_ in present.get(name, ())}
    is_lost = False
    for name in sliced:
        touched = _touched(name, silver[name], publication, present[name])
        is_lost = is_lost or not touched.keys() <= set(present[name])
        for slice_, why in touched.items():
            reasons.setdefault(slice_, []).append(why)
    carried = carried_into_silence(models, present, with_records)
    known = with_records | carried
    emptied = reasons.keys() - with_records
    pending = set(slices_of_runs(() if publication is None else publication.pending))
    _add(reasons, pending, "a longer refresh did not come to it")
    emptied |= reasons.keys() - known
    for slice_ in carried:
        if publication is None or slice_ > publication.last_slice:  # known since then, by later records
            reasons.setdefault(slice_, []).append("no device sent anything in this hour")
    _add(reasons, _moved(silver.get(SILVER_DEVICES.name), publication, known), "the registry changed")
    versions = {name: opened.version() for name, opened in silver.items()}
    _add(reasons, _rezoned(settings, publication, versions, with_records), "a site has another time zone")
    final = final_before(settings)
    # before the first hour that is left gold may have hours whose records retention has taken out
    first = min((slice_ for slice_ in with_records if slice_ >= final), default="") if final else ""
    is_lost = is_lost or _is_other(models, publication)
    left = {s for s in _left(settings, publication, with_records, carried, bool(emptied), is_lost) if s >= first}
    for slice_ in left:
        reasons.setdefault(slice_, ["it has no records any more"])
    if publication is not None:
        for slice_ in hours_of_other_models(models, publication, reasons.keys(), known):
            reasons[slice_] = ["a model was another, and a day of it is built again"]
    gone = (left - carried) | (pending - known)  # of those, no date was built before
    for slice_ in hours_that_depend(settings, models, publication, versions, reasons.keys(), known):
        reasons[slice_] = ["an hour changed from which it carries a reading"]
    hours = {s: tuple(reasons[s]) for s in sorted(reasons) if s >= final and (s in known or s in gone)}
    return Stale(
        hours,
        frozenset(slice_ for slice_ in with_records if slice_ >= final),
        frozenset(emptied & hours.keys()),
        frozenset(gone & hours.keys()),
        frozenset(slice_ for slice_ in carried if slice_ >= final),
    )


def _add(reasons: dict[str, list[str]], slices: Collection[str], why: str) -> None:
    for slice_ in slices:
        reasons.setdefault(slice_, []).append(why)


def _left(
    settings: Settings, publication: Publication | None, with_records: Collection[str], carried: Collection[str],
    is_emptied: bool, is_lost: bool,
) -> set[str]:  # fmt: skip
    """Published hours without records, and those into which no state is carried any more.

    Gold is read for them only when hours have lost their records, it goes beyond what is known, or it is of before
    silences were stated as ranges, and has a row for each of their hours; and for states when an hour has lost those of
    one table, from which they may have been carried, or a model has changed, which may carry them for a shorter time.
    """
    if publication is None or not publication.last_slice:
        return set()
    is_by_hour = DEVICE_SILENCES.name not in publication.tables
    is_less = is_emptied or is_by_hour or publication.last_slice > max(with_records, default="")
    found: set[str] = set()
    if is_less:
        found |= published_hours(settings, publication)
    if is_less or is_lost:
        found |= published_hours(settings, publication, STATE_HOURS).difference(carried)
    return found.difference(with_records)


def _is_other(models: Mapping[str, Model], publication: Publication | None) -> bool:
    """True when a model is another than in the publication."""
    published = {} if publication is None else publication.models
    return any(published.get(model_id) != model.digest for model_id, model in models.items())


def _touched(
    table: str, opened: DeltaTable, publication: Publication | None, present: Collection[str]
) -> dict[str, str]:
    """Slices that commits after the published version touched; all of them where the log does not reach back."""
    published = -1 if publication is None else publication.inputs.get(table, -1)
    if opened.version() <= published or (published >= 0 and not is_changed(opened, published)):
        return {}
    commits = commits_of(opened, published) if published >= 0 else []
    if not commits:
        return dict.fromkeys(present, f"{table} is not published yet")
    counts: dict[str, int] = {}
    for commit in commits:
        for slice_ in commit.slices:
            counts[slice_] = counts.get(slice_, 0) + 1
    return {
        slice_: f"{counted(count, 'commit')} to {table} since version {published}" for slice_, count in counts.items()
    }


def _moved(devices: DeltaTable | None, publication: Publication | None, known: Collection[str]) -> set[str]:
    """Known slices in which a registry record differs from the published one."""
    if publication is None or devices is None:
        return set()
    moved: set[str] = set()
    for commit in commits_of(devices, publication.inputs.get(SILVER_DEVICES.name, -1)):
        for start, end in commit.metadata.get("intervals", []):
            moved |= {slice_ for slice_ in known if start <= slice_ and (end is None or slice_ <= end)}
    return moved


def _rezoned(
    settings: Settings, publication: Publication | None, versions: Mapping[str, int], with_records: Collection[str]
) -> set[str]:
    """Hours in which a device stood at a site whose days follow another zone than in the publication."""
    name = SILVER_SITES.name
    if publication is None or versions.get(name) == publication.inputs.get(name):
        return set()
    before, now = (declared_sites(settings, each.get(name)) for each in (publication.inputs, versions))
    sites = rezoned(before, now)
    devices = open_table(settings, SILVER_DEVICES.name) if sites else None
    rows = [] if devices is None else read_rows(devices)
    stays = merged((row["valid_from"], row["valid_to"]) for row in rows if row["site_id"] in sites)
    spans = [(slice_of(start), None if end is None else slice_of(end)) for start, end in stays]
    return {s for s in with_records for start, end in spans if start <= s and (end is None or s <= end)}
