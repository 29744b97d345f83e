"""`lakehouse sql --watch`: asked again, of the newest publication, until somebody has seen enough."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from lake.tables.gold import DEVICE_LATEST
from lakehouse.cli.main import run
from lakehouse.cli.sql_watch import watch
from runtime.settings import Settings
from tests.support.published_lake import START, gold_row, publish_rows


def test_a_new_publication_is_asked_by_a_new_reader() -> None:
    """A question is asked after each pause; the reader of an older publication is closed once there is a newer one."""
    published = [1]
    closed: list[int] = []
    asked: list[int] = []

    @contextmanager
    def open_one() -> Iterator[Any]:
        number = published[-1]
        yield SimpleNamespace(publication=SimpleNamespace(publication_id=number))
        closed.append(number)

    def note(reader: Any) -> None:
        asked.append(reader.publication.publication_id)

    def pause() -> None:
        if len(asked) == 2:
            published.append(2)
        if len(asked) == 4:
            raise KeyboardInterrupt

    watch(open_one, lambda: published[-1], note, pause)
    assert asked == [1, 1, 2, 2]
    assert closed == [1]


def test_a_lake_is_watched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """The command answers of the newest publication that there is, again after each pause, until Ctrl-C."""
    settings = Settings(home=tmp_path, lake_uri=str(tmp_path / "lake"))
    monkeypatch.setenv("LAKEHOUSE_HOME", str(tmp_path))

    def publish(number: int) -> None:
        row = gold_row(DEVICE_LATEST, START, float(number), device_id=f"d-{number}")
        publish_rows(settings, {DEVICE_LATEST: [row]}, number)

    pauses: list[float] = []

    def pause(seconds: float) -> None:
        pauses.append(seconds)
        if len(pauses) == 3:
            raise KeyboardInterrupt
        if len(pauses) == 2:
            publish(2)

    publish(1)
    monkeypatch.setattr("lakehouse.cli.sql_watch.time", SimpleNamespace(sleep=pause))
    assert run(["sql", "--watch", "7", "--format", "csv", "select device_id from device_latest order by 1"]) == 0
    assert pauses == [7, 7, 7]
    told = capsys.readouterr()
    assert told.out.split() == ["device_id", "d-1"] * 2 + ["device_id", "d-1", "d-2"]
    assert "publication 2 of" in told.err


@pytest.mark.parametrize("more", [[], ["select 1", "--as-of", "1"], ["select 1", "--output", "x.csv"]])
def test_only_a_question_can_be_watched(more: list[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> None:
    """A prompt, a file and an old publication do not change: watching them is refused."""
    monkeypatch.setenv("LAKEHOUSE_HOME", str(tmp_path))
    monkeypatch.setattr("sys.stdin.isatty", lambda: True, raising=False)
    assert run(["sql", "--watch", "1", *more]) == 2
