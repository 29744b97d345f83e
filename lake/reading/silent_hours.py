"""Silent hours: completeness as readers see it, with a row for each hour of a silence that gold states as a range.

Belongs here: the SQL that spreads `gold.device_silences` over hours, for every reader of a publication. What was due in
a silence is worked out in dbt's `device_silences`; the hours of one are spread when they are asked for, and not before.
"""

from collections.abc import Callable, Mapping

from lake.slices import HOUR_MICROS
from lake.storage.delta import open_table
from lake.tables.gold import DEVICE_COMPLETENESS, DEVICE_SILENCES
from runtime.settings import Settings

_COUNTED = ("received_count", "late_count", "clock_flagged_count", "duplicate_count", "rejected_count")


def has_silences(settings: Settings, tables: Mapping[str, int]) -> bool:
    """True when silences stand in the tables that a publication pins, name to version; asks the log alone."""
    version = tables.get(DEVICE_SILENCES.name)
    opened = None if version is None else open_table(settings, DEVICE_SILENCES.name, version)
    if opened is None:
        return False
    files = opened.get_add_actions(flatten=True)
    return bool(files.num_rows) and any(count != 0 for count in files["num_records"].to_pylist())


def completeness_source(settings: Settings, tables: Mapping[str, int], source: Callable[[str], str]) -> str:
    """What to select from for all of completeness; `source` gives that of a stored table by its name."""
    stored = source(DEVICE_COMPLETENESS.name)
    return with_silent_hours(stored, source(DEVICE_SILENCES.name)) if has_silences(settings, tables) else stored


def with_silent_hours(completeness: str, silences: str) -> str:
    """SQL, in parentheses, for the rows of `completeness` and an hour's row for each hour of `silences`.

    Reporting times are due_from_at + k * interval, k >= 0: those before t are t / interval, rounded up. Where a stretch
    has no interval it is one hour, or nothing is due in it.
    """
    interval = "(reporting_interval_s * 1000000::BIGINT)"

    def due_before(moment: str) -> str:
        return f"((greatest({moment} - epoch_us(due_from_at), 0) + {interval} - 1) // {interval})"

    due = f"coalesce({due_before(f'at_us + {HOUR_MICROS}')} - {due_before('at_us')}, expected_count)"
    values = {
        "hour_at": "make_timestamptz(at_us)",
        "event_date": f"(DATE '1970-01-01' + (at_us // {24 * HOUR_MICROS})::INTEGER)",
        "event_hour": f"(at_us // {HOUR_MICROS} % 24)::INTEGER",
        "expected_count": f"({due})::BIGINT",
        "missing_count": f"({due})::BIGINT",
        **dict.fromkeys(_COUNTED, "0::BIGINT"),
    }
    names = DEVICE_COMPLETENESS.column_names
    columns = ", ".join(f"{values[name]} AS {name}" if name in values else name for name in names)
    return (
        f"(WITH silent AS (SELECT *, unnest(range(epoch_us(hour_at), epoch_us(until_at), {HOUR_MICROS})) AS at_us "
        f"FROM {silences}) SELECT {', '.join(names)} FROM {completeness} UNION ALL SELECT {columns} FROM silent)"
    )
