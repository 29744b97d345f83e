"""Column origins: what every column of dbt's models is made of, found once for each state of the project.

Belongs here: compiling the project and keeping what `column_lineage` finds in it. It depends on the project's files
alone, so it lies beside dbt's manifest in the environment, for every home; set-up makes it, or else whoever first needs
the assets does (some 10 s, once).
"""

import hashlib
import json
import subprocess
import sys
import tempfile
from pathlib import Path

from dagster_project import column_lineage
from dagster_project.column_lineage import Origins, origins_of, write_sample_plan
from lake.project_files import DBT_FOLDER, PROJECT_FOLDER
from lake.storage.locations import CANDIDATE_DB
from pipeline.gold.dbt_manifest import manifest_folder
from pipeline.gold.plan import PLAN_TABLES
from runtime.errors import StepError
from runtime.settings import inherited_environment

_DBT = "from dbt.cli.main import cli; cli()"


def column_origins() -> Origins:
    """By model and column, made by `dbt compile` when the project has changed. Raises StepError with dbt's message."""
    rules = Path(column_lineage.__file__).read_bytes() + json.dumps(PLAN_TABLES).encode()
    path = manifest_folder() / f"column_origins_{hashlib.sha256(rules).hexdigest()[:12]}.json"
    if not path.is_file():
        print("Reading the columns of the dbt project (some 10 s, once) ...", file=sys.stderr, flush=True)
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=path.parent) as folder:
            _compile(Path(folder))
            made = Path(folder) / path.name
            made.write_text(json.dumps(origins_of(json.loads((Path(folder) / "manifest.json").read_text()))))
            made.replace(path)
    origins: Origins = json.loads(path.read_text())
    return origins


def _compile(target: Path) -> None:
    write_sample_plan(target / CANDIDATE_DB)
    environment = {
        "DBT_PROJECT_DIR": str(DBT_FOLDER),
        "DBT_PROFILES_DIR": str(DBT_FOLDER),
        "DBT_TARGET_PATH": str(target),
        "DBT_LOG_PATH": str(target),
        "LAKEHOUSE_CANDIDATE_DB": str(target / CANDIDATE_DB),
        "DBT_SEND_ANONYMOUS_USAGE_STATS": "false",
        "DO_NOT_TRACK": "1",
    }
    # from the project's folder, so that dbt finds the plugin of `lake` with or without an installation
    done = subprocess.run(
        [sys.executable, "-c", _DBT, "compile"],
        cwd=PROJECT_FOLDER,
        env=inherited_environment(environment),
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise StepError(f"dbt cannot compile {DBT_FOLDER}: {done.stdout.strip() or done.stderr.strip()}")


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
