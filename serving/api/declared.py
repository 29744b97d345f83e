"""Declared routes: what each can be asked, from which checking and the OpenAPI page follow.

Belongs here: parameters and how their texts become values. What a route answers is in `gold_routes` and others.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime
from email.utils import format_datetime
from typing import Any, Literal

from starlette.requests import Request

from serving.problems import Problem
from wire.times import moment_of_rfc3339

Kind = Literal["text", "integer", "moment"]
_SCHEMAS: dict[Kind, dict[str, Any]] = {
    "text": {"type": "string", "minLength": 1, "maxLength": 256},
    "integer": {"type": "integer"},
    "moment": {"type": "string", "format": "date-time"},
}


@dataclass(frozen=True)
class Parameter:
    """A parameter of a route. `choices` are the texts that it may be; `least` and `most` bound an integer."""

    name: str
    says: str
    kind: Kind = "text"
    required: bool = False
    default: Any = None
    choices: tuple[str, ...] = ()
    least: int = 0
    most: int = 2**31 - 1
    is_in_path: bool = False

    def schema(self) -> dict[str, Any]:
        """As OpenAPI has it."""
        schema = dict(_SCHEMAS[self.kind])
        if self.choices:
            schema = {"type": "string", "enum": list(self.choices)}
        if self.kind == "integer":
            schema |= {"minimum": self.least, "maximum": self.most}
        return schema | ({} if self.default is None else {"default": self.default})

    def value(self, text: str) -> Any:
        """The text as a value. Raises Problem."""
        if self.choices:
            if text not in self.choices:
                raise self._problem(text, f"give one of {', '.join(self.choices)}")
            return text
        if self.kind == "integer":
            if not text.isascii() or not text.isdigit() or not self.least <= int(text[:12]) <= self.most:
                raise self._problem(text, f"give a whole number from {self.least} to {self.most}")
            return int(text)
        if self.kind == "moment":
            return self._moment(text)
        if not text or len(text) > 256 or "\0" in text:
            raise self._problem(text, "give 1 to 256 characters")
        return text

    def _moment(self, text: str) -> datetime:
        # a plus that was not encoded arrives as a space
        moment = moment_of_rfc3339(text) or (moment_of_rfc3339("+".join(text.rsplit(" ", 1))) if " " in text else None)
        if moment is None:
            try:
                day = date.fromisoformat(text) if len(text) == 10 else None
            except ValueError:
                day = None
            if day is None:
                raise self._problem(text, "give a time such as 2026-11-20T05:00:00Z or a day such as 2026-11-20")
            moment = datetime(day.year, day.month, day.day, tzinfo=UTC)
        return moment

    def _problem(self, text: str, advice: str) -> Problem:
        return Problem(400, "Bad parameter", f"{self.name} is {text[:80]!r}: {advice}.")


@dataclass(frozen=True)
class Retirement:
    """When a route was deprecated, when it ends, and the path of what takes its place."""

    deprecated_at: datetime
    sunset_at: datetime
    successor: str

    def headers(self) -> dict[str, str]:
        """What each answer of the route says: RFC 9745, RFC 8594 and RFC 5829."""
        return {
            "Deprecation": f"@{int(self.deprecated_at.timestamp())}",
            "Sunset": format_datetime(self.sunset_at.astimezone(UTC), usegmt=True),
            "Link": f'<{self.successor}>; rel="successor-version"',
        }


@dataclass(frozen=True)
class DeclaredRoute:
    """A route: GET `path`. `handler` gets the request's values by name, with the caller and the snapshot.

    One with a `retirement` says so in each answer, until it is gone. One that `is_hot` asks what the hot path tells, in
    place of a snapshot; what it answers is no publication's.
    """

    path: str
    name: str
    says: str
    parameters: tuple[Parameter, ...]
    handler: Callable[..., Any]
    verb: str = "read"
    columns: tuple[str, ...] = ()
    is_hot: bool = False
    retirement: Retirement | None = None


def values_of(request: Request, parameters: tuple[Parameter, ...]) -> Mapping[str, Any]:
    """The values of a request by parameter. Raises Problem for what is wrong, missing or unknown."""
    known = {parameter.name for parameter in parameters}
    unknown = sorted(set(request.query_params) - known - {"access_token"})
    if unknown:
        names = ", ".join(sorted(p.name for p in parameters if not p.is_in_path)) or "none"
        raise Problem(400, "Unknown parameter", f"There is no parameter {unknown[0][:80]!r}, there are {names}.")
    values: dict[str, Any] = {}
    for parameter in parameters:
        texts = request.query_params.getlist(parameter.name)
        if len(texts) > 1:
            raise Problem(400, "Bad parameter", f"{parameter.name} is given {len(texts)} times: give it once.")
        text = request.path_params.get(parameter.name) if parameter.is_in_path else (texts[0] if texts else None)
        if text is None and parameter.required:
            raise Problem(400, "Missing parameter", f"Give {parameter.name}: {parameter.says}")
        values[parameter.name] = parameter.default if text is None else parameter.value(text)
    return values
