"""Publications: storing records and finding them again."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from deltalake import DeltaTable

from lake.records.publications import Publication, forget, get, list_all, newest, page, record
from lake.storage.locations import table_uri
from runtime.errors import UsageError
from runtime.settings import Settings

NOW = datetime(2026, 11, 23, 23, 59, tzinfo=UTC)
FIRST = Publication(
    publication_id=1,
    published_at=NOW,
    tables={"gold.devices": 3},
    inputs={"silver.devices": 7},
    slices=("2026-11-20T05", "2026-11-20"),
    held=({"slice": "2026-11-20T06", "table": "silver.pumps"},),
    releases=({"slice": "2026-11-20T05", "who": "kim", "why": "known; says \"ok\""},),
    first_slice="2026-11-20T05",
    last_slice="2026-11-20T05",
    models={"dtmi:lakehouse:pump;1": "abc"},
    code_version="0.1.0",
    run_id="run",
)  # fmt: skip


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """A lake without tables."""
    return Settings(home=tmp_path, lake_uri=str(tmp_path / "lake"))


def test_before_the_first_publication_there_is_none(settings: Settings) -> None:
    """An empty lake has no publication, and asking for one says so."""
    assert newest(settings) is None
    assert list_all(settings) == []
    with pytest.raises(UsageError, match="nothing has been published yet"):
        get(settings, 1)


def test_a_publication_comes_back_as_stored(settings: Settings) -> None:
    """Every field survives storing."""
    record(settings, FIRST)
    assert newest(settings) == FIRST


def test_the_newest_is_found_among_many(settings: Settings) -> None:
    """The highest id is the newest, across days and even when a clock stepped back."""
    many = [replace(FIRST, publication_id=n, published_at=NOW - timedelta(days=n % 3)) for n in range(1, 12)]
    for publication in many:
        record(settings, publication)
    assert newest(settings) == many[-1]
    assert get(settings, 4) == many[3]
    assert list_all(settings) == many


def test_pages_of_publications_follow_each_other(settings: Settings) -> None:
    """Each comes once, newest first; ids that are gone make a page shorter and end none, and the last names none."""
    assert page(settings, 7, 3) == ([], None)
    for n in range(1, 8):
        record(settings, replace(FIRST, publication_id=n))
    forget(settings, 2)
    DeltaTable(table_uri(settings, "ops.publications")).delete("publication_id = 4")
    pages: list[list[int]] = []
    following: int | None = 7
    while following is not None:
        found, following = page(settings, following, 3)
        pages.append([each.publication_id for each in found])
    assert pages == [[7, 6, 5], [3, 2]]


def test_an_unknown_publication_is_an_error_that_names_the_known(settings: Settings) -> None:
    """`--as-of 7` with three publications says which there are."""
    for n in (1, 2, 3):
        record(settings, replace(FIRST, publication_id=n))
    with pytest.raises(UsageError, match="There is no publication 7: they go from 1 to 3"):
        get(settings, 7)
