"""What executors are asked to read."""

from pathlib import Path

from deltalake import DeltaTable

from ingestion.executor_probe import newest_commit_file
from lake.storage.delta import append
from lake.storage.locations import table_uri
from lake.tables.bronze import BRONZE_LIFECYCLE
from runtime.settings import Settings
from tests.support.small_lake import arrow_table


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
