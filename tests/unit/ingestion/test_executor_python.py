"""What a Python of an executor lacks, in words that name it."""

import os
import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pytest
from pyspark import cloudpickle

from ingestion.executor_python import _looking, meaning
from lake.code_version import versions
from pipeline.engines import TASKS

BATCH = pa.RecordBatch.from_pydict({"id": [0]})
ABROAD = """
import os, pathlib, sys
sys.meta_path = [each for each in sys.meta_path if "editable" not in repr(each)]
sys.path = [each for each in sys.path if not pathlib.Path(each or ".", "ingestion").is_dir()]
from pyspark import cloudpickle
import pyarrow as pa
task = cloudpickle.loads(pathlib.Path(sys.argv[1]).read_bytes())
print(*next(task([]))["lacks"].to_pylist(), sep="; ")
"""


@pytest.mark.parametrize(
    ("said", "words"),
    [
        ('java.io.IOException: Cannot run program "/opt/p" (in directory "."): error=2', "there is no program /opt/p"),
        (
            "[PYTHON_VERSION_MISMATCH] Python in worker has different version: 3.9 than that in driver: 3.11, PySpark",
            "it is Python 3.9",
        ),
        ("    import pyarrow as pa\nModuleNotFoundError: No module named 'pyarrow'\n", "it has no pyarrow"),
        ("PyArrow >= 18.0.0 must be installed; however, it was not found.", "it has no PyArrow of 18.0.0 or later"),
        ("Job aborted\nOSError: [Errno 28] No space left\n\tat java.lang", None),
    ],
)
def test_what_spark_says_of_a_python_is_told_in_few_words(said: str, words: str | None) -> None:
    """The program, version or package is named; what is no fault of Python's is not said of it."""
    assert meaning(said) == words


@pytest.mark.parametrize(
    ("packages", "tasks", "wanted", "lacks"),
    [
        (("lake", "duckdb"), TASKS, versions(), []),
        (("lake", "no_such_one", "nor_this"), TASKS, versions(), ["it has no no_such_one", "it has no nor_this"]),
        (("lake",), "pipeline.no_such_task", versions(), ["it has no pipeline.no_such_task"]),
    ],
)
def test_each_package_that_a_python_lacks_is_named(
    packages: tuple[str, ...], tasks: str, wanted: str, lacks: list[str]
) -> None:
    """One that has all says nothing; all that are missing are said at once."""
    assert [row for found in _looking(packages, tasks, wanted)([BATCH]) for row in found["lacks"].to_pylist()] == lacks


def test_other_code_is_named_with_both_versions() -> None:
    """An executor that would judge otherwise says which code it has."""
    (said,) = next(_looking((), TASKS, "0+other, DuckDB 0")([BATCH]))["lacks"].to_pylist()
    assert versions() in said
    assert "0+other, DuckDB 0" in said


def test_a_python_without_this_project_can_say_so(tmp_path: Path) -> None:
    """The task travels as code: where nothing of the project is installed it runs, and names what is missing."""
    path = tmp_path / "task"
    # pyspark's copy has no types
    path.write_bytes(cloudpickle.dumps(_looking(("lake", "duckdb"), TASKS, versions())))  # type: ignore[no-untyped-call]
    bare = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    done = subprocess.run(
        [sys.executable, "-c", ABROAD, str(path)], cwd=tmp_path, env=bare, capture_output=True, text=True, check=True
    )
    assert done.stdout == "it has no lake\n"
