"""Gold answers: what a publication answers to a request, and what of it is known already.

Belongs here: by what an answer is kept and found again. Spelling and keeping are `answers`' matter.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from serving.access.doors import Caller
from serving.api.answers import KeptAnswers, body_of, etag_of, format_of, matches, matches_any, response
from serving.api.declared import DeclaredRoute, values_of
from serving.snapshots import Snapshot, Snapshots

_UNDERSTOOD = 2_000


class GoldAnswers:
    """Answers from publications. Those that were given before are kept."""

    def __init__(self, snapshots: Snapshots) -> None:
        self._snapshots, self._kept = snapshots, KeptAnswers()
        # by their hashes: addresses may be long, and may hold keys
        self._understood: dict[bytes, _Asked] = {}

    def known_answer(self, route: DeclaredRoute, request: Request, caller: Caller) -> Response | None:
        """The answer where nothing is read for it: the caller has it, or it is kept. Else None."""
        asked = self._asked(route, request)
        snapshot = self._snapshots.known()
        if snapshot is None or asked.values.get("as_of") is not None:
            return None
        return self._known(asked, snapshot, caller, request)

    def answer(self, route: DeclaredRoute, request: Request, caller: Caller) -> Response:
        """The answer, for which the publication is asked where it has to be."""
        asked = self._asked(route, request)
        snapshot = self._snapshots.of(asked.values.get("as_of"))
        found = self._known(asked, snapshot, caller, request)
        if found is not None:
            return found
        number = snapshot.publication.publication_id
        answer = route.handler(snapshot, caller, asked.values)
        body, key = body_of(answer, asked.format, number), asked.key(number, caller)
        self._kept.keep(key, body, answer.next_cursor)
        return _sent(request, body, asked.format, etag_of(*key), number, answer.next_cursor)

    def _asked(self, route: DeclaredRoute, request: Request) -> "_Asked":
        """What is asked for; it is the same each time that the same is sent. Raises Problem."""
        sent = (request.scope["path"], request.scope["query_string"], request.headers.get("accept"))
        name = hashlib.sha256(repr(sent).encode()).digest()
        found = self._understood.get(name)
        if found is None:
            found = _Asked.by(route, request)
            if len(self._understood) >= _UNDERSTOOD:
                self._understood.clear()
            self._understood[name] = found
        return found

    def _known(self, asked: "_Asked", snapshot: Snapshot, caller: Caller, request: Request) -> Response | None:
        number = snapshot.publication.publication_id
        key = asked.key(number, caller)
        # of the address too: who names it has got this very answer, so there is one, and no question is asked
        etag = etag_of(*key)
        if matches(request, etag):
            return response(None, asked.format, etag, number)
        found = self._kept.get(key)
        return None if found is None else _sent(request, found[0], asked.format, etag, number, found[1])


@dataclass(frozen=True)
class _Asked:
    """What a request asks for: the format, the values by name, and what an answer is kept by."""

    format: str
    values: Mapping[str, Any]
    address: tuple[object, ...]

    @classmethod
    def by(cls, route: DeclaredRoute, request: Request) -> "_Asked":
        """Raises Problem."""
        format_, values = format_of(request), values_of(request, route.parameters)
        return cls(format_, values, (request.scope["path"], tuple(sorted((n, str(v)) for n, v in values.items()))))

    def key(self, publication_id: int, caller: Caller) -> tuple[Any, ...]:
        """All that an answer follows from."""
        return (publication_id, caller.sites, self.format, self.address)


def _sent(request: Request, body: bytes, format_: str, etag: str, publication_id: int, cursor: str | None) -> Response:
    return response(None if matches_any(request) else body, format_, etag, publication_id, cursor)
