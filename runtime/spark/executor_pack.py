"""Executor pack: the Python that a cluster's machines judge with, as one folder that runs wherever it is unpacked.

Belongs here: how it is laid out, that it works, and the archive. What goes into it says who asks for it.

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
from collections.abc import Callable, Container, Iterable, Mapping
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

from runtime.errors import PlatformError
from runtime.whole_files import write_whole

PYTHON = Path("bin", "python")
"""What LAKEHOUSE_SPARK_PYTHON names, below the folder."""
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


@dataclass(frozen=True)
class Contents:
    """What a pack holds besides Python, and how it is tried.

    `folders` by their places among the packages; installed `packages`, with all that these need; the name of what is
    `described` there as it is here, where it is installed. `trial` is code that must print `outcome`.
    """

    folders: Mapping[str, Path]
    packages: tuple[str, ...]
    described: str
    trial: str
    outcome: str


def write_pack(archive: Path, contents: Contents, progress: Callable[[str], None]) -> None:
    """Write the archive, a .tar.gz, whole or not at all. Raises PlatformError when its Python does not work."""
    scratch = archive.with_name(f".{archive.name}.{os.getpid()}")
    folder = scratch / "lakehouse"
    try:
        scratch.mkdir(parents=True)
        progress("Gathering")
        lay_out(folder, contents)
        progress("Trying it")
        ensure_working(folder, contents)
        progress("Writing")
        with tarfile.open(scratch / "archive", "w:gz", compresslevel=3) as writer:
            writer.add(folder, ".")
        (scratch / "archive").replace(archive)
    except OSError as error:
        raise PlatformError(f"{archive} cannot be written: {error}.") from error
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def lay_out(folder: Path, contents: Contents) -> None:
    """Put all of it in a new folder. Files are links to those that are installed, where the disk allows it."""
    _lay_out_python(folder)
    packages = folder / _PACKAGES
    for place, source in contents.folders.items():
        _copy_tree(source, packages / place)
    for name in sorted(distributions(contents.packages)):
        _copy_files(metadata.distribution(name).files or (), packages)
    try:
        files = metadata.distribution(contents.described).files or ()
        described = (each for each in files if each.name == "METADATA")
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


def ensure_working(folder: Path, contents: Contents) -> None:
    """Let the folder's Python load what tasks run, without anything of this environment. Raises PlatformError."""
    command = ["env", "-i", "PATH=/usr/bin:/bin", str(folder / PYTHON), "-B", "-c", contents.trial]
    done = subprocess.run(command, cwd="/", capture_output=True, text=True, check=False)
    if done.returncode or done.stdout.strip() != contents.outcome:
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
