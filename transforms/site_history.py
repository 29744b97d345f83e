"""What lifecycle events declare of sites: name, time zone, the site that they are a part of.

Belongs here: which declarations count and what a site is after each. Events are ordered by the time at which they were
declared, not by arrival. What the sites come to together is in `places`.
"""

import json

from lake.local_days import is_zone
from lake.sql_text import Query, Relation, quoted, quoted_names
from lake.tables.silver import SILVER_SITES
from transforms.packed import part_number
from transforms.reasons import Reason
from transforms.strict_payload import Judgement, WrongTypeError, parsed, plain, shown, typed

SITE = 1
"""The shape of the payload of a declaration."""

_ATTRIBUTES = ("name", "zone", "parent_id")
_EVENT = quoted(json.dumps(dict.fromkeys(_ATTRIBUTES, "VARCHAR")))


def judge_site(value: bytes | None) -> Judgement:
    """Judge the payload of one declaration; the text of a good one has its attributes by name."""
    found = parsed(value)
    if isinstance(found, Judgement):
        return found
    text = shown((value or b"").decode())
    if found.is_repeated:
        return Judgement(Reason.DUPLICATE_KEY, f"a name stands twice: {text}")
    try:
        event = {name: typed(plain(found.get(name)), "string") for name in _ATTRIBUTES}
    except WrongTypeError:
        return Judgement(Reason.WRONG_TYPE, f"a value is not of its declared type: {text}")
    zone = event["zone"]
    if zone and not is_zone(zone):
        return Judgement(Reason.OUT_OF_RANGE, f"zone is {shown(zone)}, which is no IANA time zone")
    return Judgement(text=json.dumps(event))


def site_history(judged: Relation) -> Query:
    """SQL for the rows of `silver.sites` from judged lifecycle events: one a declaration.

    Attributes hold until a declaration names them anew; an empty text takes one away. Of several at one moment the last
    to arrive counts.
    """
    order = f'declared_at, ingest_id, "partition", "offset", {part_number()}'
    attributes = ", ".join(
        f"nullif(last_value(event.{name} IGNORE NULLS) OVER so_far, '') AS {name}" for name in _ATTRIBUTES
    )
    return Query(f"""
        WITH declarations AS (
            SELECT *, device_id AS site_id, measured_at AS declared_at, json_transform(mended, {_EVENT}) AS event
            FROM {judged} WHERE reason IS NULL AND table_name = {quoted(SILVER_SITES.name)}),
        history AS (
            SELECT site_id, declared_at, topic, "partition", "offset", ingest_id, {attributes},
                lead(true) OVER (PARTITION BY site_id ORDER BY {order}) IS NULL AS is_current
            FROM declarations
            WINDOW so_far AS (PARTITION BY site_id ORDER BY {order}
                              ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW))
        SELECT {quoted_names(SILVER_SITES.column_names)} FROM history""")
