"""`lakehouse sql --watch`: asked again, of the newest publication, until somebody has seen enough."""

from collections.abc import Iterator
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any

import pytest

from lakehouse.cli.main import run
from lakehouse.cli.sql_watch import watch


def test_a_new_publication_is_asked_by_a_new_reader() -> None:
    """A question is asked after each pause; the reader of an older publication is closed once there is a newer one."""
    published, asked, closed = [1], [], []

    @contextmanager
    def open_one() -> Iterator[Any]:
        number = published[-1]
        yield SimpleNamespace(publication=SimpleNamespace(publication_id=number))
        closed.append(number)

    def pause() -> None:
        if len(asked) == 2:
            published.append(2)
        if len(asked) == 4:
            raise KeyboardInterrupt

    watch(open_one, lambda: published[-1], lambda reader: asked.append(reader.publication.publication_id), pause)
    assert asked == [1, 1, 2, 2]
    assert closed == [1]


@pytest.mark.parametrize("more", [[], ["select 1", "--as-of", "1"], ["select 1", "--output", "x.csv"]])
def test_only_a_question_can_be_watched(more: list[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> None:
    """A prompt, a file and an old publication do not change: watching them is refused."""
    monkeypatch.setenv("LAKEHOUSE_HOME", str(tmp_path))
    monkeypatch.setattr("sys.stdin.isatty", lambda: True, raising=False)
    assert run(["sql", "--watch", "1", *more]) == 2
