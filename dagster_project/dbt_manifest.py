"""dbt's manifest: the parsed project from which the candidate assets follow.

Belongs here: making it when the project has changed. It depends on the files of `dbt/` alone, so it lies beside the
jars in the environment, for every home; set-up makes it, or else whoever first needs it does (some 10 s, once).
"""

import hashlib
import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from lake.project_files import DBT_FOLDER, PROJECT_FOLDER
from runtime.errors import StepError
from runtime.settings import inherited_environment

_PARTS = ("dbt_project.yml", "profiles.yml", "models", "macros", "tests")
_DBT = "from dbt.cli.main import cli; cli()"


def manifest_path() -> Path:
    """Where the manifest of the project as it is now lies, or would lie."""
    digest = hashlib.sha256()
    for part in _PARTS:
        root = DBT_FOLDER / part
        for path in sorted(root.rglob("*")) if root.is_dir() else [root]:
            if path.is_file():
                digest.update(path.relative_to(DBT_FOLDER).as_posix().encode() + b"\0" + path.read_bytes())
    return Path(sys.prefix) / "share" / "lakehouse" / "dbt" / digest.hexdigest()[:16] / "manifest.json"


def ensure_manifest() -> dict[str, Any]:
    """The manifest, made by `dbt parse` when the project has changed. Raises StepError with dbt's own message."""
    path = manifest_path()
    if not path.is_file():
        print("Reading the dbt project (some 10 s, once) ...", file=sys.stderr, flush=True)
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=path.parent) as folder:
            _parse(Path(folder))
            (Path(folder) / "manifest.json").replace(path)
    manifest: dict[str, Any] = json.loads(path.read_text())
    return manifest


def _parse(target: Path) -> None:
    environment = {
        "DBT_PROJECT_DIR": str(DBT_FOLDER),
        "DBT_PROFILES_DIR": str(DBT_FOLDER),
        "DBT_TARGET_PATH": str(target),
        "DBT_LOG_PATH": str(target),
        "DBT_SEND_ANONYMOUS_USAGE_STATS": "false",
        "DO_NOT_TRACK": "1",
    }
    # from the project's folder, so that dbt finds the plugin of `lake` with or without an installation
    done = subprocess.run(
        [sys.executable, "-c", _DBT, "parse"],
        cwd=PROJECT_FOLDER,
        env=inherited_environment(environment),
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise StepError(f"dbt cannot parse {DBT_FOLDER}: {done.stdout.strip() or done.stderr.strip()}")


def main() -> int:
    """`python -m dagster_project.dbt_manifest`: what the set-up runs."""
    try:
        ensure_manifest()
    except StepError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main())
