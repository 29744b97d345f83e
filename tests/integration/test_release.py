"""`lakehouse release` is a writer like any other."""

import subprocess
import sys
from pathlib import Path

from lake.records.verdicts import latest_failures
from lake.storage.lease import writer_lease
from runtime.settings import inherited_environment, load_settings
from tests.support.served_gold import HELD, publish, rows_of


def test_it_waits_for_who_writes(tmp_path: Path) -> None:
    """While another process holds the lease it says so and releases nothing; then it does."""
    settings = load_settings({"LAKEHOUSE_HOME": str(tmp_path)})
    publish(settings, 1, rows_of(10, 1.0))
    command = [sys.executable, "-m", "lakehouse.cli", "release", HELD, "--why", "looked at", "--later"]
    with writer_lease(settings, "tick"):
        process = subprocess.Popen(
            command, env=inherited_environment(settings.child_environment()), stderr=subprocess.PIPE, text=True
        )
        assert process.stderr is not None
        assert "waiting: another process is writing" in process.stderr.readline()
        assert [verdict.slice for verdict in latest_failures(settings)] == [HELD]
    assert process.wait(60) == 0
    assert latest_failures(settings) == []
