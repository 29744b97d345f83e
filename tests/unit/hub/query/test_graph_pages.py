"""Pages of a query of the twin graph, while the graph changes."""

import base64
import json
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from hub.hub_errors import HubCode, HubError
from hub.registry.hub_registry import Registry
from hub.twins.graph_query import run_graph_query
from hub.twins.twin_graph import put_relationship, put_twin, remove_relationship, remove_twin

SITE = {"$metadata": {"$model": "dtmi:lakehouse:site;1"}, "timeZone": "UTC"}


@pytest.fixture
def registry(tmp_path: Path) -> Any:
    opened = Registry(f"sqlite:///{tmp_path / 'registry.db'}")
    yield opened
    opened.close()


def page(registry: Registry, text: str, after: str | None) -> tuple[list[Any], str | None]:
    return registry.read(lambda tx: run_graph_query(tx, "default", text, after, 2))


def put(registry: Registry, *names: str) -> None:
    for name in names:
        registry.write(partial(put_twin, tenant="default", twin_id=name, body=dict(SITE), if_match=None)).result()


def contain(registry: Registry, source: str, number: int) -> None:
    edge = {"$targetId": f"d{number}", "$relationshipName": "contains"}
    registry.write(lambda tx: put_relationship(tx, "default", source, f"r{number}", edge, None)).result()


def test_twins_that_come_and_go_between_two_pages_hide_and_double_none(registry: Registry) -> None:
    """What stood there all the time is told once, though rows before it were added and removed."""
    put(registry, *"bcdefg")
    text = "SELECT TOP(5) FROM DIGITALTWINS"
    first, more = page(registry, text, None)
    registry.write(lambda tx: remove_twin(tx, "default", "b", None)).result()
    second, more = page(registry, text, more)
    put(registry, "a", "b")
    third, more = page(registry, text, more)
    told = [each["$dtId"] for each in first + second + third]
    assert told == list("bcdef")
    assert more is None


def test_pages_of_a_join_follow_its_rows(registry: Registry) -> None:
    """A row is known by the twins and the relationship that it is made of."""
    put(registry, "s", *(f"d{n}" for n in range(5)))
    for number in range(5):
        contain(registry, "s", number)
    text = "SELECT T FROM DIGITALTWINS S JOIN T RELATED S.contains WHERE S.$dtId = 's'"
    first, more = page(registry, text, None)
    registry.write(lambda tx: remove_relationship(tx, "default", "s", "r0", None)).result()
    second, more = page(registry, text, more)
    third, more = page(registry, text, more)
    assert [each["T"]["$dtId"] for each in first + second + third] == [f"d{n}" for n in range(5)]
    assert more is None


def written(*parts: Any) -> str:
    return base64.b64encode(json.dumps(parts).encode()).decode()


# of no page, of another query, of what no database takes as text, and too deep for Python
OTHER_TOKENS = [
    "Mg==", "WzEsMl0=", "nonsense", 7, ["a"], "ü", written(1, "x", "y", "z"), written(True, "x"), written(1, "a\0b"),
    written(1, "\ud800"), base64.b64encode(b"[" * 40_000).decode(),
]  # fmt: skip


@pytest.mark.parametrize("token", OTHER_TOKENS, ids=[str(place) for place in range(len(OTHER_TOKENS))])
def test_another_token_is_refused(registry: Registry, token: Any) -> None:
    """One that no page of this query gave is 400."""
    with pytest.raises(HubError) as refused:
        page(registry, "SELECT * FROM DIGITALTWINS", token)
    assert refused.value.code is HubCode.ArgumentInvalid
