"""The twin graph as the unmodified client `azure-digitaltwins-core` speaks with it."""

import json
import time
from collections.abc import Iterator, MutableMapping
from pathlib import Path
from typing import Any

import pytest
from azure.core import MatchConditions
from azure.core.credentials import AccessToken
from azure.core.exceptions import HttpResponseError, ResourceExistsError, ResourceNotFoundError
from azure.digitaltwins.core import DigitalTwinsClient, DigitalTwinsEventRoute
from azure.digitaltwins.core._generated.models import QueryTwinsOptions

from hub.registry.identities import Identity, create
from hub.registry.outbox import pending
from tests.support.hub_service import Service, serving
from wire.sas import sign

ONTOLOGY = Path(__file__).parents[1] / "data" / "building_ontology"
ROOM = "dtmi:test:room;1"
MODELS: list[MutableMapping[str, Any]] = [
    {
        "@id": "dtmi:test:space;1", "@type": "Interface", "@context": "dtmi:dtdl:context;2", "displayName": "Space",
        "contents": [{"@type": "Property", "name": "label", "schema": "string"}],
    },
    {
        "@id": "dtmi:test:sensor;1", "@type": "Interface", "@context": "dtmi:dtdl:context;2",
        "contents": [{"@type": "Property", "name": "rate", "schema": "integer"}],
    },
    {
        "@id": ROOM, "@type": "Interface", "@context": "dtmi:dtdl:context;2", "extends": "dtmi:test:space;1",
        "contents": [
            {"@type": "Property", "name": "temperature", "schema": "double"},
            {"@type": "Component", "name": "sensor", "schema": "dtmi:test:sensor;1"},
        ],
    },
    {
        "@id": "dtmi:test:floor;1", "@type": "Interface", "@context": "dtmi:dtdl:context;2",
        "extends": ["dtmi:test:space;1"],
        "contents": [{"@type": "Relationship", "name": "hasRoom", "properties": [
            {"@type": "Property", "name": "since", "schema": "integer"}]}],
    },
]  # fmt: skip


class Signed:
    """A credential of azure-identity's kind whose tokens are signed by a policy's key."""

    def __init__(self, service: Service, tenant: str = "default") -> None:
        service.connection_string(tenant)
        self.policy = next(each for each in service.registry.policy_keys("iothubowner") if each.tenant == tenant)
        self.host = service.host

    def get_token(self, *scopes: str, **_options: Any) -> AccessToken:
        """A token for an hour."""
        expiry = int(time.time()) + 3600
        return AccessToken(sign(self.policy.primary_key, self.host, expiry, self.policy.name), expiry)


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    with serving(tmp_path_factory.mktemp("hub")) as running:
        yield running


@pytest.fixture
def client(service: Service, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(service.root))
    found = DigitalTwinsClient(f"https://{service.host}", Signed(service))
    if not list(found.list_models()):
        found.create_models(MODELS)
    return found


def room(temperature: float, label: str = "r") -> dict[str, Any]:
    return {
        "$metadata": {"$model": ROOM}, "temperature": temperature, "label": label,
        "sensor": {"$metadata": {}, "rate": 1},
    }  # fmt: skip


def floor_of(client: Any, name: str, count: int) -> None:
    """A floor with rooms of 20, 21, ... degrees."""
    client.upsert_digital_twin(name, {"$metadata": {"$model": "dtmi:test:floor;1"}, "label": name})
    for n in range(count):
        client.upsert_digital_twin(f"{name}-{n}", room(20.0 + n))
        body = {"$relationshipId": f"r{n}", "$sourceId": name, "$targetId": f"{name}-{n}", "since": n}
        client.upsert_relationship(name, f"r{n}", {**body, "$relationshipName": "hasRoom"})


def test_models_live_with_what_refers_to_them(client: Any) -> None:
    """Models are added together, shown with their definition, decommissioned, and not deleted while they are used."""
    assert {each.id for each in client.list_models()} == {each["@id"] for each in MODELS}
    assert client.get_model(ROOM, include_model_definition=True).model == MODELS[2]
    assert {each.id for each in client.list_models(dependencies_for=[ROOM])} == {each["@id"] for each in MODELS[:3]}
    with pytest.raises(ResourceExistsError):
        client.create_models(MODELS[:1])
    with pytest.raises(HttpResponseError) as used:
        client.delete_model("dtmi:test:space;1")
    assert used.value.status_code == 400
    with pytest.raises(HttpResponseError, match="not declared"):
        client.create_models([{**MODELS[3], "@id": "dtmi:test:lost;1", "extends": "dtmi:test:missing;1"}])
    client.create_models([{**MODELS[1], "@id": "dtmi:test:old;1"}])
    client.decommission_model("dtmi:test:old;1")
    assert client.get_model("dtmi:test:old;1").decommissioned
    with pytest.raises(HttpResponseError):
        client.upsert_digital_twin("old", {"$metadata": {"$model": "dtmi:test:old;1"}})
    client.delete_model("dtmi:test:old;1")
    with pytest.raises(ResourceNotFoundError):
        client.get_model("dtmi:test:old;1")


def test_twins_hold_what_their_model_says(client: Any) -> None:
    """A twin is made, patched by its etag only, has components, and no property that its model does not have."""
    made = client.upsert_digital_twin("t1", room(20.5))
    assert client.get_digital_twin("t1")["temperature"] == 20.5
    client.update_digital_twin("t1", [{"op": "replace", "path": "/temperature", "value": 22}])
    with pytest.raises(HttpResponseError) as stale:
        client.update_digital_twin(
            "t1", [{"op": "replace", "path": "/temperature", "value": 1}], etag=made["$etag"],
            match_condition=MatchConditions.IfNotModified,
        )  # fmt: skip
    assert stale.value.status_code == 412
    client.update_component("t1", "sensor", [{"op": "replace", "path": "/rate", "value": 5}])
    assert client.get_component("t1", "sensor")["rate"] == 5
    assert client.get_digital_twin("t1")["temperature"] == 22
    for wrong in ({**room(1), "colour": "red"}, {"$metadata": {"$model": ROOM}, "temperature": 1}):
        with pytest.raises(HttpResponseError) as refused:
            client.upsert_digital_twin("t2", wrong)
        assert refused.value.status_code == 400
    client.delete_digital_twin("t1")
    with pytest.raises(ResourceNotFoundError):
        client.get_digital_twin("t1")


def test_relationships_bind_twins(client: Any) -> None:
    """They are listed from both ends, patched, and keep their twins from being deleted."""
    floor_of(client, "f1", 2)
    assert [each["$targetId"] for each in client.list_relationships("f1")] == ["f1-0", "f1-1"]
    assert [each.source_id for each in client.list_incoming_relationships("f1-0")] == ["f1"]
    client.update_relationship("f1", "r0", [{"op": "replace", "path": "/since", "value": 9}])
    assert client.get_relationship("f1", "r0")["since"] == 9
    with pytest.raises(HttpResponseError) as bound:
        client.delete_digital_twin("f1-0")
    assert bound.value.status_code == 400
    client.delete_relationship("f1", "r0")
    client.delete_digital_twin("f1-0")


def test_queries_follow_the_graph(client: Any) -> None:
    """Properties, models, joins, counts, patterns and pages give what a walk over the graph gives."""
    floor_of(client, "f2", 5)
    query = client.query_twins
    warm = query("SELECT T.$dtId AS id FROM DIGITALTWINS T WHERE T.temperature > 22 AND STARTSWITH(T.$dtId, 'f2-')")
    assert [each["id"] for each in warm] == ["f2-3", "f2-4"]
    of_floor = "FROM DIGITALTWINS F JOIN R RELATED F.hasRoom E WHERE F.$dtId = 'f2'"
    assert [each["id"] for each in query(f"SELECT R.$dtId AS id {of_floor} AND E.since >= 3")] == ["f2-3", "f2-4"]
    both = list(query(f"SELECT F, R {of_floor} AND R.temperature = 21"))
    assert (both[0]["F"]["$dtId"], both[0]["R"]["$dtId"]) == ("f2", "f2-1")
    assert list(query(f"SELECT COUNT() {of_floor}")) == [{"COUNT": 5}]
    pattern = "FROM DIGITALTWINS MATCH (F)-[:hasRoom]->(R) WHERE F.$dtId = 'f2' AND R.temperature < 21"
    assert [each["id"] for each in query(f"SELECT R.$dtId AS id {pattern}")] == ["f2-0"]
    spaces = query("SELECT * FROM DIGITALTWINS WHERE IS_OF_MODEL('dtmi:test:space;1') AND STARTSWITH($dtId, 'f2')")
    assert len(list(spaces)) == 6
    exact = "SELECT * FROM DIGITALTWINS T WHERE IS_OF_MODEL(T, 'dtmi:test:space;1', exact)"
    assert list(query(exact)) == []
    paged = query(
        "SELECT * FROM DIGITALTWINS WHERE STARTSWITH($dtId, 'f2')",
        query_twins_options=QueryTwinsOptions(max_items_per_page=2),
    )
    assert len(list(paged)) == 6
    assert len(list(query("SELECT TOP (3) T.$dtId FROM DIGITALTWINS T"))) == 3
    edges = query("SELECT * FROM RELATIONSHIPS R WHERE R.$sourceId = 'f2' AND R.since < 2")
    assert [each["$relationshipId"] for each in edges] == ["r0", "r1"]


def test_a_site_of_the_graph_places_its_devices(service: Service, client: Any) -> None:
    """A device that a site contains is at that site for the lake."""
    service.registry.write(lambda tx: create(tx, Identity("pump-1", "default"))).result()
    client.create_models([{**MODELS[1], "@id": "dtmi:test:pump;1"}])
    client.upsert_digital_twin("north", {"$metadata": {"$model": "dtmi:lakehouse:site;1"}, "timeZone": "Europe/Berlin"})
    client.upsert_digital_twin("pump-1", {"$metadata": {"$model": "dtmi:test:pump;1"}})
    edge = {"$relationshipId": "c", "$sourceId": "north", "$targetId": "pump-1", "$relationshipName": "contains"}
    client.upsert_relationship("north", "c", edge)
    device = service.registry.device("pump-1")
    assert device is not None
    assert device.site_id == "north"
    told = [
        message.value
        for _, message in service.registry.read(lambda tx: pending(tx, 1000))
        if message.topic == "lifecycle"
    ]
    assert told[-1] == b'{"site_id":"north"}'


def test_events_go_where_a_route_is(service: Service, client: Any) -> None:
    """Telemetry of a twin goes to the topic of events; changes do once there is a route."""
    client.upsert_digital_twin("e1", room(1))
    client.publish_telemetry("e1", {"x": 1})
    client.upsert_event_route("all", DigitalTwinsEventRoute(endpoint_name="device_events", filter="true"))
    assert [each.id for each in client.list_event_routes()] == ["all"]
    client.update_digital_twin("e1", [{"op": "replace", "path": "/temperature", "value": 2}])
    client.delete_event_route("all")
    kinds = [
        dict(message.headers)["ce_type"].decode()
        for _, message in service.registry.read(lambda tx: pending(tx, 1000))
        if message.key == b"e1"
    ]
    assert kinds == ["lakehouse.twin.telemetry", "lakehouse.graph.twin_changed"]


def test_another_tenant_has_another_graph(service: Service, client: Any) -> None:
    """Twins and models of one tenant are not there for another."""
    client.upsert_digital_twin("secret", room(1))
    other = DigitalTwinsClient(f"https://{service.host}", Signed(service, "acme"))
    with pytest.raises(ResourceNotFoundError):
        other.get_digital_twin("secret")
    assert list(other.query_twins("SELECT * FROM DIGITALTWINS")) == []
    assert list(other.list_models()) == []


def test_a_public_building_ontology_is_loaded_and_asked(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    """Interfaces of opendigitaltwins-building in one upload, whatever their order; a building, its levels and rooms."""
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(service.root))
    building = DigitalTwinsClient(f"https://{service.host}", Signed(service, "building"))
    files = sorted(ONTOLOGY.glob("*.json"), reverse=True)
    models = [json.loads(path.read_text("utf-8-sig")) for path in files]
    building.create_models(models)
    assert {each.id for each in building.list_models()} == {each["@id"] for each in models}
    core = "dtmi:digitaltwins:rec_3_3:core"
    components: dict[str, Any] = {
        each["name"]: {"$metadata": {}}
        for model in models if model["@id"] == f"{core}:Space;1"
        for each in model["contents"] if each["@type"] == "Component"
    }  # fmt: skip

    def add(name: str, kind: str, parent: str = "") -> None:
        own: dict[str, Any] = {"address": {"$metadata": {}}} if kind == "Building" else {}
        body = {"$metadata": {"$model": f"{core}:{kind};1"}, "personCapacity": len(name), **components, **own}
        building.upsert_digital_twin(name, body)
        if parent:
            edge = {"$relationshipId": f"of-{name}", "$sourceId": name, "$targetId": parent}
            building.upsert_relationship(name, f"of-{name}", {**edge, "$relationshipName": "isPartOf"})

    add("b", "Building")
    for level in ("b-1", "b-2"):
        add(level, "Level", "b")
        for room_name in (f"{level}-a", f"{level}-bc"):
            add(room_name, "Room", level)
    spaces = building.query_twins(f"SELECT * FROM DIGITALTWINS T WHERE IS_OF_MODEL(T, '{core}:Space;1')")
    assert len(list(spaces)) == 7
    rooms = building.query_twins(
        "SELECT R.$dtId AS id FROM DIGITALTWINS R JOIN L RELATED R.isPartOf "
        "WHERE L.$dtId = 'b-2' AND R.personCapacity > 5"
    )
    assert [each["id"] for each in rooms] == ["b-2-bc"]
