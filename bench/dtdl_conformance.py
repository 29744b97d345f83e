"""The DTDL reader beside the public conformance cases of the language's parser (DTDLParser, MIT licence).

Belongs here: the score over a checkout of that repository. The cases are not part of this project, and the rules of
the reader are not made from them.

    python -m bench.dtdl_conformance PATH/TO/DTDLParser
"""

import json
import re
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from lake.models.dtdl import Library, read_declarations
from lake.models.telemetry import telemetry_columns
from runtime.errors import ModelError


def score(folder: Path) -> dict[str, float]:
    """Share of valid cases accepted and of invalid ones refused, and the crashes; prints the kinds that went wrong."""
    found: Counter[tuple[bool, str]] = Counter()
    wrong: Counter[str] = Counter()
    for name, case in _cases(folder):
        try:
            _read(case)
            came = "accepted"
        except ModelError:
            came = "refused"
        except Exception as error:  # noqa: BLE001 - a crash is what is counted
            came = f"crashed: {type(error).__name__}"
        found[case["valid"], came] += 1
        if came != ("accepted" if case["valid"] else "refused"):
            wrong[f"{'valid' if case['valid'] else 'invalid'} {came}: {re.sub(r'V[0-9]$', '', name)}"] += 1
    for kind, count in wrong.most_common(40):
        print(f"{count:6} {kind}")
    cases = {valid: sum(count for (kind, _), count in found.items() if kind == valid) for valid in (True, False)}
    return {
        "valid_accepted_ratio": found[True, "accepted"] / cases[True],
        "invalid_refused_ratio": found[False, "refused"] / cases[False],
        "crashes": sum(count for (_, came), count in found.items() if came.startswith("crashed")),
        "cases": sum(cases.values()),
    }


def _cases(folder: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    for path in sorted((folder / "test-cases").glob("*/*.json")):
        content = json.loads(path.read_text(encoding="utf-8-sig")) if path.parent.name != "dtmis" else []
        for case in content if isinstance(content, list) else [content]:
            if isinstance(case, dict) and {"input", "valid"} <= set(case):
                yield path.stem, case


def _read(case: dict[str, Any]) -> None:
    given = case["input"] if isinstance(case["input"], list) else [case["input"]]
    documents = [each for item in given for each in (item if isinstance(item, list) else [item])]
    resolved = case.get("resolution")
    documents += resolved if isinstance(resolved, list) else []
    declarations = read_declarations(json.dumps(documents).encode(), "case.json")
    library = Library(declarations)
    for model_id in declarations:
        telemetry_columns(library, model_id)


def main() -> None:
    """Score over the checkout that the command names."""
    print(json.dumps(score(Path(sys.argv[1]))))


if __name__ == "__main__":
    main()
