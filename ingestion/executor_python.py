"""The Python of a cluster's executors: one small task that says what it lacks, as a sentence.

Belongs here: the task, and what Spark's own complaints about a Python mean. When it is asked, and how long one waits,
is `executor_probe`'s.

The task must run where this project may not be installed, so it travels as code: it is made inside a function, and
imports nothing of ours before it has looked for it.
"""

import platform
import re
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from pyspark.errors import PySparkException
from pyspark.sql import SparkSession

from lake.code_version import versions
from runtime.errors import PlatformError
from runtime.settings import Settings

_PACKAGES = ("runtime", "lake", "transforms", "duckdb", "deltalake", "pyarrow", "psutil", "yaml")
# what stands in an exception's text when a Python does not start a task, and what that means
_COMPLAINTS = (
    (r'Cannot run program "([^"]+)"', "there is no program {0}"),
    (r"Python in worker has different version: (\d+\.\d+)", "it is Python {0}"),
    (r"No module named '?([\w.]+)'?", "it has no {0}"),
    (r"(\w+) >= ([\d.]+) must be installed", "it has no {0} of {1} or later"),
)


def ask_python(spark: SparkSession, settings: Settings, tasks: str) -> None:
    """Let an executor's Python import the module `tasks`, as the same code as here. Raises PlatformError for what it
    lacks, and PySparkException for whatever else is wrong."""
    rows = spark.range(0, 1, 1, 1)
    try:
        lacks = [row.lacks for row in rows.mapInArrow(_looking(_PACKAGES, tasks, versions()), "lacks string").collect()]
    except PySparkException as error:
        lack = meaning(str(error))
        if lack is None:
            raise
        raise PlatformError(_sentence(settings, lack)) from error
    if lacks:
        raise PlatformError(_sentence(settings, "; ".join(lacks)))


def meaning(said: str) -> str | None:
    """What Spark says of a Python that runs no task, in few words; None where that is not Python's fault."""
    for pattern, words in _COMPLAINTS:
        if found := re.search(pattern, said, re.DOTALL):
            return words.format(*found.groups())
    return None


def _sentence(settings: Settings, lack: str) -> str:
    named = settings.spark_python or "python3 of their PATH, as LAKEHOUSE_SPARK_PYTHON names none"
    return (
        f"The Python of the executors of {settings.spark} ({named}) cannot do this lakehouse's tasks: {lack}. Here it "
        f"is Python {platform.python_version()}: unpack what `lakehouse cluster pack` writes on each machine, and let "
        "LAKEHOUSE_SPARK_PYTHON name its bin/python."
    )


def _looking(packages: tuple[str, ...], tasks: str, wanted: str) -> Callable[[Iterable[Any]], Iterator[Any]]:
    """A task that gives a row for each thing that is lacking. Being nested, it is sent as code and not as a name."""

    def look(batches: Iterable[Any]) -> Iterator[Any]:
        import importlib
        import importlib.util

        import pyarrow as pa

        found = {name: importlib.util.find_spec(name) for name in packages}
        # a folder of that name, without code, has a specification too
        lacks = [f"it has no {name}" for name, spec in found.items() if spec is None or spec.origin is None]
        if not lacks:
            try:
                importlib.import_module("lake.code_version").check_versions(wanted)
                importlib.import_module(tasks)
            except ModuleNotFoundError as error:
                lacks.append(f"it has no {error.name}")
            except Exception as error:  # noqa: BLE001  # whatever it is, it is what a task would meet
                lacks.append(f"{error}".rstrip("."))
        for batch in batches:
            del batch
        yield pa.RecordBatch.from_arrays([pa.array(lacks, pa.string())], names=["lacks"])

    return look
