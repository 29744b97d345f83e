"""A Spark cluster: a master and workers as programs of their own, which have none of the driver's variables.

Belongs here: their start and stop. What is proved on it stands in the tests.
"""

import os
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path

import psutil
import pyspark

from runtime import processes
from runtime.java.jvm import find_java
from runtime.ports import free_port, is_port_open
from runtime.process_family import family, kill_all
from runtime.settings import Settings

_HOST = "127.0.0.1"


@contextmanager
def running_master(folder: Path) -> Iterator[str]:
    """The address of a master that is stopped at the end of the block."""
    port = free_port()
    arguments = ["--host", _HOST, "--port", str(port), "--webui-port", str(free_port())]
    with _running(folder, "master", ["org.apache.spark.deploy.master.Master", *arguments], port, {}):
        yield f"spark://{_HOST}:{port}"


@contextmanager
def running_worker(master: str, folder: Path, variables: Mapping[str, str] | None = None) -> Iterator[psutil.Process]:
    """A worker with one core, a folder and variables of its own, stopped at the end of the block; its process."""
    port = free_port()
    arguments = ["--host", _HOST, "--port", str(port), "--webui-port", str(free_port()), "--cores", "1"]
    arguments += ["--memory", "1g", "--work-dir", str(folder / "work"), master]
    command = ["org.apache.spark.deploy.worker.Worker", *arguments]
    with _running(folder, "worker", command, port, variables or {}) as process:
        yield process


def kill_with_children(process: psutil.Process) -> None:
    """End a worker as a machine ends: its executors and their Pythons at once, without a word."""
    kill_all(family(process.pid))


@contextmanager
def _running(
    folder: Path, name: str, command: list[str], port: int, variables: Mapping[str, str]
) -> Iterator[psutil.Process]:
    folder.mkdir(parents=True, exist_ok=True)
    owner = Settings(home=folder, lake_uri=str(folder))
    spark_home = Path(pyspark.__path__[0])
    java_home = find_java().parent.parent
    # `env -i`: neither the keys of whoever runs the tests nor those of the lakehouse
    kept = {
        "PATH": os.environ["PATH"], "HOME": str(folder), "JAVA_HOME": str(java_home), "SPARK_HOME": str(spark_home),
        "SPARK_LOCAL_DIRS": str(folder / "scratch"), "SPARK_DAEMON_MEMORY": "256m",
        "JDK_JAVA_OPTIONS": os.environ.get("JDK_JAVA_OPTIONS", ""), **variables,
    }  # fmt: skip
    words = ["env", "-i", *(f"{variable}={value}" for variable, value in kept.items())]
    record = processes.spawn(
        owner, name, [*words, str(spark_home / "bin" / "spark-class"), *command], f"{_HOST}:{port}"
    )
    with ExitStack() as stack:
        stack.callback(processes.stop, owner, name)
        processes.wait_until_ready(owner, record, lambda: is_port_open(_HOST, port), 180)
        yield psutil.Process(record.process.pid)
