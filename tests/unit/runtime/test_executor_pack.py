"""The pack for executors: a Python that runs wherever it lies, and an archive that is whole or not there."""

import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from lake.code_version import code_version
from lakehouse.cli.commands.cluster import pack_contents
from runtime.errors import PlatformError
from runtime.spark import executor_pack


def test_a_pack_that_was_moved_runs_the_same_code(tmp_path: Path) -> None:
    """Its Python finds its library and this code beside itself, by a link too and without this machine's variables."""
    executor_pack.lay_out(tmp_path / "made", replace(pack_contents(), packages=()))
    moved = (tmp_path / "made").rename(tmp_path / "moved here")
    (tmp_path / "link").symlink_to(moved / executor_pack.PYTHON)
    code = "import sys; from lake.code_version import code_version; print(sys.prefix, sys.path[-1], code_version())"
    command = ["env", "-i", str(tmp_path / "link"), "-c", code]
    said = subprocess.run(command, cwd="/", check=True, capture_output=True, text=True).stdout
    assert said.startswith(f"{moved} {moved}/")
    assert said.strip().endswith(f" {code_version()}")


def test_a_pack_that_does_not_run_is_not_written(tmp_path: Path) -> None:
    """Without its packages the reason is told, and neither an archive nor what was gathered for it stays."""
    contents = replace(pack_contents(), packages=())
    with pytest.raises(PlatformError, match="No module named 'duckdb'"):
        executor_pack.write_pack(tmp_path / "pack.tar.gz", contents, lambda _: None)
    assert not list(tmp_path.iterdir())


def test_what_packages_need_comes_with_them() -> None:
    """s3fs brings botocore, by way of another package; what only an extra wants, and pyspark, stays away."""
    found = executor_pack.distributions(pack_contents().packages)
    assert {"botocore", "numpy", "duckdb-extension-httpfs"} <= found
    assert not {"pyspark", "dagster", "pytest"} & found
