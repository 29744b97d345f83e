"""What the hot path on Spark keeps of devices goes with an erasure, and not from under it."""

from pathlib import Path

import pytest

from lake.storage.locations import HOT_STATE, folder_of
from pipeline.erasure.hot_state import check_hot_state, delete_hot_state
from runtime import processes
from runtime.errors import StepError
from runtime.programs import spawn_python
from runtime.settings import Settings


def test_a_checkpoint_goes_unless_the_hot_path_runs(tmp_path: Path) -> None:
    """With both there, an erasure is refused with a sentence; with either it is not, and the checkpoint goes."""
    settings = Settings(home=tmp_path, lake_uri=str(tmp_path / "lake"))
    kept = tmp_path / "lake" / folder_of(HOT_STATE) / "state" / "0"
    check_hot_state(settings)
    spawn_python(settings, "streams", ["-c", "import signal; signal.pause()"])
    try:
        check_hot_state(settings)
        kept.mkdir(parents=True)
        (kept / "1.changelog").write_bytes(b"d1")
        with pytest.raises(StepError, match="goes with an erasure, and the hot path runs"):
            check_hot_state(settings)
    finally:
        processes.stop(settings, "streams")
    check_hot_state(settings)
    delete_hot_state(settings)
    assert not kept.exists()
    delete_hot_state(settings)
