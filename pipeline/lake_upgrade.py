"""Upgrading a lake: its tables from the format that they have to the one of this program.

Belongs here: what each step does to a table, and finding the tables that are behind. What a format is, and that it may
be opened at all, is `lake.storage.format_version`'s.

A step is done to one table after the other, and ends with the commit that says the new format: killed at any moment and
run again it goes on with the tables that are left. No figure changes and no publication is let go.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from deltalake import DeltaTable

from lake.models.catalog import Model
from lake.storage.delta import HOOKS, open_table
from lake.storage.format_version import FORMAT, KEEP_LOG, description, format_of
from lake.storage.lease import ensure_held, writer_lease
from pipeline.maintenance import every_table
from pipeline.run import Run
from runtime.settings import Settings


@dataclass(frozen=True)
class Behind:
    """A table in an older format than this program writes."""

    table: str
    number: int


def tables_behind(settings: Settings, models: Mapping[str, Model]) -> list[Behind]:
    """The tables that `upgrade` would bring up. Raises FormatError for one that is newer than this program."""
    found = [(table.name, open_table(settings, table.name)) for table in every_table(models)]
    numbers = {name: format_of(opened) for name, opened in found if opened is not None}
    return [Behind(name, number) for name, number in numbers.items() if number < FORMAT]


def upgrade(run: Run) -> list[Behind]:
    """Bring every table up to this program's format; returns those that were behind.

    Raises LeaseError when others write for longer than the run waits, FormatError as `tables_behind` does.
    """
    with writer_lease(run.settings, "upgrade", run.wait_s):
        behind = tables_behind(run.settings, run.models)
        for each in behind:
            run.progress(f"{each.table} from format {each.number} to {FORMAT}")
            for number in range(each.number, FORMAT):
                _bring_up(run.settings, each.table, number)
    return behind


def _bring_up(settings: Settings, table: str, number: int) -> None:
    opened = open_table(settings, table)
    if opened is not None and format_of(opened) == number:
        ensure_held(settings)
        _STEPS[number](opened)
        ensure_held(settings)
        opened.alter.set_table_description(description(number + 1), post_commithook_properties=HOOKS)


def _keep_log(opened: DeltaTable) -> None:
    """Format 1 to 2: whoever writes leaves the log to upkeep, which knows what publications pin."""
    if opened.metadata().configuration.get(KEEP_LOG) != "false":
        opened.alter.set_table_properties({KEEP_LOG: "false"}, post_commithook_properties=HOOKS)


def _leave(opened: DeltaTable) -> None:
    """Format 2 to 3: nothing but the number; the next refresh takes silent hours out of gold and states them anew, and
    makes the figures by kind of all hours; columns that came are null in rows of before."""


_STEPS: Mapping[int, Callable[[DeltaTable], None]] = {1: _keep_log, 2: _leave}
"""By the format that a table has, what makes the next one of it. Done twice a step is as done once."""
