"""Column origins: what every column of dbt's models is made of, found once for each state of the project.

Belongs here: compiling the project and keeping what `column_lineage` finds in it. It depends on the project's files
alone, so it lies beside dbt's manifest in the environment, for every home; set-up makes it, or else whoever first needs
the assets does (some 10 s, once).
"""

import hashlib
import json
import sys
import tempfile
from pathlib import Path

from dagster_project import column_lineage
from dagster_project.column_lineage import Origins, origins_of, write_sample_plan
from lake.storage.locations import CANDIDATE_DB
from pipeline.gold.dbt_manifest import manifest_folder, run_on_project
from pipeline.gold.plan import PLAN_TABLES
from runtime.errors import StepError


def column_origins() -> Origins:
    """By model and column, made by `dbt compile` when the project has changed. Raises StepError with dbt's message."""
    rules = Path(column_lineage.__file__).read_bytes() + json.dumps(PLAN_TABLES).encode()
    path = manifest_folder() / f"column_origins_{hashlib.sha256(rules).hexdigest()[:12]}.json"
    if not path.is_file():
        print("Reading the columns of the dbt project (some 10 s, once) ...", file=sys.stderr, flush=True)
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=path.parent) as folder:
            write_sample_plan(Path(folder) / CANDIDATE_DB)
            run_on_project("compile", Path(folder))
            made = Path(folder) / path.name
            made.write_text(json.dumps(origins_of(json.loads((Path(folder) / "manifest.json").read_text()))))
            made.replace(path)
    origins: Origins = json.loads(path.read_text())
    return origins


def main() -> int:
    """`python -m dagster_project.column_origins`: what the set-up runs."""
    try:
        column_origins()
    except StepError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main())
