"""Answers of the API: what a caller has already, what is kept of them by many threads."""

import threading
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pyarrow as pa
import pytest
from starlette.requests import Request
from starlette.responses import Response

from runtime.settings import load_settings
from serving.access.api_keys import ApiKey, ApiKeys
from serving.access.doors import Caller, Doors
from serving.access.scopes import parse_scopes
from serving.api import gold_answers
from serving.api.answers import Answer, KeptAnswers
from serving.api.declared import DeclaredRoute, Parameter, values_of
from serving.api.gold_answers import GoldAnswers
from serving.problems import Problem
from serving.snapshots import Snapshots

CALLER = Caller(ApiKey("k", "app", parse_scopes(["read"]), 50.0, datetime.now(UTC), None, None), None)
SNAPSHOT = SimpleNamespace(publication=SimpleNamespace(publication_id=3))


def device(_: object, caller: Caller, values: Mapping[str, Any]) -> Answer:
    """One device, of which there is d1."""
    if values["device_id"] != "d1":
        raise Problem(404, "No such device", "There is none.")
    return Answer(pa.table({"device_id": ["d1"]}), {}, "next")


PARAMETERS = (Parameter("device_id", "A device.", is_in_path=True), Parameter("as_of", "A publication.", "integer"))
ROUTE = DeclaredRoute("/v1/devices/{device_id}", "device", "", PARAMETERS, device)


def asking(name: str, etag: str = "", query: str = "") -> Request:
    """A request for a device."""
    headers = [(b"if-none-match", etag.encode())] if etag else []
    return Request({"type": "http", "method": "GET", "path": f"/v1/devices/{name}", "query_string": query.encode(),
                    "headers": headers, "path_params": {"device_id": name}, "server": ("h", 80)})  # fmt: skip


def asked(name: str, etag: str = "") -> Response:
    """The answer to who has another already."""
    snapshots = cast(Snapshots, SimpleNamespace(of=lambda _: SNAPSHOT))
    return GoldAnswers(snapshots).answer(ROUTE, asking(name, etag), CALLER)


def test_what_was_answered_is_known_while_the_publication_is() -> None:
    """The same bytes, without a question; not of another device, nor once the publication has to be looked for, nor
    where a publication is named. Who has the answer gets a 304 though nothing is kept."""
    known = [SNAPSHOT]
    answers = GoldAnswers(cast(Snapshots, SimpleNamespace(of=lambda _: SNAPSHOT, known=lambda: known[-1])))
    assert answers.known_answer(ROUTE, asking("d1"), CALLER) is None
    first = answers.answer(ROUTE, asking("d1"), CALLER)
    again = answers.known_answer(ROUTE, asking("d1"), CALLER)
    assert again is not None
    assert (again.body, again.headers.raw) == (first.body, first.headers.raw)
    assert answers.known_answer(ROUTE, asking("d2"), CALLER) is None
    assert answers.known_answer(ROUTE, asking("d1", query="as_of=3"), CALLER) is None
    has_it = answers.known_answer(ROUTE, asking("d1", first.headers["etag"]), CALLER)
    assert has_it is not None
    assert has_it.status_code == 304
    known.append(cast(Any, None))
    assert answers.known_answer(ROUTE, asking("d1"), CALLER) is None
    known.append(SimpleNamespace(publication=SimpleNamespace(publication_id=4)))
    assert answers.known_answer(ROUTE, asking("d1"), CALLER) is None


def test_what_is_sent_again_is_understood_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """An address and a format are read the first time, whoever asks; another of either is not taken for it, and what
    was refused is refused again."""
    read: list[str] = []

    def counted(request: Request, parameters: tuple[Parameter, ...]) -> Mapping[str, Any]:
        read.append(request.url.path)
        return values_of(request, parameters)

    monkeypatch.setattr(gold_answers, "values_of", counted)
    snapshots = SimpleNamespace(of=lambda _: SNAPSHOT, known=lambda: SNAPSHOT)
    answers = GoldAnswers(cast(Snapshots, snapshots))
    north = replace(CALLER, sites=("north",))
    first, *others = (answers.answer(ROUTE, asking("d1"), who) for who in (CALLER, CALLER, north))
    assert (read, [each.body for each in others]) == (["/v1/devices/d1"], [first.body] * 2)
    assert len({each.headers["etag"] for each in (first, *others)}) == 2
    csv = asking("d1")
    csv.scope["headers"] = [(b"accept", b"text/csv")]
    assert answers.answer(ROUTE, csv, CALLER).media_type == "text/csv"
    for _ in range(2):
        with pytest.raises(Problem, match="400 Unknown parameter"):
            answers.answer(ROUTE, asking("d1", query="of=d1"), CALLER)
    assert len(read) == 4


def test_a_key_is_known_for_a_second(tmp_path: Path) -> None:
    """After that it is looked up again; one that nobody sent yet, or none, is not known."""
    settings, now = load_settings({"LAKEHOUSE_HOME": str(tmp_path)}), [0.0]
    keys = [ApiKeys(settings).create(name, parse_scopes(["read"]), datetime.now(UTC))[1] for name in ("a", "b")]
    doors = Doors(settings, lambda: now[0])
    sent, other, none = (
        Request({"type": "http", "query_string": b"", "headers": [(b"x-api-key", key.encode())] if key else []})
        for key in (*keys, "")
    )
    assert doors.admit_known(sent, "read") is None
    caller = doors.admit(sent, "read")
    assert [doors.admit_known(each, "read") for each in (sent, other, none)] == [caller, None, None]
    with pytest.raises(Problem, match="403"):
        doors.admit_known(sent, "share")
    now[0] = 1.1
    assert doors.admit_known(sent, "read") is None


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
