"""What a start of the hot path need not wait for."""

import subprocess
import sys


def test_the_hot_path_starts_without_libraries_that_it_does_not_use() -> None:
    """Spark's client and cryptography take a third of what its imports take: these are for fetching jars, and Spark."""
    code = "import sys, streams.__main__, streams.loop; print(*{'pyspark', 'cryptography'} & sys.modules.keys())"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == ""
