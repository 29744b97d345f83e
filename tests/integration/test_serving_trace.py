"""Where a published figure comes from, asked over HTTP."""

import http.client
import json
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlencode

import pytest

from lake.records.verdicts import Verdict, input_version, record_verdicts
from lake.tables.gold import HOURLY, UNSLICED, WHOLE
from pipeline.gold.publish import publish
from pipeline.run import Run
from runtime.settings import load_settings
from serving.access.api_keys import ApiKeys
from serving.access.scopes import parse_scopes
from tests.support.served_gold import served
from tests.support.small_lake import H5, NOW, THERMOSTATS, Candidate, Lake


class Asked:
    """A server over a small lake; a minute of its published hour counts three readings."""

    def __init__(self, address: str, keys: dict[str, str]) -> None:
        self.address, self.keys = address, keys

    def ask(self, path: str, key: str = "all", **parameters: Any) -> tuple[int, dict[str, Any]]:
        """Status and body."""
        connection = http.client.HTTPConnection(self.address.removeprefix("http://"), timeout=60)
        connection.request("GET", f"{path}?{urlencode(parameters)}", headers={"X-Api-Key": self.keys[key]})
        answer = connection.getresponse()
        body = json.loads(answer.read())
        connection.close()
        return answer.status, body


@pytest.fixture(scope="module")
def asked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Asked]:
    """The server."""
    home = tmp_path_factory.mktemp("traced")
    lake = Lake(load_settings({"LAKEHOUSE_HOME": str(home)}))
    lake.fill(H5)
    for value in (30.0, 31.0):
        lake.read(H5, 3, value)
    # where it stood before
    lake.devices.insert(0, lake.device("d1", datetime(2025, 1, 1, tzinfo=UTC)) | {"is_current": False, "site_id": "s0"})
    candidate = Candidate(lake, [H5], [], lake.write())
    del candidate.rows["devices"][0]
    places = [(name, H5) for name in (THERMOSTATS, "silver.rejected", *(table.name for table in HOURLY))]
    places += [(name, UNSLICED) for name in ("silver.devices", *(table.name for table in WHOLE))]
    version = input_version(candidate.inputs)
    record_verdicts(lake.settings, [Verdict(*each, version, True, (), 3, "digest", "run", NOW) for each in places])
    publish(Run(lake.settings, lake.models, "run", NOW), candidate.write(), code_version="1")
    # one more reading of minute 4, which no publication counts
    lake.read(H5, 4, 99.0)
    lake.write()
    store = ApiKeys(lake.settings)
    scopes = {"all": "read", "s1": "read:site=s1", "other": "read:site=s2"}
    keys = {name: store.create(name, parse_scopes([scope]), datetime.now(UTC))[1] for name, scope in scopes.items()}
    with served(home) as address:
        yield Asked(address, keys)


def test_a_figure_leads_to_the_records_that_it_counts(asked: Asked) -> None:
    """A minute's row has its readings beside it, each with its place in Kafka, and the verdicts that let it pass; a
    device's row the registry's records, as far as the key sees where it stood."""
    minute = {"table": "device_minutes", "device_id": "d1", "metric_name": "temperature", "at": "2026-11-20T05:03:00Z"}
    status, body = asked.ask("/v1/trace", "s1", **minute)
    assert (status, body["row"]["reading_count"], body["reading_count"]) == (200, 3, 3)
    assert [row["value"] for row in body["data"]] == [23.0, 30.0, 31.0]
    assert {(row["topic"], row["partition"]) for row in body["data"]} == {("telemetry", 0)}
    assert len({row["offset"] for row in body["data"]}) == 3
    assert body["verdicts"]
    for key, sites in (("all", ["s0", "s1"]), ("s1", ["s1"])):
        registry = asked.ask("/v1/trace", key, table="devices", device_id="d1")[1]["registry"]
        assert [each["site_id"] for each in registry] == sites


def test_a_trace_shows_no_more_than_the_key_sees(asked: Asked) -> None:
    """A key of another site is told that there is no such figure, as who asks for one that there is not."""
    minute = {"table": "device_minutes", "device_id": "d1", "metric_name": "temperature", "at": "2026-11-20T05:03:00Z"}
    assert asked.ask("/v1/trace", "other", **minute)[0] == 404
    assert asked.ask("/v1/trace", **minute | {"at": "2026-11-20T07:03:00Z"})[0] == 404
    assert asked.ask("/v1/trace", **minute | {"at": ""})[0] == 400
    assert asked.ask("/v1/trace", **minute | {"table": "site_days"})[0] == 400
    assert asked.ask("/v1/trace", **minute | {"device_id": "d1' OR '1'='1"})[0] == 404


def test_readings_are_those_of_published_minutes(asked: Asked) -> None:
    """Single readings come where they add up to what was published, of an hour at most, to who may see them."""
    span = {"start": "2026-11-20T05:02:00Z", "end": "2026-11-20T05:06:00Z"}
    metric = {"device_id": "d1", "metric_name": "temperature"}
    status, body = asked.ask("/v1/readings", "s1", **metric, **span)
    assert status == 200
    # as of the publication: the reading that came after it is not there
    assert [row["value"] for row in body["data"]] == [22.0, 23.0, 30.0, 31.0, 24.0, 25.0]
    assert asked.ask("/v1/readings", "other", **metric, **span)[0] == 404
    assert asked.ask("/v1/readings", **metric, **span | {"end": "2026-11-20T07:00:00Z"})[0] == 400


def test_without_a_hot_path_hot_values_are_none(asked: Asked) -> None:
    """What nobody computes is not answered by an empty list."""
    status, body = asked.ask("/v1/hot/latest")
    assert (status, body["title"]) == (404, "No hot path")
