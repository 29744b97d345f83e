"""The API and sharing, asked by real clients over a real server."""

import http.client
import io
import json
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

import delta_sharing
import pyarrow as pa
import pytest
from pyarrow import csv

from lake.tables.gold import DEVICE_HOURS, DEVICE_LATEST, DEVICES
from runtime.settings import Settings, load_settings
from serving.access.api_keys import ApiKeys
from serving.access.scopes import parse_scopes
from tests.support.awaiting import awaited
from tests.support.served_gold import publish, rows_of, served

NOW = datetime(2026, 11, 26, tzinfo=UTC)


class Server:
    """A server over a home, and keys of it."""

    def __init__(self, settings: Settings, address: str) -> None:
        self.settings, self.address = settings, address
        keys = ApiKeys(settings)
        scopes = {"all": ["read", "share"], "north": ["read:site=north", "share:site=north"], "share": ["share"]}
        self.keys = {
            name: keys.create(name, parse_scopes(texts), NOW, requests_a_second=10_000)[1]
            for name, texts in scopes.items()
        }

    def ask(self, path: str, key: str | None = "all", **headers: str) -> tuple[int, dict[str, str], bytes]:
        """Status, headers and body of a GET."""
        connection = http.client.HTTPConnection(self.address.removeprefix("http://"), timeout=120)
        bearer = {} if key is None else {"Authorization": f"Bearer {self.keys.get(key, key)}"}
        connection.request("GET", path, headers=bearer | {n.replace("_", "-"): v for n, v in headers.items()})
        answer = connection.getresponse()
        body = answer.read()
        connection.close()
        return answer.status, {name.lower(): value for name, value in answer.getheaders()}, body

    def rows(self, path: str, key: str = "all") -> list[dict[str, Any]]:
        """The rows of an answer."""
        status, _, body = self.ask(path, key)
        assert status == 200, body
        return list(json.loads(body)["data"])


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server over two publications: of the second the devices have the value 2."""
    home = tmp_path_factory.mktemp("served")
    settings = load_settings({"LAKEHOUSE_HOME": str(home)})
    publish(settings, 1, rows_of(10, 1.0))
    with served(home) as address:
        yield Server(settings, address)


SPAN = "start=2026-11-18T00:00:00Z&end=2026-11-18T12:00:00Z"


def test_what_is_published_is_answered(server: Server) -> None:
    """Devices, sites, latest values, series with their gaps, completeness, held slices and the publication itself."""
    assert [row["device_id"] for row in server.rows("/v1/devices")] == ["d1", "d2", "d3"]
    assert [(row["site_id"], row["device_count"]) for row in server.rows("/v1/sites")] == [("north", 2), ("south", 1)]
    assert server.rows("/v1/latest?device_id=d3")[0]["value_last"] == 1.0
    points = server.rows(f"/v1/series?device_id=d1&metric_name=temperature&{SPAN}")
    assert [point["value"] for point in points] == [1.0] * 10 + [None] * 2
    filled = server.rows(f"/v1/series?device_id=d1&metric_name=temperature&{SPAN}&fill=previous")
    assert [(point["value"], point["is_filled"]) for point in filled[-2:]] == [(1.0, True)] * 2
    assert len(server.rows(f"/v1/completeness?device_id=d1&{SPAN}")) == 10
    assert server.rows("/v1/held")[0]["slice"] == "2026-11-18T05"
    (newest,) = server.rows("/v1/publications/newest")
    assert (newest["publication_id"], newest["held_count"]) == (1, 1)
    assert server.rows("/v1/publications") == [newest]


def test_csv_and_arrow_have_the_same_rows(server: Server) -> None:
    """The format follows Accept; one that there is not is refused."""
    expected = server.rows("/v1/latest")
    _, headers, body = server.ask("/v1/latest", Accept="application/vnd.apache.arrow.stream")
    arrow = pa.ipc.open_stream(body).read_all()
    assert headers["content-type"] == "application/vnd.apache.arrow.stream"
    assert arrow["value_last"].to_pylist() == [row["value_last"] for row in expected]
    _, _, text = server.ask("/v1/latest", Accept="text/csv")
    assert csv.read_csv(io.BytesIO(text))["device_id"].to_pylist() == [row["device_id"] for row in expected]
    assert server.ask("/v1/latest", Accept="image/png")[0] == 406


def test_pages_follow_each_other(server: Server) -> None:
    """Every row comes once, in pages of any size, and a cursor that is none of ours is refused."""
    found, cursor = [], ""
    while cursor is not None:
        _, _, body = server.ask(f"/v1/completeness?{SPAN}&limit=7" + (f"&cursor={cursor}" if cursor else ""))
        page = json.loads(body)
        found += [(row["device_id"], row["hour_at"]) for row in page["data"]]
        cursor = page["next"]
    assert len(found) == len(set(found)) == 30
    assert server.ask(f"/v1/completeness?{SPAN}&cursor=WyJkMSJd")[0] == 400
    assert server.ask(f"/v1/completeness?{SPAN}&cursor=%ff")[0] == 400


def test_a_key_sees_its_sites_only(server: Server) -> None:
    """A key for a site sees no row of another, whatever it asks; without a right key nothing is told."""
    assert {row["device_id"] for row in server.rows("/v1/devices", "north")} == {"d1", "d2"}
    assert server.rows("/v1/latest?device_id=d3", "north") == []
    assert server.ask("/v1/devices/d3", "north")[0] == 404
    assert server.ask(f"/v1/series?device_id=d3&metric_name=temperature&{SPAN}", "north")[0] == 404
    assert server.ask("/v1/held", "north")[0] == 403
    assert {row["held_count"] for row in server.rows("/v1/publications", "north")} == {None}
    assert server.ask("/v1/devices", "share")[0] == 403
    for key in (None, "lh_0_x", "nothing", server.keys["all"] + "x"):
        status, headers, body = server.ask("/v1/devices", key)
        assert (status, headers["content-type"]) == (401, "application/problem+json")
        assert json.loads(body)["status"] == 401


def test_nobody_writes_sql_by_parameters(server: Server) -> None:
    """What stands in a parameter is a value, be it spelt like SQL; names and numbers that are none are refused."""
    for text in ("x' OR '1'='1", "d1'); DROP TABLE gold.devices; --", "%00"):
        assert server.ask(f"/v1/latest?device_id={text.replace(' ', '%20')}")[0] in (200, 400)
    assert server.rows("/v1/latest?device_id=x'%20OR%20'1'='1") == []
    for path in ("/v1/latest?limit=0", "/v1/latest?limit=1e9", "/v1/latest?nothing=1", "/v1/latest?as_of=0x1",
                 "/v1/series?device_id=d1", f"/v1/series?device_id=d1&metric_name=temperature&{SPAN}&every=1ns",
                 "/v1/latest?device_id=a&device_id=b"):  # fmt: skip
        status, _, body = server.ask(path)
        assert (status, json.loads(body)["status"]) == (400, 400)
    assert server.ask("/v1/latest?as_of=99")[0] == 404
    assert server.ask("/v1/nothing")[0] == 404


_USUAL = {
    "device_id": "d1", "metric_name": "temperature", "start": "2026-11-18T05:00:00Z", "end": "2026-11-18T06:00:00Z",
    "as_of": "1", "table": "device_hours", "at": "2026-11-18T05:00:00Z",
}  # fmt: skip
_CROOKED = ("' OR 1=1 --", "x'); DROP TABLE gold.devices; --", "../../../etc/passwd", "http://169.254.169.254/latest",
            "\0", "9" * 30, "x" * 5_000)  # fmt: skip


def addresses(server: Server, changes: Mapping[str, Sequence[str]] | Sequence[str]) -> Iterator[str]:
    """Every route of the API's own page with one parameter changed after another, the others as usual."""
    for path, item in json.loads(server.ask("/openapi.json", None)[2])["paths"].items():
        parameters = {each["name"]: each for each in item["get"]["parameters"]}
        # the last two name a row of /v1/trace, together with what it requires
        wanted = [name for name in parameters if parameters[name]["required"] or name in ("metric_name", "at")]
        usual = {name: _USUAL[name] for name in wanted}
        for name in parameters:
            for text in changes.get(name, ()) if isinstance(changes, Mapping) else changes:
                given = {**usual, name: text}
                here = path
                for other in [each for each in given if f"{{{each}}}" in path]:
                    here = here.replace(f"{{{other}}}", quote(given.pop(other), safe=""))
                yield f"{here}?{urlencode(given)}"


def test_no_parameter_of_any_route_reaches_further(server: Server) -> None:
    """SQL, paths, addresses of others, signs that end a text, numbers and texts without end: each is a value or is
    refused, whichever route has it; and all is there as before."""
    asked = list(addresses(server, _CROOKED))
    assert len(asked) > 300
    for address in asked:
        status, _, body = server.ask(address)
        assert status in (200, 400, 404), (address[:200], body)
        assert b"root:" not in body
    assert [row["device_id"] for row in server.rows("/v1/devices")] == ["d1", "d2", "d3"]


def test_no_route_tells_a_key_of_another_site(server: Server) -> None:
    """Whichever route is asked for a device or site of others has no row of it, also one that is added later."""
    asked = list(addresses(server, {"device_id": ["d3"], "site_id": ["south"]}))
    assert len(asked) > 8
    told = []
    for address in asked:
        status, _, body = server.ask(address, "north")
        assert status == 404 or json.loads(body)["data"] == [], address
        status, _, body = server.ask(address)
        told += [address] if status == 200 and json.loads(body)["data"] else []
    assert len(told) > 4, "a key of all sites sees them"


def test_no_body_is_without_an_end(server: Server) -> None:
    """A key that may share, or a connection, does not fill the server's memory."""
    table = "/sharing/shares/lakehouse/schemas/gold/tables/devices/query"
    connection = http.client.HTTPConnection(server.address.removeprefix("http://"), timeout=120)
    bearer = {"Authorization": f"Bearer {server.keys['all']}"}
    connection.request("POST", "/push/negotiate?negotiateVersion=1", headers=bearer)
    token = json.loads(connection.getresponse().read())["connectionToken"]
    for path in (table, f"/push?id={token}"):
        connection.request("POST", path, b"{" + b" " * 2**21 + b"}", bearer)
        answer = connection.getresponse()
        assert (answer.status, json.loads(answer.read())["title"]) == (413, "Too large")
        connection.close()


def test_an_answer_of_a_publication_never_changes(server: Server) -> None:
    """Who has it gets 304; another key's or format's answer is another; a new publication is seen without a restart."""
    _, headers, _ = server.ask("/v1/latest")
    assert server.ask("/v1/latest", If_None_Match=headers["etag"])[0] == 304
    assert server.ask("/v1/latest", "north")[1]["etag"] != headers["etag"]
    assert server.ask("/v1/latest", Accept="text/csv")[1]["etag"] != headers["etag"]
    publish(server.settings, 2, {t: rows for t, rows in rows_of(10, 2.0).items() if t in (DEVICE_LATEST, DEVICES)})
    awaited(lambda: server.ask("/v1/latest", If_None_Match=headers["etag"])[0] != 304, "the new publication")
    assert {row["value_last"] for row in server.rows("/v1/latest?device_id=d1")} == {1.0, 2.0}
    assert {row["value_last"] for row in server.rows("/v1/latest?device_id=d1&as_of=1")} == {1.0}
    _, _, body = server.ask("/v1/publications?limit=1")
    page = json.loads(body)
    further = server.rows(f"/v1/publications?limit=1&cursor={page['next']}")
    assert [row["publication_id"] for row in (*page["data"], *further)] == [2, 1]


def test_who_asks_too_often_waits(server: Server) -> None:
    """A key has a rate; what is over it is told when to come again. A revoked key is refused within a second or two."""
    keys = ApiKeys(server.settings)
    server.keys["slow"] = keys.create("slow", parse_scopes(["read"]), NOW, requests_a_second=1)[1]
    statuses = [server.ask("/v1/sites", "slow")[0] for _ in range(4)]
    assert statuses[0] == 200
    refused: list[Any] = []

    def is_refused() -> bool:
        refused[:] = server.ask("/v1/sites", "slow")
        return bool(refused[0] == 429)

    awaited(is_refused, "that its rate is over", every_s=0)
    assert int(refused[1]["retry-after"]) >= 1
    keys.revoke("slow", NOW)
    awaited(lambda: server.ask("/v1/sites", "slow")[0] == 401, "that the key is revoked")


def profile(server: Server, key: str, folder: Path) -> str:
    """A profile file for delta-sharing's client."""
    path = folder / f"{key}.share"
    said = {"shareCredentialsVersion": 1, "endpoint": f"{server.address}/sharing", "bearerToken": server.keys[key]}
    path.write_text(json.dumps(said))
    return str(path)


def test_delta_sharings_own_client_reads_the_same_rows(server: Server, tmp_path: Path) -> None:
    """Unmodified delta-sharing lists the tables and loads one into pandas, the rows that were published."""
    file = profile(server, "all", tmp_path)
    names = {table.name for table in delta_sharing.SharingClient(file).list_all_tables()}
    assert {"device_hours", "device_latest", "devices"} <= names
    frame = delta_sharing.load_as_pandas(f"{file}#lakehouse.gold.device_completeness", limit=1000)
    assert (len(frame), set(frame["device_id"])) == (30, {"d1", "d2", "d3"})
    hours = delta_sharing.load_as_pandas(f"{file}#lakehouse.gold.device_hours")
    columns = ["device_id", "hour_at", "site_id", "value_mean", "reading_count"]
    published = [tuple(row[name] for name in columns) for row in rows_of(10, 1.0)[DEVICE_HOURS]]
    assert sorted(hours[columns].itertuples(index=False, name=None)) == sorted(published)
    first = delta_sharing.load_as_pandas(f"{file}#lakehouse.gold.device_latest", version=1)
    assert set(first["value_last"]) == {1.0}
    assert delta_sharing.get_table_version(f"{file}#lakehouse.gold.device_latest") >= 1


def test_sharing_refuses(server: Server, tmp_path: Path) -> None:
    """A key of one site sees no share, since no file is of one site; forged and foreign links open nothing."""
    assert delta_sharing.SharingClient(profile(server, "north", tmp_path)).list_all_tables() == []
    path = "/sharing/shares/lakehouse/schemas/gold/tables/device_hours"
    assert server.ask(f"{path}/version", "north")[0] == 404
    assert server.ask("/sharing/shares/lakehouse/schemas/gold/tables/nothing/metadata")[0] == 404
    assert server.ask(f"{path}/changes?startingVersion=1")[0] == 400
    link = "/sharing/files/gold.device_hours/part.parquet?until=99999999999&signature=" + "0" * 64
    assert server.ask(link, None)[0] == 403
    assert server.ask(link.replace("part.parquet", "..%2F..%2Fpublications"), None)[0] == 403


def test_schemathesis_finds_no_failure(server: Server) -> None:
    """Requests made up from the OpenAPI page are answered as the page says."""
    command = [str(Path(sys.executable).with_name("schemathesis")), "run", f"{server.address}/openapi.json"]
    command += ["--header", f"Authorization: Bearer {server.keys['all']}", "--max-examples", "15", "--phases",
                "examples,coverage,fuzzing", "--checks", "not_a_server_error,status_code_conformance,"
                "content_type_conformance,response_schema_conformance", "--no-color", "--seed", "1"]  # fmt: skip
    result = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert result.returncode == 0, result.stdout[-4000:]
