"""Answers: rows as JSON, CSV or Arrow, with the publication that they come from.

Belongs here: choosing the format, spelling values, ETags, and keeping answers of a publication. A publication never
changes, so neither does an answer of it: `304` costs no question.
"""

import hashlib
import json
import threading
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import csv
from starlette.requests import Request
from starlette.responses import Response

from serving.problems import Problem

JSON, CSV, ARROW = "application/json", "text/csv", "application/vnd.apache.arrow.stream"
FORMATS = (JSON, CSV, ARROW)
_VARY = "Accept, Authorization, X-Api-Key, Cookie"
_KEPT_BYTES = 64 * 2**20
_LARGEST_KEPT = 2**20


@dataclass(frozen=True)
class Answer:
    """Rows, and `more` to say in JSON beside them; `next_cursor` where there are further rows."""

    rows: pa.Table
    more: Mapping[str, Any]
    next_cursor: str | None = None


def format_of(request: Request) -> str:
    """The first format of Accept that we have; JSON without one. Raises Problem."""
    accept = request.headers.get("accept", "*/*")
    wanted = []
    for place, part in enumerate(accept.split(",")):
        name, _, rest = part.strip().partition(";")
        quality = rest.partition("q=")[2].split(";")[0].strip()
        try:
            wanted.append((-float(quality or 1), place, name.strip().lower()))
        except ValueError:
            continue
    for quality_, _, name in sorted(wanted):
        if quality_ == 0:
            continue
        if name in ("*/*", "application/*", "text/html"):
            return JSON
        if name == "text/*":
            return CSV
        if name in FORMATS:
            return name
    raise Problem(406, "Not acceptable", f"Accept is {accept[:80]!r}: there are {', '.join(FORMATS)}.")


@lru_cache(maxsize=2_000)
def etag_of(publication_id: int, *said: object) -> str:
    """The name of an answer: the publication, and all else that it follows from."""
    return f'"{publication_id}-{hashlib.sha256(repr(said).encode()).hexdigest()[:12]}"'


def matches(request: Request, etag: str) -> bool:
    """True when the caller has this very answer already."""
    return etag in _named(request)


def matches_any(request: Request) -> bool:
    """True when whatever answer there is does not interest the caller."""
    return "*" in _named(request)


def _named(request: Request) -> list[str]:
    return [part.strip().removeprefix("W/") for part in request.headers.get("if-none-match", "").split(",")]


def body_of(answer: Answer, format_: str, publication_id: int) -> bytes:
    """The answer as bytes."""
    return _body(answer, format_, {"publication": publication_id})


def hot_body_of(answer: Answer, format_: str, revision: int) -> bytes:
    """An answer of the hot path as bytes; in JSON it says that it is provisional, else each row and a header do."""
    return _body(answer, format_, {"is_provisional": True, "revision": revision})


def _body(answer: Answer, format_: str, said: Mapping[str, Any]) -> bytes:
    if format_ == ARROW:
        sink = pa.BufferOutputStream()
        with pa.ipc.new_stream(sink, answer.rows.schema) as writer:
            writer.write_table(answer.rows)
        return bytes(sink.getvalue().to_pybytes())
    spelt = _spelt(answer.rows)
    if format_ == CSV:
        sink = pa.BufferOutputStream()
        csv.write_csv(spelt, sink)
        return bytes(sink.getvalue().to_pybytes())
    body = {**said, **answer.more, "data": spelt.to_pylist(), "next": answer.next_cursor}
    return json.dumps(body, ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode()


def response(
    body: bytes | None, format_: str, etag: str, publication_id: int, next_cursor: str | None = None
) -> Response:
    """The answer as it is sent; without a body the caller has it already, and gets the same headers."""
    headers = {"ETag": etag, "Cache-Control": "private, no-cache", "Vary": _VARY,
               "Lakehouse-Publication": str(publication_id)}  # fmt: skip
    if next_cursor is not None:
        headers["Lakehouse-Next"] = next_cursor
    if body is None:
        return Response(status_code=304, headers=headers)
    return Response(body, 200, headers, media_type=format_)


def hot_response(body: bytes, format_: str, revision: int, next_cursor: str | None) -> Response:
    """An answer of the hot path as it is sent; nobody keeps it."""
    headers = {"Cache-Control": "no-store", "Vary": _VARY, "Lakehouse-Hot": str(revision)}
    if next_cursor is not None:
        headers["Lakehouse-Next"] = next_cursor
    return Response(body, 200, headers, media_type=format_)


class KeptAnswers:
    """Bodies of answers, the least used let go first. They may be used by many threads."""

    def __init__(self, limit: int = _KEPT_BYTES) -> None:
        self._lock = threading.Lock()
        self._limit, self._bytes = limit, 0
        self._kept: OrderedDict[tuple[Any, ...], tuple[bytes, str | None]] = OrderedDict()

    def get(self, key: tuple[Any, ...]) -> tuple[bytes, str | None] | None:
        """The body and cursor of an answer that is kept."""
        with self._lock:
            if key not in self._kept:
                return None
            self._kept.move_to_end(key)
            return self._kept[key]

    def keep(self, key: tuple[Any, ...], body: bytes, next_cursor: str | None) -> None:
        """Keep an answer, unless it is large."""
        with self._lock:
            if len(body) > _LARGEST_KEPT or key in self._kept:
                return
            self._kept[key] = (body, next_cursor)
            self._bytes += len(body)
            while self._bytes > self._limit:
                _, (gone, _) = self._kept.popitem(last=False)
                self._bytes -= len(gone)


def _spelt(rows: pa.Table) -> pa.Table:
    """Times as RFC 3339 and days as ISO 8601: taken out of Arrow one by one they would cost most of an answer."""
    for place, field in enumerate(rows.schema):
        if pa.types.is_timestamp(field.type):
            text = pc.strftime(rows[place].cast(pa.timestamp("us", "UTC")), "%Y-%m-%dT%H:%M:%SZ")
            rows = rows.set_column(place, field.name, pc.replace_substring(text, ".000000Z", "Z"))
        elif pa.types.is_date(field.type):
            rows = rows.set_column(place, field.name, pc.strftime(rows[place], "%Y-%m-%d"))
    return rows
