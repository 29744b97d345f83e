"""Checks: whether the lake is in this program's format.

Belongs here: looking at the tables' formats. Bringing them up is `lake_upgrade`'s.
"""

from lake.models.catalog import known_models
from lake.storage.format_version import FORMAT
from pipeline.lake_upgrade import tables_behind
from runtime.errors import LakehouseError
from runtime.findings import Check, Finding
from runtime.settings import Settings


def check_format(settings: Settings) -> Finding:
    """Every table that there is can be opened, and is in the format that this program writes."""
    try:
        behind = tables_behind(settings, known_models(settings))
    except LakehouseError as error:
        return Finding("format", False, str(error), "Mend what is named, and ask again.")
    if behind:
        found = f"{len(behind)} tables are in an earlier format than {FORMAT}"
        return Finding("format", False, found, "Run `lakehouse upgrade`; until then the lake is used as it is.")
    return Finding("format", True, f"format {FORMAT}")


CHECKS: tuple[Check, ...] = (check_format,)
