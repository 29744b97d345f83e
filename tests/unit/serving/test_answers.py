"""Answers of the API: what a caller has already, what is kept of them by many threads."""

import threading
from collections.abc import Mapping
from contextlib import suppress
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any, cast

import pyarrow as pa
import pytest
from starlette.requests import Request
from starlette.responses import Response

from serving.access.api_keys import ApiKey
from serving.access.doors import Caller
from serving.access.scopes import parse_scopes
from serving.api.answers import Answer, KeptAnswers
from serving.api.api_app import _answer
from serving.api.declared import DeclaredRoute, Parameter
from serving.problems import Problem
from serving.snapshots import Snapshots

CALLER = Caller(ApiKey("k", "app", parse_scopes(["read"]), 50.0, datetime.now(UTC), None, None), None)
SNAPSHOT = SimpleNamespace(publication=SimpleNamespace(publication_id=3))


def device(_: object, caller: Caller, values: Mapping[str, Any]) -> Answer:
    """One device, of which there is d1."""
    if values["device_id"] != "d1":
        raise Problem(404, "No such device", "There is none.")
    return Answer(pa.table({"device_id": ["d1"]}), {}, "next")


def asked(name: str, etag: str = "") -> Response:
    """The answer to who has another already."""
    parameters = (Parameter("device_id", "A device.", is_in_path=True),)
    route = DeclaredRoute("/v1/devices/{device_id}", "device", "", parameters, device)
    headers = [(b"if-none-match", etag.encode())] if etag else []
    request = Request({"type": "http", "method": "GET", "path": f"/v1/devices/{name}", "query_string": b"",
                       "headers": headers, "path_params": {"device_id": name}, "server": ("h", 80)})  # fmt: skip
    snapshots = cast(Snapshots, SimpleNamespace(of=lambda _: SNAPSHOT))
    return _answer(route, request, CALLER, snapshots, KeptAnswers())


@pytest.mark.parametrize("named", ["{}", "*", 'W/{}, "x"'])
def test_who_has_an_answer_gets_its_headers(named: str) -> None:
    """As RFC 9110 has it: ETag, Vary and Cache-Control are those of the answer."""
    whole = asked("d1")
    again = asked("d1", named.format(whole.headers["etag"]))
    assert (again.status_code, again.body) == (304, b"")
    told = ("etag", "vary", "cache-control", "lakehouse-publication")
    assert [again.headers[name] for name in told] == [whole.headers[name] for name in told]


def test_what_there_is_not_nobody_has() -> None:
    """With the name of another answer, or any, an address that has none is no 304."""
    for named in (asked("d1").headers["etag"], "*"):
        with pytest.raises(Problem, match="404"):
            asked("none", named)


class Meeting:
    """A key whose two users wait for each other at each look-up, for as long as the other can come."""

    def __init__(self) -> None:
        self._barrier = threading.Barrier(2)

    def __hash__(self) -> int:
        with suppress(threading.BrokenBarrierError):
            self._barrier.wait(0.5)
        return 1


def test_an_answer_that_two_threads_keep_is_counted_once() -> None:
    """Counted twice it would never leave the sum, until nothing can be kept and each answer fails."""
    kept, key = KeptAnswers(limit=10), (Meeting(),)
    threads = [threading.Thread(target=kept.keep, args=(key, b"12345", None)) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert (kept._bytes, len(kept._kept)) == (5, 1)
    kept.keep(("another",), b"1234567890", None)
    assert (kept._bytes, kept.get(key), kept.get(("another",))) == (10, None, (b"1234567890", None))
