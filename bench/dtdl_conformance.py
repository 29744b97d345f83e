"""The DTDL reader beside the public conformance cases of the language's parser (DTDLParser, MIT licence).

Belongs here: the score over a checkout of that repository, and `lake/models/dtdl_rules.json` made from its digest of
the language. Neither the cases nor the digest are part of this project.

    python -m bench.dtdl_conformance score  PATH/TO/DTDLParser
    python -m bench.dtdl_conformance rules PATH/TO/DTDLParser
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

_RULES = Path(__file__).parents[1] / "lake" / "models" / "dtdl_rules.json"
_VERSIONS = ("2", "3", "4")
_LITERAL = {"minCount": "min", "maxCount": "max", "pattern": "pattern", "minInclusive": "least", "value": "value",
            "values": "values", "valueUris": "uris", "uniqueProperties": "unique", "versions": "versions"}  # fmt: skip


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


def rules(digest: dict[str, Any]) -> dict[str, Any]:
    """What `dtdl_rules` reads: classes, terms, types that stand beside classes, elements and families of values."""
    return {
        "classes": {version: _classes(digest, version) for version in _VERSIONS},
        "contexts": {name: _grouped(terms) for name, terms in digest["contexts"].items()},
        "supplements": {name: _supplement(each) for name, each in digest["supplementalTypes"].items()},
        "elements": _by_type(digest["elements"]),
        "families": digest["families"],
    }


def _classes(digest: dict[str, Any], version: str) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, each in digest["materialClasses"].items():
        if int(version) not in each["dtdlVersions"] or each["abstract"]:
            continue
        props = {
            prop: _property(rule["_"], rule[version])
            for prop, rule in each["properties"].items()
            if prop != "languageMajorVersion" and rule.get(version, {}).get("allowed")
        }
        kin = [dtmi.rpartition(":")[2].partition(";")[0] for dtmi in each["typeIds"]]
        found[name] = {"kin": kin, "props": props}
        if int(version) in each["idRequiredVersions"]:
            found[name]["id"] = 1
    return found


def _property(base: dict[str, Any], own: dict[str, Any]) -> dict[str, Any]:
    if base["literal"]:
        found: dict[str, Any] = {"is": base.get("datatype", "any")}
    else:
        found = {"of": own.get("class") or base.get("class") or ""}
    found |= {ours: own[theirs] for theirs, ours in _LITERAL.items() if own.get(theirs) not in (None, [])}
    if base["plural"]:
        found["many"] = 1
    if own.get("maxLength"):
        found["length"] = own["maxLength"][""]
    if own.get("idRequired") and not base["literal"]:
        found["id"] = 1
    if not own.get("typeRequired", True):
        found["untyped"] = 1
    return found


def _supplement(each: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = {"on": each["cotypes"], "in": each["cotypeVersions"]}
    if each["abstract"]:
        found["abstract"] = 1
    if each["parent"]:
        found["parent"] = each["parent"]
    if each["properties"]:
        found["props"] = {name: _of_supplement(rule) for name, rule in each["properties"].items()}
    schemas = [
        constraint["requiredTypeNames"]
        for constraint in each["constraints"]
        if constraint["property"] == "schema"
        and not constraint.get("inverse")
        and all(dtmi.startswith("dtmi:dtdl:class:") for dtmi in constraint.get("requiredTypes") or [""])
    ]
    if schemas:
        found["schema"] = schemas[0]
    return found


def _of_supplement(rule: dict[str, Any]) -> dict[str, Any]:
    found = {"name": rule["propertyName"], "min": rule.get("minCount")}
    unit = rule.get("childOf") or (rule.get("type") if "Unit" in str(rule.get("type")) else None)
    return {name: value for name, value in (found | {"unit": unit}).items() if value is not None}


def _grouped(terms: dict[str, str]) -> dict[str, list[str] | str]:
    """Terms by what they stand for, with * for the term itself; one that is called otherwise stands alone."""
    found: dict[str, Any] = {}
    for term, meaning in terms.items():
        before, separator, behind = meaning.rpartition(term)
        if separator and before.endswith(":") and (not behind or behind.startswith(";")):
            found.setdefault(f"{before}*{behind}", []).append(term)
        else:
            found[meaning] = term
    return found


def _by_type(elements: list[dict[str, Any]]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for each in elements:
        types = each["@type"] if isinstance(each["@type"], list) else [each["@type"]]
        found.setdefault(" ".join(types), []).append(each["@id"])
    return found


def main() -> None:
    """Score, or write the rules."""
    action, folder = sys.argv[1], Path(sys.argv[2])
    if action == "score":
        print(json.dumps(score(folder)))
    else:
        digest = json.loads((folder / "dtdl" / "dtdl_digest.json").read_text(encoding="utf-8-sig"))
        parts = (f"{json.dumps(name)}: {_lines(value)}" for name, value in rules(digest).items())
        _RULES.write_text("{" + ",\n".join(parts) + "}\n", encoding="utf-8")


def _lines(value: dict[str, Any]) -> str:
    inside = (f" {json.dumps(name)}: {json.dumps(each, separators=(',', ':'))}" for name, each in value.items())
    return "{\n" + ",\n".join(inside) + "}"


if __name__ == "__main__":
    main()
