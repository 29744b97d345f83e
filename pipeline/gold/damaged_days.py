"""Damaged days: dates of which a file of published gold is not what was published.

Belongs here: finding them among the dates of which a refresh replaces some hours, and having all of their hours built.
What is kept of such a file would be read, and published again as if it were right; what is replaced as a whole date is
never read. A slice is a pure function of silver, so building more of a date than was asked for changes nothing else.
"""

from collections.abc import Collection, Iterable
from dataclasses import replace

from lake.records import gold_hashes
from lake.records.publications import Publication
from lake.slices import day_of, slices_of_day
from lake.storage.retention import final_before
from lake.tables.gold import HOURLY
from pipeline.gold.stale import Stale
from runtime.errors import StepError
from runtime.settings import Settings


def damaged_days(settings: Settings, publication: Publication | None, hours: Iterable[str]) -> dict[str, str]:
    """Day -> what is wrong, of the days that some of the hours to be replaced lie in; final ones are left out.

    Reads all bytes of the files of these days, not more.
    """
    final = final_before(settings)
    days = {day_of(hour) for hour in hours}
    if publication is None or not days:
        return {}
    found = gold_hashes.damaged_on(settings, publication, [table.name for table in HOURLY], days)
    return {
        day: f"{damage.table} of {day} is damaged: its file {damage.path} {damage.what}"
        for day, damage in found.items()
        if day >= final
    }


def with_whole_days(
    hours: Iterable[str], stale: Stale, known: Collection[str], days: Collection[str]
) -> tuple[list[str], Stale]:
    """The hours to build with all hours of `days`; those that are not known leave gold, so that nothing is kept."""
    every = {hour for day in days for hour in slices_of_day(day)}
    return sorted({*hours, *every}), replace(stale, gone=stale.gone | (every - set(known)))


def check_not_held(damaged: dict[str, str], held: Iterable[str]) -> None:
    """Raises StepError when an hour of a damaged day is held: what is published of it cannot be kept."""
    for hour in sorted(held):
        if day_of(hour) in damaged:
            raise StepError(
                f"{damaged[day_of(hour)]}. Its day cannot be built anew as a whole, since {hour} is held: see "
                f"`lakehouse status`, then mend what holds it, or let it pass: lakehouse release {hour} --why …"
            )
