"""dbt's manifest: the parsed project, which dbt runs and from which the candidate assets follow.

Belongs here: making it when the project has changed, and reading it. It depends on the files of `dbt/` and on dbt
alone, so it lies beside the jars in the environment, for every home; set-up makes it, or else whoever first needs the
assets does (some 10 s, once). Parsing takes 5.1 s of CPU in a home that has none, 1.1 s in one that has (2026-11-27,
2 cores); reading what was parsed takes 0.2 s.
"""

import hashlib
import json
import logging
import subprocess
import sys
import tempfile
from importlib.metadata import version
from pathlib import Path
from typing import Any

from lake.project_files import DBT_FOLDER, PROJECT_FOLDER
from lake.storage.locations import CANDIDATE_DB
from runtime.errors import StepError
from runtime.settings import inherited_environment

_log = logging.getLogger(__name__)
_PARTS = ("dbt_project.yml", "profiles.yml", "models", "macros", "tests")
_PACKAGES = ("dbt-core", "dbt-adapters", "dbt-duckdb")
_DBT = "from dbt.cli.main import cli; cli()"
_FOR_ASSETS, _FOR_DBT = "manifest.json", "partial_parse.msgpack"


def manifest_folder() -> Path:
    """Where the manifest of the project as it is now lies, or would lie."""
    digest = hashlib.sha256(" ".join(f"{name} {version(name)}" for name in _PACKAGES).encode())
    for part in _PARTS:
        root = DBT_FOLDER / part
        for path in sorted(root.rglob("*")) if root.is_dir() else [root]:
            if path.is_file():
                digest.update(path.relative_to(DBT_FOLDER).as_posix().encode() + b"\0" + path.read_bytes())
    return Path(sys.prefix) / "share" / "lakehouse" / "dbt" / digest.hexdigest()[:16]


def manifest_for_dbt() -> Path:
    """The file that `read_manifest` reads, made or not."""
    return manifest_folder() / _FOR_DBT


def ensure_manifest() -> dict[str, Any]:
    """The manifest, made by `dbt parse` when the project has changed, or when what was made is damaged or gone. Raises
    StepError with dbt's own message."""
    made = manifest_folder()
    found = _made(made)
    if found is None:
        print("Reading the dbt project (some 10 s, once) ...", file=sys.stderr, flush=True)
        made.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=made) as folder:
            run_on_project("parse", Path(folder))
            found = json.loads((Path(folder) / _FOR_ASSETS).read_text())
            for name in (_FOR_DBT, _FOR_ASSETS):
                (Path(folder) / name).replace(made / name)
    return found


def read_manifest() -> Any:
    """The manifest as dbt runs it (`dbt.contracts.graph.manifest.Manifest`); None when nobody has made it, or when it
    is damaged: dbt reads the project itself then. A damaged one is removed, so that the next start makes it anew."""
    from dbt.contracts.graph.manifest import Manifest

    path = manifest_for_dbt()
    if not path.is_file():
        return None
    try:
        return Manifest.from_msgpack(path.read_bytes())
    except Exception as error:  # noqa: BLE001  # each kind of damage has an error of its own
        _log.warning(f"{path} is damaged ({error!r}): {_removed(path)}, and the next start makes it anew.")
        return None


def _removed(path: Path) -> str:
    try:
        path.unlink(missing_ok=True)
    except OSError as error:  # the environment is another user's
        return f"it cannot be removed ({error.strerror}): delete it"
    return "it was removed"


def _made(folder: Path) -> dict[str, Any] | None:
    if not (folder / _FOR_DBT).is_file():
        return None
    try:
        manifest: dict[str, Any] = json.loads((folder / _FOR_ASSETS).read_text())
    except (FileNotFoundError, ValueError):
        return None
    return manifest


def run_on_project(command: str, target: Path) -> None:
    """Let dbt `parse` or `compile` the project into a folder of its own. Raises StepError with dbt's own message."""
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
        [sys.executable, "-c", _DBT, command],
        cwd=PROJECT_FOLDER,
        env=inherited_environment(environment),
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise StepError(f"dbt cannot {command} {DBT_FOLDER}: {done.stdout.strip() or done.stderr.strip()}")


def main() -> int:
    """`python -m pipeline.gold.dbt_manifest`: what the set-up runs."""
    try:
        ensure_manifest()
    except StepError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main())
