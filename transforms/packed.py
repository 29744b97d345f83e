"""Packs: which records of bronze hold messages rather than being one, as SQL, and the rows of those messages.

Belongs here: the condition and the rows. Taking a pack apart is in `wire.packs`.
"""

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import pyarrow as pa

from lake.slices import HOUR_MICROS
from lake.sql_text import Expression
from lake.tables.bronze import BRONZE_LIFECYCLE, BRONZE_TELEMETRY
from transforms.reasons import Reason
from transforms.refusal_rules import Rule
from wire.envelope import ATTRIBUTES, rfc3339
from wire.packs import Part, unpack
from wire.times import micros_of_rfc3339

_EVENTS = "application/cloudevents"
_TYPES = (_EVENTS, "application/senml", "application/sensml")
_SPACE = "E' \\t\\r\\n'"


def is_packed() -> Expression:
    """True for a record that is a pack by its content type, or as its payload begins like a list; false for others, and
    for the messages of packs. Lifecycle events come in packs of events alone."""
    # payloads are compared as bytes, so that an ordinary one costs two comparisons
    list_begins = "(value >= '['::BLOB AND value < '\\x5C'::BLOB)"
    list_behind_space = f"(value < '!'::BLOB AND starts_with(ltrim(TRY(decode(value)), {_SPACE}), '['))"
    is_list = f"coalesce({list_begins} OR {list_behind_space}, false)"
    by_type = " OR ".join(_is_of(each) for each in _TYPES)
    telemetry = f"topic = '{BRONZE_TELEMETRY.short_name}' AND ({by_type} OR {is_list})"
    return Expression(f"({telemetry} OR topic = '{BRONZE_LIFECYCLE.short_name}' AND {_is_of(_EVENTS)})")


def _is_of(kind: str) -> str:
    return f"coalesce(starts_with(lower(ltrim(content_type, {_SPACE})), '{kind}'), false)"


def part_number() -> Expression:
    """SQL for the number of a message in its pack, which stands behind its topic; 0 for one that came alone."""
    number = "coalesce(TRY_CAST(split_part(topic, '#', 2) AS INTEGER), 0)"
    return Expression(f"CASE WHEN topic = '{BRONZE_TELEMETRY.short_name}' THEN 0 ELSE {number} END")


def unpacked_rule() -> Rule:
    """The rule on a pack, which comes before all others: its messages are judged for it."""
    return Rule(is_packed(), Reason.UNPACKED, Expression("'its messages stand under topic ' || topic || '#1 and on'"))


def messages_in(packs: pa.Table) -> pa.Table:
    """The messages of packs, rows of bronze, as rows of bronze."""
    # times stay numbers on their way: a clock may show a year that no datetime of Python holds
    numbered = pa.schema([field.with_type(_as_number(field.type)) for field in packs.schema])
    rows = [row for pack in packs.cast(numbered).to_pylist() for row in _messages_of(pack)]
    return pa.Table.from_pylist(rows, packs.schema)


def _as_number(type_: pa.DataType) -> pa.DataType:
    if pa.types.is_timestamp(type_):
        return pa.int64()
    return pa.int32() if pa.types.is_date32(type_) else type_


def _messages_of(pack: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    record = Part({name: pack[name] for name in ATTRIBUTES}, pack["content_type"], pack["value"])
    for number, part in enumerate(unpack(record, _spelt(pack["received_at"])), 1):
        measured = micros_of_rfc3339(part.attributes.get("ce_time") or "")
        yield {
            **pack,
            "topic": f"{pack['topic']}#{number}",
            "headers": None,
            **part.attributes,
            "content_type": part.content_type,
            "value": part.value,
            "measured_at": measured,
            "measured_hour": None if measured is None else measured // HOUR_MICROS,
        }


def _spelt(micros: int) -> str:
    """A moment in RFC 3339; what it cannot spell is no time."""
    try:
        return rfc3339(datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=micros))
    except OverflowError:
        return ""
