"""A model file and its quality file to start from.

Belongs here: the template and writing it. What a model may say is in `dtdl_check` and `limits`.
"""

import json
from pathlib import Path

from lake.models.documents import QUALITY_SUFFIX
from lake.models.dtdl import dtmi_family, dtmi_version, require_dtmi
from lake.models.units import snake_case
from runtime.errors import UsageError

_CONTENTS = [
    {
        "@type": ["Telemetry", "Temperature"],
        "name": "temperature",
        "displayName": "Air temperature",
        "schema": "double",
        "unit": "degreeCelsius",
    },
    {
        "@type": "Telemetry",
        "name": "state",
        "displayName": "What the device is doing",
        "schema": {
            "@type": "Enum",
            "valueSchema": "string",
            "enumValues": [{"name": name, "enumValue": name} for name in ("idle", "running", "fault")],
        },
    },
]
_QUALITY = {
    "reporting_interval_s": 60,
    "late_after_s": 300,
    "max_rejected_ratio": 0.05,
    "ranges": {"temperature": [-40, 85]},
    "missing": {"temperature": [-999]},
    "kinds": {
        "temperature": {"kind": "gauge", "interpolation": "linear", "carry_limit_s": 3600},
        "state": {"kind": "state", "carry_limit_s": 86_400},
    },
}


def write_template(model_id: str, folder: Path) -> tuple[Path, Path]:
    """Write both files into `folder`, named by the last word of the DTMI. Raises UsageError when one is there already,
    and ModelError for what is no DTMI."""
    require_dtmi(model_id, "ID")
    if dtmi_version(model_id) == (0, 0):
        raise UsageError(f"{model_id} has no version: write it as {model_id};1.")
    word = dtmi_family(model_id).rpartition(":")[2]
    path = folder / f"{snake_case(word)}.json"
    quality_path = folder / f"{snake_case(word)}{QUALITY_SUFFIX}"
    model = {
        "@context": ["dtmi:dtdl:context;3", "dtmi:dtdl:extension:quantitativeTypes;1"],
        "@id": model_id,
        "@type": "Interface",
        "displayName": snake_case(word).replace("_", " ").capitalize(),
        "contents": _CONTENTS,
    }
    for each in (path, quality_path):
        if each.exists():
            raise UsageError(f"{each} is there already: give another --folder, or remove it.")
    folder.mkdir(parents=True, exist_ok=True)
    for each, content in ((path, model), (quality_path, _QUALITY)):
        each.write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    return path, quality_path
