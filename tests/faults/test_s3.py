"""S3 that fails, is slow, or loses the answer to what it has done.

Belongs here: faults of the store, brought about by `proxy` in front of a real server, on a copy of a lake in a bucket.
"""

from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from itertools import count
from pathlib import Path

import pytest
import s3fs

from lake import publications
from lake.errors import LakehouseError
from lake.locations import s3fs_options
from tests.faults.base import Scene, run_refresh
from tests.faults.catalogue import Case
from tests.faults.invariants import Invariants, seen
from tests.faults.proxy import Fault, Proxy, running_proxy
from tests.faults.test_kills import publishing
from tests.s3server import S3Server, running_s3_server


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    with running_s3_server(tmp_path_factory.mktemp("s3")) as running:
        yield running


@pytest.fixture(scope="module")
def proxy(server: S3Server) -> Iterator[Proxy]:
    with running_proxy(server.endpoint) as running:
        yield running


def in_a_bucket(scene: Scene, server: S3Server, proxy: Proxy) -> Scene:
    """The scene with its lake in a bucket that is reached through the proxy."""
    on_s3 = server.settings(scene.settings.home, f"bucket-{abs(hash(scene.settings.home)):x}")
    files = s3fs.S3FileSystem(**s3fs_options(on_s3))
    files.put(f"{scene.settings.lake_uri}/", f"{on_s3.lake_uri}/", recursive=True)
    return Scene(
        replace(on_s3, aws_endpoint_url=proxy.endpoint, kafka_bootstrap=scene.settings.kafka_bootstrap), scene.manifest
    )


def every_third(fault: Fault) -> Callable[[str, str], Fault | None]:
    """Spoil each third request, whatever it is."""
    numbers = count(1)
    return lambda method, path: fault if next(numbers) % 3 == 0 else None


def all_of_them(fault: Fault) -> Callable[[str, str], Fault | None]:
    """Spoil every request."""
    return lambda method, path: fault


def first_commit_of(*tables: str) -> Callable[[str, str], Fault | None]:
    """Lose the answer to the first commit of each table."""
    left = set(tables)

    def spoil(method: str, path: str) -> Fault | None:
        table = next((table for table in left if f"/{table}/_delta_log/" in path), None)
        if method != "PUT" or table is None or not path.split("?")[0].endswith(".json"):
            return None
        left.discard(table)
        return "lost"

    return spoil


def published_through(
    spoil: Callable[[], Callable[[str, str], Fault | None]], scene: Scene, invariants: Invariants, proxy: Proxy
) -> None:
    """Publish once through the fault; what fails says so and is done again."""
    before = seen(scene.settings)
    proxy.spoilt.clear()
    proxy.spoil = spoil()
    try:
        publishing(scene.settings)
    except LakehouseError as error:
        print(error)
    finally:
        proxy.spoil = lambda method, path: None
    assert proxy.spoilt
    assert seen(scene.settings)["publication"] in (1, 2)
    assert seen(scene.settings)["publication"] == 2 or seen(scene.settings) == before
    run_refresh(scene.settings)
    ids = [each.publication_id for each in publications.list_all(scene.settings)]
    assert ids == [1, 2]
    invariants.hold(scene.settings, scene.manifest)


CASES = (
    Case(
        "S3 answers 500",
        "each third request while gold is published is answered 500",
        "the engines ask again, or the step fails and readers see the publication before",
        partial(published_through, partial(every_third, "500")),
    ),
    Case(
        "S3 answers 503",
        "each third request while gold is published is answered 503 SlowDown",
        "the engines ask again, or the step fails and readers see the publication before",
        partial(published_through, partial(every_third, "503")),
    ),
    Case(
        "S3 is slow",
        "each answer comes half a second late",
        "all is published",
        partial(published_through, partial(all_of_them, "slow")),
    ),
    Case(
        "S3 loses the answer to a gold commit",
        "the connection is closed when the commit of `gold.device_hours` is stored",
        "one publication is made, with that commit counted once",
        partial(published_through, partial(first_commit_of, "gold/device_hours")),
    ),
    Case(
        "S3 loses the answer to the publication record",
        "the connection is closed when the record is stored",
        "there is one record of that number",
        partial(published_through, partial(first_commit_of, "ops/publications")),
    ),
)


@pytest.mark.parametrize("case", CASES, ids=str)
def test_publishing(
    case: Case, judged: Scene, home: Path, invariants: Invariants, server: S3Server, proxy: Proxy
) -> None:
    """What the case says holds, of gold that is published into a bucket."""
    case.prove(in_a_bucket(judged.copy(home), server, proxy), invariants, proxy)
