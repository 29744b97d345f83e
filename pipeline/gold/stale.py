"""Stale slices: what gold has to be rebuilt, and why, read from the commits of the silver tables.

Belongs here: comparing the newest publication's inputs with what silver has committed since. Nothing is remembered
between runs, so nothing can be forgotten: a lost orchestrator database loses no stale slice.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from itertools import pairwise

from deltalake import DeltaTable

from lake.models.catalog import Model
from lake.records.publications import Publication, newest
from lake.slices import HOUR, slice_of, slice_start, slices_between
from lake.storage.delta import open_table
from lake.storage.retention import final_before
from lake.storage.slice_files import slices_of
from lake.storage.spark_commits import commits_of, is_changed
from lake.tables.silver import SILVER_DEVICES, SILVER_REJECTED, UNSLICED_SILVER
from pipeline.gold.published_hours import published_hours
from runtime.settings import Settings

# Hours in which the whole lake is silent are completed with zeros up to this long after the last hour with records;
# without a limit one recording from years ago would put every hour since then in the books.
MAX_SILENCE = timedelta(days=31)


@dataclass(frozen=True)
class Stale:
    """Slices whose inputs changed after the gold that was built from them, each with the reasons.

    `with_records` are all slices of silver that have records now, stale or not, and can be built from bronze. Of the
    stale ones `emptied` have lost all records that they had, and `gone` are to leave gold: it has them, and silver
    neither has records there nor is silent between hours that have.
    """

    hours: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    with_records: frozenset[str] = frozenset()
    emptied: frozenset[str] = frozenset()
    gone: frozenset[str] = frozenset()


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
    for name in sliced:
        for slice_, why in _touched(name, silver[name], publication, present[name]).items():
            reasons.setdefault(slice_, []).append(why)
    emptied = reasons.keys() - with_records
    silent = _silences(with_records, reasons, publication)
    for slice_ in silent - reasons.keys():
        reasons[slice_] = ["no device sent anything in this hour"]
    known = with_records | set(silences_between(with_records))
    for slice_ in _moved(silver.get(SILVER_DEVICES.name), publication, known):
        reasons.setdefault(slice_, []).append("the registry changed")
    final = final_before(settings)
    beyond = emptied or (publication is not None and publication.last_slice > max(known, default=""))
    gone = _gone(settings, publication, with_records, known, final) if beyond else set()
    for slice_ in gone:
        reasons.setdefault(slice_, ["it has no records any more"])
    hours = {s: tuple(reasons[s]) for s in sorted(reasons) if s >= final and (s in known or s in gone)}
    return Stale(
        hours,
        frozenset(slice_ for slice_ in with_records if slice_ >= final),
        frozenset(emptied & hours.keys()),
        frozenset(gone & hours.keys()),
    )


def _gone(
    settings: Settings,
    publication: Publication | None,
    with_records: Collection[str],
    known: Collection[str],
    final: str,
) -> set[str]:
    """Published hours that are not known any more. It reads gold: ask when hours have lost their records, or when gold
    goes beyond what is known."""
    if publication is None or not publication.last_slice:
        return set()
    first = min((slice_ for slice_ in with_records if slice_ >= final), default="")
    # before the first hour that is left gold may have hours whose records retention has taken out
    return {s for s in published_hours(settings, publication) if s not in known and not (final and s < first)}


def silences_between(with_records: Iterable[str]) -> list[str]:
    """Hours without any record that follow one with records, within MAX_SILENCE, up to the next one with records."""
    return [slice_ for _, silent, _ in _silences_amid(with_records) for slice_ in silent]


def _silences_amid(with_records: Iterable[str]) -> Iterator[tuple[str, list[str], str]]:
    """Silences between hours with records: the one before, the silent hours, the one after."""
    for before, after in pairwise(sorted(with_records)):
        first = slice_start(before) + HOUR
        last = min(slice_start(after) - HOUR, slice_start(before) + MAX_SILENCE)
        if last >= first:
            yield before, slices_between(slice_of(first), slice_of(last)), after


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
        slice_: f"{count} commit{'s' if count > 1 else ''} to {table} since version {published}"
        for slice_, count in counts.items()
    }


def _silences(with_records: frozenset[str], touched: Collection[str], publication: Publication | None) -> set[str]:
    """Silent hours next to hours that became known since the publication: the ones not yet in the books.

    A silence is done again when the hours with records that end it were touched: an hour amid a longer one may be new.
    """
    if publication is None or not publication.first_slice:
        return set(silences_between(with_records))
    first, last = publication.first_slice, publication.last_slice
    found: set[str] = set()
    for before, silent, after in _silences_amid(with_records):
        is_ended = slice_start(after) - HOUR == slice_start(silent[-1])  # else it goes on beyond MAX_SILENCE
        if before in touched or (is_ended and after in touched):
            found.update(silent)
        elif not (silent[0] >= first and silent[-1] <= last):
            found.update(slice_ for slice_ in silent if not first <= slice_ <= last)
    return found


def _moved(devices: DeltaTable | None, publication: Publication | None, known: Collection[str]) -> set[str]:
    """Known slices in which a registry record differs from the published one."""
    if publication is None or devices is None:
        return set()
    moved: set[str] = set()
    for commit in commits_of(devices, publication.inputs.get(SILVER_DEVICES.name, -1)):
        for start, end in commit.metadata.get("intervals", []):
            moved |= {slice_ for slice_ in known if start <= slice_ and (end is None or slice_ <= end)}
    return moved
