"""What is installed: the wheel holds all that the command needs, and says what it needs of others."""

import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path
from zipfile import ZipFile

import pytest

from tests.unit.test_rooms import MAY_IMPORT

PROJECT = Path(__file__).resolve().parents[2]
PYPROJECT = tomllib.loads((PROJECT / "pyproject.toml").read_text())
# what is found by its place rather than imported
_DATA = {
    "lake/models/built_in": (PROJECT / "lake/models/built_in", "*.json"),
    "serving/report/template": (PROJECT / "serving/report/template", "*"),
    "serving/dashboard/templates": (PROJECT / "serving/dashboard/templates", "*"),
    "serving/dashboard/static": (PROJECT / "serving/dashboard/static", "*"),
    "lake/dbt_project": (PROJECT / "dbt", "**/*"),
}


def requirements(text: str) -> set[str]:
    """The lines of a requirements file that name a package."""
    return {line.strip() for line in text.splitlines() if line.strip() and not line.startswith(("#", "-"))}


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> ZipFile:
    """The wheel of this tree."""
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)]
    subprocess.run(command, cwd=PROJECT, check=True, capture_output=True)
    return ZipFile(next(folder.glob("*.whl")))


def test_the_package_needs_what_the_set_up_installs() -> None:
    """pyproject.toml and requirements/base.in name the same packages with the same bounds."""
    declared = set(PYPROJECT["project"]["dependencies"])
    assert declared == requirements((PROJECT / "requirements" / "base.in").read_text())


def test_the_wheel_has_the_rooms() -> None:
    """Every room, those to come too, is a package of the wheel; tests and benches are none."""
    assert set(PYPROJECT["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"]) == set(MAY_IMPORT)


def test_every_room_says_that_it_is_typed() -> None:
    """A type checker takes the annotations of an installed room."""
    rooms = [room for room in MAY_IMPORT if (PROJECT / room / "__init__.py").exists()]
    assert [room for room in rooms if not (PROJECT / room / "py.typed").exists()] == []


def test_every_room_is_type_checked() -> None:
    """mypy looks at each room that is there, and at the tests."""
    rooms = {room for room in MAY_IMPORT if (PROJECT / room / "__init__.py").exists()}
    assert {*rooms, "tests"} - set(PYPROJECT["tool"]["mypy"]["files"]) == set()


def test_the_wheel_holds_every_module_and_all_data(wheel: ZipFile) -> None:
    """Modules, device models, the report's template, the dbt project and the licence; no tests, no benches."""
    names = set(wheel.namelist())
    wanted = {path.relative_to(PROJECT).as_posix() for room in MAY_IMPORT for path in (PROJECT / room).rglob("*.py")}
    for place, (folder, pattern) in _DATA.items():
        files = [path for path in folder.glob(pattern) if path.is_file()]
        assert files
        wanted |= {f"{place}/{path.relative_to(folder).as_posix()}" for path in files}
    assert wanted - names == set()
    assert {name.split("/")[0] for name in names if ".dist-info/" not in name} <= set(MAY_IMPORT)
    assert any(name.endswith("licenses/LICENSE") for name in names)


def test_the_dbt_project_is_no_python_package() -> None:
    """With an __init__.py in it, dbt/ would stand in for dbt's own package where the project's folder comes first."""
    assert list((PROJECT / "dbt").rglob("__init__.py")) == []


def test_the_wheel_says_what_it_is(wheel: ZipFile) -> None:
    """Name, version, licence and every requirement stand in its metadata."""
    name = next(name for name in wheel.namelist() if name.endswith(".dist-info/METADATA"))
    metadata = wheel.read(name).decode()
    assert f"Version: {PYPROJECT['project']['version']}\n" in metadata
    assert "License-Expression: Apache-2.0\n" in metadata
    needed = [line for line in re.findall(r"^Requires-Dist: (.*)$", metadata, re.M) if "extra ==" not in line]
    assert len(needed) == len(PYPROJECT["project"]["dependencies"])


def test_the_dependency_check_sees_an_import_that_nothing_declares(tmp_path: Path) -> None:
    """`make check` fails on a package that is there only since another one brings it, and on one that is not there."""
    shutil.copy(PROJECT / "pyproject.toml", tmp_path)
    (tmp_path / "runtime").mkdir()
    (tmp_path / "runtime" / "settings.py").write_text("import requests\nimport nowhere\n")
    done = subprocess.run([sys.executable, "-m", "deptry", "."], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 1
    assert "'requests' imported but it is a transitive dependency" in done.stderr
    assert "'nowhere' imported but missing" in done.stderr
