"""What dbt need not find out at each start: it is known, and right."""

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from multiprocessing import resource_tracker
from pathlib import Path
from types import ModuleType
from typing import Any
from unittest.mock import patch

import pytest
from dbt.adapters.base.impl import DEFAULT_BASE_BEHAVIOR_FLAGS
from dbt_common.behavior_flags import Behavior
from dbt_common.clients.jinja import MacroFuzzEnvironment, get_template, template_cache
from mashumaro.core.meta.code.builder import CodeBuilder

from lake.project_files import PROJECT_FOLDER
from pipeline.gold import dbt_manifest
from pipeline.gold.dbt_ahead import find_out_ahead
from pipeline.gold.dbt_manifest import ensure_manifest, manifest_folder, manifest_for_dbt, read_manifest

DAMAGED: dict[str, Callable[[bytes], bytes]] = {
    "empty": lambda _: b"",
    "cut off": lambda whole: whole[: len(whole) // 2],
    "zeros": lambda whole: bytes(len(whole)),
    "another thing": lambda _: b"\x93\x01\x02\x03",
}


def test_dbts_flags_are_made_without_a_look_at_any_module(monkeypatch: pytest.MonkeyPatch) -> None:
    """One that is loaded when it is first used stays as it is; the flags name the module that dbt itself names."""
    asked = list[str]()

    class Unloaded(ModuleType):
        def __getattribute__(self, name: str) -> Any:
            asked.append(name)
            return super().__getattribute__(name)

    find_out_ahead()
    monkeypatch.setitem(sys.modules, "unloaded", Unloaded("unloaded"))
    behavior = Behavior(list(DEFAULT_BASE_BEHAVIOR_FLAGS), {})  # type: ignore[arg-type]  # of dbt-adapters
    assert asked == []
    sources = {flag._behavior_change_event.flag_source for flag in behavior._flags}
    assert sources == {"dbt.adapters.base.impl"}


def test_a_process_that_forks_dbts_has_what_reading_the_manifest_makes() -> None:
    """No class is made ready when it is read, the models and the macros that build them are templates, and no process
    was begun for a lock."""
    ensure_manifest()
    code = f"from {__name__} import find_all_made; find_all_made()"
    done = subprocess.run([sys.executable, "-c", code], cwd=PROJECT_FOLDER, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr


def find_all_made() -> None:
    """In a process in which nothing has read the manifest yet."""
    find_out_ahead()
    assert resource_tracker._resource_tracker._fd is None  # type: ignore[attr-defined]
    made = list[str]()
    with patch.object(CodeBuilder, "add_unpack_method", lambda builder: made.append(str(builder.cls))):
        manifest = read_manifest()
    assert made == []
    for type_ in ("by_date", "table", "view"):
        macro = manifest.macros[f"macro.lakehouse.materialization_{type_}_duckdb"]
        assert macro.macro_sql in template_cache.file_cache
    models = [node for node in manifest.nodes.values() if node.resource_type == "model"]
    assert models
    with patch.object(MacroFuzzEnvironment, "_parse", lambda *_: pytest.fail("A template is read again.")):
        for model in models:
            get_template(model.raw_code, {}, model)


@pytest.fixture
def manifest(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the manifest that is read in the place of the real one."""
    ensure_manifest()
    copy = shutil.copytree(
        manifest_folder(), tmp_path / "made", ignore=lambda _, names: {n for n in names if "." not in n}
    )
    monkeypatch.setattr(dbt_manifest, "manifest_folder", lambda: copy)
    return manifest_for_dbt()


@pytest.mark.parametrize("damage", DAMAGED.values(), ids=DAMAGED.keys())
def test_a_damaged_manifest_ends_no_process_that_forks_dbts(
    manifest: Path, damage: Callable[[bytes], bytes], caplog: pytest.LogCaptureFixture
) -> None:
    """It is told, and dbt is given none: it reads the project itself. It is gone then, so that the next start makes it
    anew."""
    manifest.write_bytes(damage(manifest.read_bytes()))
    find_out_ahead.__wrapped__()
    assert "dbt starts slower" in caplog.text
    assert read_manifest() is None
    assert f"{manifest} is damaged" in caplog.text
    assert "it was removed, and the next start makes it anew." in caplog.text
    assert not manifest.exists()


def test_a_damaged_manifest_that_cannot_be_removed_is_told_with_what_to_do(
    manifest: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """In an environment that is another user's nothing fails over it."""
    with patch.object(Path, "unlink", side_effect=PermissionError(13, "Permission denied")):
        manifest.write_bytes(b"")
        assert read_manifest() is None
    assert "it cannot be removed (Permission denied): delete it, and the next start makes it anew." in caplog.text


@pytest.mark.parametrize("name", ["manifest.json", "partial_parse.msgpack"])
def test_a_manifest_of_which_a_part_is_lost_is_made_anew(
    manifest: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file that is gone, and one for the assets that cannot be read; one that is whole is not made again."""
    whole, made = ensure_manifest(), list[str]()

    def parsed(command: str, target: Path) -> None:
        made.append(command)
        (target / "manifest.json").write_text(json.dumps(whole))
        (target / "partial_parse.msgpack").write_bytes(b"parsed")

    monkeypatch.setattr(dbt_manifest, "run_on_project", parsed)
    (manifest.parent / name).unlink()
    assert (ensure_manifest(), manifest.read_bytes()) == (whole, b"parsed")
    (manifest.parent / "manifest.json").write_text('{"nodes": ')
    assert (ensure_manifest(), ensure_manifest(), made) == (whole, whole, ["parse", "parse"])
