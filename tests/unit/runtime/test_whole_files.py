"""Files are there with their whole content, or as they were."""

import re
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from runtime.whole_files import create_whole, write_whole
from tests.unit.test_rooms import MODULES, PROJECT

_IN_PLACE = re.compile(r"\.write_(?:text|bytes)\(")


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


NOT_WHOLE = {
    "runtime/java/jars.py": 5,  # in a folder that is put in place as a whole, and a log
    "runtime/kafka/broker.py": 1,  # written by each start before its only reader begins
    "runtime/spark/spark_configuration.py": 2,  # likewise
    "serving/bi/postgres_server.py": 1,  # likewise
    "dagster_project/column_origins.py": 1,  # a draft that takes the other's place
    "lake/models/template.py": 1,  # new files of the user
    "lakehouse/cli/main.py": 1,  # told of once it is written
    "lakehouse/cli/commands/report.py": 1,  # where the user wants it, be it a pipe
}


def test_what_others_read_is_written_whole() -> None:
    """Product code writes no file in place, but for those of which a half can do no harm."""
    found = {str(path.relative_to(PROJECT)): len(_IN_PLACE.findall(path.read_text())) for path in MODULES}
    assert {name: count for name, count in found.items() if count} == NOT_WHOLE
