"""Executor pack: the Python that a cluster's machines judge with, as one folder that runs wherever it is unpacked.

Belongs here: what goes into it, and the archive. What runs with it is `pipeline.silver.executor_tasks` and
`streams.spark_processor`; pyspark is not in it, since Spark gives its own to each task.

An environment of `venv` holds paths of the machine that made it, so this is none: the interpreter, its standard library
and the packages lie beside a script that starts the first and tells it where the others are.
"""

import os
import re
import shutil
import subprocess
import sys
import sysconfig
import tarfile
from collections.abc import Callable, Container, Iterable
from importlib import metadata
from pathlib import Path

from lake.code_version import DISTRIBUTION, versions
from lake.project_files import DBT_FOLDER, PROJECT_FOLDER
from runtime.errors import PlatformError
from runtime.whole_files import write_whole

PYTHON = Path("bin", "python")
"""What LAKEHOUSE_SPARK_PYTHON names, below the folder."""
NEEDED = (
    "confluent-kafka", "deltalake", "duckdb", "duckdb-extension-delta", "duckdb-extension-httpfs", "pandas", "protobuf",
    "psutil", "pyarrow", "pyyaml", "s3fs",
)  # fmt: skip
"""What tasks import, by themselves or through Spark; what these need comes with them."""
_ROOMS = ("runtime", "wire", "lake", "ingestion", "transforms", "pipeline", "streams")
_PACKAGES = "packages"
# of the standard library: other packages, and 200 MB that no task asks for
_LEFT_OUT = (
    "__pycache__",
    "site",
    "dist",
    "config",
    "test",
    "idlelib",
    "turtledemo",
    "tkinter",
    "ensurepip",
    "lib2to3",
)
_START = """#!/bin/sh
# starts the Python of this folder, wherever it lies
here=$(cd "$(dirname "$(readlink -f "$0")")/.." && pwd) || exit 1
export PYTHONHOME="$here" PYTHONNOUSERSITE=1 PYTHONPATH="$here/packages${PYTHONPATH:+:$PYTHONPATH}"
export LD_LIBRARY_PATH="$here/lib${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}"
exec "$here/bin/@PYTHON@" "$@"
"""


def write_pack(archive: Path, progress: Callable[[str], None]) -> None:
    """Write the archive, a .tar.gz, whole or not at all. Raises PlatformError when its Python does not work."""
    scratch = archive.with_name(f".{archive.name}.{os.getpid()}")
    folder = scratch / "lakehouse"
    try:
        scratch.mkdir(parents=True)
        progress("Gathering")
        lay_out(folder)
        progress("Trying it")
        ensure_working(folder)
        progress("Writing")
        with tarfile.open(scratch / "archive", "w:gz", compresslevel=3) as writer:
            writer.add(folder, ".")
        (scratch / "archive").replace(archive)
    except OSError as error:
        raise PlatformError(f"{archive} cannot be written: {error}.") from error
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def lay_out(folder: Path) -> None:
    """Put all of it in a new folder. Files are links to those that are installed, where the disk allows it."""
    _lay_out_python(folder)
    packages = folder / _PACKAGES
    for room in _ROOMS:
        _copy_tree(PROJECT_FOLDER / room, packages / room)
    if not (packages / "lake" / "dbt_project").is_dir():
        _copy_tree(DBT_FOLDER, packages / "lake" / "dbt_project")  # its text counts in the code's version
    for name in sorted(distributions(NEEDED)):
        _copy_files(metadata.distribution(name).files or (), packages)
    try:
        described = (each for each in metadata.distribution(DISTRIBUTION).files or () if each.name == "METADATA")
        _copy_files(described, packages)
    except metadata.PackageNotFoundError:
        pass  # a checkout that is not installed has the version 0 here as there


def distributions(roots: Iterable[str]) -> set[str]:
    """Packages and all that they need, as far as it is installed."""
    found: set[str] = set()
    waiting = list(roots)
    while waiting:
        name = re.sub(r"[-_.]+", "-", waiting.pop()).lower()
        if name in found:
            continue
        try:
            wanted = metadata.requires(name) or []
        except metadata.PackageNotFoundError:
            continue  # for another Python or system
        found.add(name)
        waiting += [match.group() for each in wanted if "extra" not in each and (match := re.match(r"[\w.-]+", each))]
    return found


def ensure_working(folder: Path) -> None:
    """Let the folder's Python load what tasks run, without anything of this environment. Raises PlatformError."""
    code = "import pipeline.silver.executor_tasks; from lake.code_version import versions; print(versions())"
    command = ["env", "-i", "PATH=/usr/bin:/bin", str(folder / PYTHON), "-B", "-c", code]
    done = subprocess.run(command, cwd="/", capture_output=True, text=True, check=False)
    if done.returncode or done.stdout.strip() != versions():
        said = (done.stderr.strip().splitlines() or [done.stdout.strip()])[-1]
        raise PlatformError(
            f"The Python at {sys.base_prefix} does not work from another folder ({said}): install the lakehouse on "
            "each of the cluster's machines instead."
        )


def _lay_out_python(folder: Path) -> None:
    program = Path(sys.executable).resolve()
    _copy(program, folder / "bin" / program.name)
    base = {"base": sys.base_prefix, "platbase": sys.base_prefix}  # not the environment's, which has none
    for library in {Path(sysconfig.get_path(name, vars=base)) for name in ("stdlib", "platstdlib")}:
        _copy_tree(library, folder / library.relative_to(sys.base_prefix), _LEFT_OUT)
    shared = Path(sysconfig.get_config_var("LIBDIR") or "", sysconfig.get_config_var("INSTSONAME") or "")
    if shared.is_file() and ".so" in shared.name:
        _copy(shared, folder / "lib" / shared.name)
    write_whole(folder / PYTHON, _START.replace("@PYTHON@", program.name), mode=0o755)


def _copy_files(files: Iterable[metadata.PackagePath], packages: Path) -> None:
    for each in files:
        is_below = not each.is_absolute() and ".." not in each.parts
        if is_below and "__pycache__" not in each.parts and (source := Path(str(each.locate()))).is_file():
            _copy(source, packages / each)


def _copy_tree(source: Path, target: Path, without: Container[str] = ("__pycache__",)) -> None:
    for place, folders, names in os.walk(source):
        folders[:] = [each for each in folders if each.split("-")[0] not in without]
        for file in (Path(place, name) for name in names):
            if file.is_file():
                _copy(file, target / file.relative_to(source))


def _copy(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    if target.exists():
        return
    try:
        os.link(source.resolve(), target)
    except OSError:
        shutil.copy2(source, target)
