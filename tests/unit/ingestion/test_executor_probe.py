"""What executors are asked to read, and why none of them answers."""

import re
from pathlib import Path

import pytest
from deltalake import DeltaTable

from ingestion.executor_probe import _why_no_task, newest_commit_file
from lake.storage.delta import append
from lake.storage.locations import table_uri
from lake.tables.bronze import BRONZE_LIFECYCLE
from runtime.processes import log_path
from runtime.settings import Settings
from tests.support.small_lake import arrow_table

TAKEN = "INFO StandaloneSchedulerBackend: Connected to Spark cluster with app ID app-1\n"
GIVEN = "INFO StandaloneSchedulerBackend: Granted executor ID app-1/0 on hostPort 198.18.0.1:7078 with 1 core(s)\n"
CAME = "INFO Driver: Registered executor NettyRpcEndpointRef(x) (198.18.0.1:41234) with ID 0,  ResourceProfileId 0\n"


def test_the_file_is_there_when_upkeep_has_cut_the_log(tmp_path: Path) -> None:
    """The newest commit stays, also behind a checkpoint."""
    settings = Settings(home=tmp_path, lake_uri=str(tmp_path / "lake"))
    for _ in range(3):
        append(settings, BRONZE_LIFECYCLE, arrow_table(BRONZE_LIFECYCLE, []), {})
    log = Path(table_uri(settings, BRONZE_LIFECYCLE.name)) / "_delta_log"
    DeltaTable(table_uri(settings, BRONZE_LIFECYCLE.name)).create_checkpoint()
    newest = max(log.glob("*.json"))
    for commit in log.glob("*.json"):
        if commit != newest:
            commit.unlink()
    assert Path(newest_commit_file(settings)) == newest


@pytest.mark.parametrize(
    ("log", "told"),
    [
        ("", r"nor has its master taken this lakehouse on: does it reach this machine at driver\.example"),
        (TAKEN, "No executor of spark://m:7077 is started.*worker registered"),
        (
            TAKEN + GIVEN,
            r"started on 198\.18\.0\.1, and none reaches this machine at driver\.example: LAKEHOUSE_SPARK_D",
        ),
        (TAKEN + GIVEN + CAME, r"on 198\.18\.0\.1 end no task"),
    ],
)
def test_no_executor_and_none_that_reaches_the_driver_are_two_sentences(tmp_path: Path, log: str, told: str) -> None:
    """Each names what to mend: a worker, this machine's address, or neither."""
    settings = Settings(
        home=tmp_path, lake_uri=str(tmp_path / "lake"), spark="spark://m:7077", spark_driver_host="driver.example"
    )
    settings.log_folder.mkdir()
    log_path(settings, "spark").write_text(log)
    assert re.search(told, _why_no_task(settings))
