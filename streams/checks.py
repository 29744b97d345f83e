"""Checks: whether the hot path could run.

Belongs here: what `lakehouse doctor` finds of windows, rules and the model in use.
"""

from runtime.errors import LakehouseError, UsageError
from runtime.findings import Check, Finding
from runtime.settings import Settings
from runtime.wording import counted


def check_declarations(settings: Settings) -> Finding:
    """The windows and rules of the home can be used."""
    from streams.declarations import load_declarations, streams_folder

    try:
        declared = load_declarations(settings)
    except UsageError as error:
        return Finding("windows and rules", False, str(error), f"Mend it in {streams_folder(settings)}.")
    return Finding(
        "windows and rules", True, f"{counted(len(declared.windows), 'window')}, {counted(len(declared.rules), 'rule')}"
    )


def check_model(settings: Settings) -> Finding:
    """The promoted model version, if there is one, can score; the hot path goes on without one that cannot."""
    from streams.declarations import load_declarations
    from streams.scoring.model_store import promoted, read_version
    from streams.scoring.scores import Model, check_minutes

    try:
        version = promoted(settings)
        if version is None:
            return Finding("model", True, "none in use")
        check_minutes(load_declarations(settings).windows)
        Model(*read_version(settings, version)).close()
    except LakehouseError as error:
        return Finding("model", False, f"there are no scores: {error}", "Or end scoring: lakehouse ml promote none.")
    return Finding("model", True, f"version {version}")


CHECKS: tuple[Check, ...] = (check_declarations, check_model)
