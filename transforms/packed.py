"""Packs: which records of bronze hold messages rather than being one, as SQL, and the rows of those messages.

Belongs here: the condition and the rows. Taking a pack apart is in `wire.packs`.
"""

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

from lake.sql_text import Expression
from lake.tables.bronze import BRONZE_TELEMETRY
from wire.envelope import ATTRIBUTES, rfc3339
from wire.packs import Part, unpack
from wire.times import moment_of_rfc3339

_TYPES = ("application/cloudevents", "application/senml", "application/sensml")


def is_packed() -> Expression:
    """True for a record that is a pack by its content type, or as its payload begins like a list; false for others, and
    for the messages of packs."""
    # payloads are compared as bytes, so that an ordinary one costs two comparisons
    list_begins = "(value >= '['::BLOB AND value < '\\x5C'::BLOB)"
    space = "E' \\t\\r\\n'"
    list_behind_space = f"(value < '!'::BLOB AND starts_with(ltrim(TRY(decode(value)), {space}), '['))"
    by_type = " OR ".join(f"starts_with(lower(content_type), '{each}')" for each in _TYPES)
    is_pack = f"coalesce({by_type}, false) OR coalesce({list_begins} OR {list_behind_space}, false)"
    return Expression(f"(topic = '{BRONZE_TELEMETRY.short_name}' AND ({is_pack}))")


def messages_of(pack: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """The messages of a pack, a row of bronze, as rows of bronze."""
    record = Part({name: pack[name] for name in ATTRIBUTES}, pack["content_type"], pack["value"])
    for number, part in enumerate(unpack(record, rfc3339(pack["received_at"])), 1):
        measured = moment_of_rfc3339(part.attributes.get("ce_time") or "")
        yield {
            **pack,
            "topic": f"{pack['topic']}#{number}",
            "headers": None,
            **part.attributes,
            "content_type": part.content_type,
            "value": part.value,
            "measured_at": measured,
            "measured_hour": None if measured is None else _hour(measured),
        }


def _hour(moment: datetime) -> int:
    return int((moment - datetime(1970, 1, 1, tzinfo=UTC)).total_seconds() // 3600)
