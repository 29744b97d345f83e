"""Checks: whether the hot path could run.

Belongs here: what `lakehouse doctor` finds of windows and rules.
"""

from runtime.errors import UsageError
from runtime.findings import Check, Finding
from runtime.settings import Settings


def check_declarations(settings: Settings) -> Finding:
    """The windows and rules of the home can be used."""
    from streams.declarations import load_declarations, streams_folder

    try:
        declared = load_declarations(settings)
    except UsageError as error:
        return Finding("windows and rules", False, str(error), f"Mend it in {streams_folder(settings)}.")
    return Finding("windows and rules", True, f"{len(declared.windows)} windows, {len(declared.rules)} rules")


CHECKS: tuple[Check, ...] = (check_declarations,)
