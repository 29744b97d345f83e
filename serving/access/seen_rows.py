"""Seen rows: which rows of gold a caller may see.

Belongs here: the condition for each table, as SQL. What is asked besides belongs in `api`.

A row belongs to the site where its device stood at the start of its hour. A day of a device that moved belongs to both
sites, and is seen by who sees both: its figures would tell of the one what only the other may know.
"""

from datetime import timedelta
from typing import Any

from lake.sql_text import Expression
from lake.tables.contracts import Table
from lake.tables.gold import DEVICE_HOURS
from serving.access.doors import Caller

_DAY = timedelta(days=1)


def seen_rows(table: Table, caller: Caller) -> tuple[Expression, list[Any]]:
    """A condition for the rows of a table that the caller sees, and its parameters."""
    if caller.sites is None:
        return Expression("true"), []
    condition = seen_by(table, Expression("?::VARCHAR[]"))
    return condition, [list(caller.sites)] * condition.count("?")


def seen_by(table: Table, sites: Expression) -> Expression:
    """A condition for the rows of a table at some sites, an SQL expression of a list."""
    here = Expression(f"list_contains({sites}, site_id)")
    if not may_span_sites(table):
        return here
    elsewhere = f"""FROM {DEVICE_HOURS.name} h WHERE h.device_id = {table.short_name}.device_id
        AND h.event_date = {table.short_name}.event_date AND NOT coalesce(list_contains({sites}, h.site_id), false)"""
    return Expression(f"{here} AND NOT EXISTS ({elsewhere})")


def may_span_sites(table: Table) -> bool:
    """True when a row is about more than an hour of a device, in which it may have moved."""
    return table.period is not None and table.period.length >= _DAY and "device_id" in table.key
