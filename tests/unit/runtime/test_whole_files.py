"""Files are there with their whole content, or as they were."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from runtime.whole_files import create_whole, write_whole


def test_a_file_is_replaced_whole_and_private_from_the_start(tmp_path: Path) -> None:
    """The new content and mode are there, and nothing else is left in the folder."""
    path = tmp_path / "key"
    write_whole(path, "old")
    write_whole(path, b"new", mode=0o600, is_synced=True)
    assert path.read_text() == "new"
    assert path.stat().st_mode & 0o777 == 0o600
    assert list(tmp_path.iterdir()) == [path]


def test_a_file_that_cannot_be_replaced_stays_and_leaves_no_draft(tmp_path: Path) -> None:
    """A folder is in the file's place: the error is told, and the draft of the file is gone."""
    (tmp_path / "taken").mkdir()
    with pytest.raises(OSError, match="taken"):
        write_whole(tmp_path / "taken", "text")
    assert [path.name for path in tmp_path.iterdir()] == ["taken"]


def test_one_of_many_creates_a_file(tmp_path: Path) -> None:
    """Of twenty that try at once one succeeds, and its content is there whole."""
    path = tmp_path / "lease"
    with ThreadPoolExecutor(20) as pool:
        done = list(pool.map(lambda n: create_whole(path, f"{n}" * 10_000), range(20)))
    assert done.count(True) == 1
    assert path.read_text() == f"{done.index(True)}" * 10_000
    assert list(tmp_path.iterdir()) == [path]
