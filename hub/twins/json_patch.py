"""JSON patches of RFC 6902, as far as Azure's twins take them: add, replace, remove.

Belongs here: applying a patch to a document. What may be patched belongs to whose document it is.
"""

import copy
from typing import Any

from hub.hub_errors import HubCode, HubError


def apply_patch(document: dict[str, Any], patch: Any) -> dict[str, Any]:
    """The document after the patch; the one given stays. Raises HubError for what cannot be applied."""
    if not isinstance(patch, list) or not all(isinstance(each, dict) for each in patch):
        raise HubError(HubCode.ArgumentInvalid, "The body is no list of JSON patch operations.")
    made = copy.deepcopy(document)
    for each in patch:
        _apply(made, str(each.get("op")), steps_of(each.get("path")), each)
    return made


def steps_of(path: Any) -> list[str]:
    """The names in a JSON pointer. Raises HubError for what is none."""
    if not isinstance(path, str) or not path.startswith("/"):
        raise HubError(HubCode.ArgumentInvalid, f"{path!r} is no JSON pointer, as /temperature.")
    return [step.replace("~1", "/").replace("~0", "~") for step in path[1:].split("/")]


def _apply(made: Any, operation: str, steps: list[str], each: dict[str, Any]) -> None:
    *above, last = steps
    for step in above:
        if not isinstance(made, dict) or step not in made:
            raise HubError(HubCode.ArgumentInvalid, f"There is nothing at {'/'.join(above)!r} to patch.")
        made = made[step]
    if not isinstance(made, dict):
        raise HubError(HubCode.ArgumentInvalid, f"{'/'.join(above)!r} is no object.")
    if operation in ("add", "replace"):
        if "value" not in each or (operation == "replace" and last not in made):
            raise HubError(HubCode.ArgumentInvalid, f"There is nothing at {last!r} to replace, or no value.")
        made[last] = each["value"]
    elif operation == "remove":
        if last not in made:
            raise HubError(HubCode.ArgumentInvalid, f"There is nothing at {last!r} to remove.")
        del made[last]
    else:
        raise HubError(HubCode.ArgumentInvalid, f"The operation {operation!r} is none of add, replace, remove.")
