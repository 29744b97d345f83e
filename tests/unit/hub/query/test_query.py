"""Queries over twins, in both databases' SQL: what they find, and what they refuse."""

import base64
import json
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hub.hub_errors import HubCode, HubError
from hub.query.query_language import parse_query
from hub.query.query_tree import Comparison, Literal, Logic
from hub.query.query_tree import Path as NamePath
from hub.registry.database import Tx
from hub.registry.hub_registry import Registry
from hub.registry.identities import Identity, create
from hub.registry.twins import change_twin, patch_reported
from hub.twins.twin_query import run_query

TWINS: dict[str, dict[str, Any]] = {
    "a": {"site": "north", "n": 1, "deep": {"x": True}},
    "b": {"site": "south", "n": 2.5, "deep": {"x": False}},
    "c": {"site": "south", "n": "2", "text": "it's"},
    "d": {},
}


def fill(tx: Tx) -> None:
    for name, tags in TWINS.items():
        create(tx, Identity(name, "default", status="disabled" if name == "d" else "enabled"))
        change_twin(tx, name, "", {"tags": tags, "desired": {"rate": ord(name)}}, None)
    patch_reported(tx, "a", "", {"level": 5})


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Registry]:
    opened = Registry(f"sqlite:///{tmp_path_factory.mktemp('hub') / 'registry.db'}")
    opened.write(fill).result()
    yield opened
    opened.close()


WHERE = [
    ("tags.site = 'south'", "bc"),
    ("tags.site != 'south'", "a"),
    ("tags.n = 2", ""),
    ("tags.n >= 1 AND tags.n < 3", "ab"),
    ("2 < tags.n", "b"),
    ("tags.n != 1", "bc"),
    ("tags.deep.x = true", "a"),
    ("NOT tags.deep.x = true", "bcd"),
    ("is_defined(tags.site)", "abc"),
    ("NOT is_defined(tags.site)", "d"),
    ("is_number(tags.n)", "ab"),
    ("is_string(tags['n'])", "c"),
    ("is_object(tags.deep)", "ab"),
    ("tags.site IN ['north', 'west']", "a"),
    ("tags.site NIN ['north']", "bcd"),
    ("deviceId IN ['a', 'd'] OR status = 'disabled'", "ad"),
    ("startswith(tags.site, 'so') AND endswith(tags.site, 'th') AND contains(tags.site, 'out')", "bc"),
    ("tags.text = 'it''s'", "c"),
    ('tags.text = "it\'s"', "c"),
    ("properties.reported.level = 5", "a"),
    ("properties.desired.rate > 98", "cd"),
    ("properties.desired.$version = 2", "abcd"),
    ("connectionState = 'Disconnected'", "abcd"),
    ("statusUpdateTime > '2020-01-01T00:00:00Z'", ""),
    ("tags.nothing = null", ""),
    ("(tags.n = 1 OR tags.n = 2.5) AND NOT (tags.site = 'north')", "b"),
]


@pytest.mark.parametrize(("where", "wanted"), WHERE, ids=[where for where, _ in WHERE])
def test_a_condition_finds_its_twins(registry: Registry, where: str, wanted: str) -> None:
    """A comparison is true for values of its own type only; what is not there is never equal, nor unequal."""
    page = registry.read(lambda tx: run_query(tx, "default", f"SELECT deviceId FROM devices WHERE {where}"))
    assert "".join(each["deviceId"] for each in page.items) == wanted


@pytest.mark.parametrize(
    "text",
    [
        "", "SELECT", "SELECT * FROM nothing", "SELECT * FROM devices WHERE", "SELECT * FROM devices WHERE tags.a = ",
        "SELECT * FROM devices WHERE tags.a", "SELECT * FROM devices WHERE 1", "SELECT * FROM devices; DROP TABLE t",
        "SELECT * FROM devices WHERE nonsense(tags.a)", "SELECT tags.a, COUNT() FROM devices",
        "SELECT * FROM devices WHERE " + "(" * 200 + "tags.a = 1" + ")" * 200,
        "SELECT * FROM devices WHERE tags['a\"b'] = 1", "SELECT * FROM devices WHERE unknown = 1",
    ],
)  # fmt: skip
def test_what_is_no_query_is_refused(registry: Registry, text: str) -> None:
    """A query that cannot be read or means nothing is 400, and never reaches the database."""
    with pytest.raises(HubError) as refused:
        registry.read(lambda tx: run_query(tx, "default", text))
    assert refused.value.code is HubCode.ArgumentInvalid


@given(st.text(max_size=80))
def test_any_text_is_a_query_or_refused(text: str) -> None:
    """No text brings the parser down."""
    for given_text in (text, f"SELECT * FROM devices WHERE {text}"):
        with suppress(HubError):
            assert parse_query(given_text).source


def test_and_binds_closer_than_or() -> None:
    """The tree is as the language says."""
    tree = parse_query("SELECT * FROM devices WHERE a = 1 OR b = 2 AND NOT c = 3").where
    equal = {name: Comparison("=", NamePath((name,)), Literal(n)) for n, name in enumerate("abc", 1)}
    assert tree == Logic("or", (equal["a"], Logic("and", (equal["b"], Logic("not", (equal["c"],))))))


def test_sums_and_groups_count_numbers_only(registry: Registry) -> None:
    """A text where a number is meant is left out of a sum and counted as a row."""
    text = "SELECT tags.site AS site, SUM(tags.n) AS s, COUNT() AS n FROM devices GROUP BY tags.site"
    page = registry.read(lambda tx: run_query(tx, "default", text))
    assert page.items == [{"n": 1}, {"site": "north", "s": 1, "n": 1}, {"site": "south", "s": 2.5, "n": 2}]


def test_pages_follow_one_another(registry: Registry) -> None:
    """A token goes on where the page ended; one that is not ours is refused; TOP ends early."""
    first = registry.read(lambda tx: run_query(tx, "default", "SELECT * FROM devices", 3))
    second = registry.read(lambda tx: run_query(tx, "default", "SELECT * FROM devices", 3, first.more))
    assert [each["deviceId"] for each in first.items + second.items] == list("abcd")
    assert second.more is None
    with pytest.raises(HubError):
        registry.read(lambda tx: run_query(tx, "default", "SELECT * FROM devices", 3, "x"))
    top = registry.read(lambda tx: run_query(tx, "default", "SELECT TOP 2 * FROM devices", 3))
    assert (len(top.items), top.more) == (2, None)


@pytest.mark.parametrize("digits", [19, 30, 400, 5000])
def test_numbers_of_any_length_are_compared(registry: Registry, digits: int) -> None:
    """As far as a database has them; none of them is an error of the hub's."""
    page = registry.read(lambda tx: run_query(tx, "default", f"SELECT * FROM devices WHERE tags.n < {'9' * digits}"))
    assert [each["deviceId"] for each in page.items] == ["a", "b"]
    with pytest.raises(HubError):
        parse_query(f"SELECT TOP {'9' * digits} * FROM devices")


def test_a_forged_place_in_an_answer_gives_nothing_more_than_a_page(registry: Registry) -> None:
    """However far it says to be."""
    after = base64.urlsafe_b64encode(json.dumps([3, "", ""]).encode()).decode()
    page = registry.read(lambda tx: run_query(tx, "default", "SELECT TOP 1 * FROM devices", 100, after))
    assert page.items == []
