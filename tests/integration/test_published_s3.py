"""A published lake that lies on S3, by the Python face and by sharing's own client."""

import json
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import delta_sharing
import pytest
from deltalake import DeltaTable

import lakehouse
from lake.storage.lake_files import LakeFiles
from lake.storage.locations import delta_options, table_uri
from runtime.settings import Settings
from serving.access.api_keys import ApiKeys
from serving.access.scopes import parse_scopes
from serving.sharing.signed_links import LIFETIME_S
from tests.support.awaiting import awaited
from tests.support.published_lake import DEVICE, publish_three_days_in
from tests.support.s3server import encoding_paths_anew, running_s3_server
from tests.support.served_gold import served


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Settings]:
    """A home whose lake lies on a real S3 server, with three days of gold."""
    folder = tmp_path_factory.mktemp("published")
    with running_s3_server(folder / "s3") as server:
        settings = server.settings(folder / "home", "published")
        publish_three_days_in(settings)
        yield settings


def test_a_lake_on_s3_is_read_as_one_in_a_folder(published: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    """Tables and series of an `s3://` address are those that were published there, with keys from the environment."""
    for name, value in published.child_environment().items():
        if name.startswith("AWS_"):
            monkeypatch.setenv(name, value)
    gold = lakehouse.open(published.lake_uri).publication()
    hours = gold.table("device_hours").where(device_id=DEVICE, metric_name="temperature").during(
        "2026-11-18", "2026-11-19"
    )  # fmt: skip
    assert hours.to_arrow().num_rows == 22
    points = gold.series(DEVICE, "temperature", "2026-11-18", "2026-11-19", fill="previous").to_arrow()
    assert points.num_rows == 24
    assert sum(points["is_filled"].to_pylist()) == 2
    assert not (published.home / "work").exists()


def status_of(link: str) -> int:
    """What the store says to who has nothing but a link."""
    try:
        with urllib.request.urlopen(link, timeout=120) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        return error.code


def test_delta_sharings_own_client_reads_by_links_of_the_store(published: Settings, tmp_path: Path) -> None:
    """Unmodified delta-sharing loads the very rows that lie on S3, which refuses links that are forged or ended."""
    key = ApiKeys(published).create("partner", parse_scopes(["share"]), datetime.now(UTC))[1]
    with (
        encoding_paths_anew(str(published.aws_endpoint_url)) as endpoint,
        served(published.home, replace(published, aws_endpoint_url=endpoint).child_environment()) as address,
    ):
        profile = tmp_path / "partner.share"
        said = {"shareCredentialsVersion": 1, "endpoint": f"{address}/sharing", "bearerToken": key}
        profile.write_text(json.dumps(said))
        for name in ("device_hours", "device_completeness"):
            frame = delta_sharing.load_as_pandas(f"{profile}#lakehouse.gold.{name}")
            assert rows_of(
                [{str(key): value for key, value in each.items()} for each in frame.to_dict("records")]
            ) == rows_of(gold_rows(published, name))
        link, until_s = first_link(address, key)
        assert link.startswith(endpoint)
        assert (status_of(link), 0 < until_s - time.time() <= LIFETIME_S) == (200, True)
        parts = urllib.parse.urlsplit(link)
        asked = dict(urllib.parse.parse_qsl(parts.query))
        changes = [{"X-Amz-Signature": asked["X-Amz-Signature"][::-1]}, {"X-Amz-Expires": "9999"}]
        forged = [parts._replace(query=urllib.parse.urlencode(asked | each)).geturl() for each in changes]
        elsewhere = parts.path.replace("device_hours", "device_days")
        forged += [parts._replace(path=elsewhere).geturl(), parts._replace(query="").geturl()]
        assert [status_of(each) for each in forged] == [403] * 4
        path = parts.path.partition("/lake/")[2]
        short = LakeFiles(replace(published, aws_endpoint_url=endpoint)).signed_link(urllib.parse.unquote(path), 1)
        awaited(lambda: status_of(short) == 403, "the end of a link that lasts a second")


def gold_rows(settings: Settings, name: str) -> list[dict[str, Any]]:
    """Rows of a gold table as they lie in the lake."""
    found = DeltaTable(table_uri(settings, f"gold.{name}"), storage_options=delta_options(settings))
    return list(found.to_pyarrow_table().to_pandas().to_dict("records"))


def rows_of(rows: list[dict[str, Any]]) -> list[str]:
    """Rows in an order of their own, to be compared value by value."""
    return sorted(repr(sorted(row.items())) for row in rows)


def first_link(address: str, key: str) -> tuple[str, float]:
    """A link to a file of hours, and the moment at which it ends by the server's word."""
    url = f"{address}/sharing/shares/lakehouse/schemas/gold/tables/device_hours/query"
    request = urllib.request.Request(url, b"{}", {"Authorization": f"Bearer {key}"})
    with urllib.request.urlopen(request, timeout=120) as answer:
        file = json.loads(answer.read().splitlines()[2])["file"]
    return str(file["url"]), file["expirationTimestamp"] / 1000
