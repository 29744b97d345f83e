"""Packs: which records of bronze hold messages rather than being one, as SQL.

Belongs here: the condition alone. Taking a pack apart is in `wire.packs`.
"""

from lake.tables.bronze import BRONZE_TELEMETRY

_TYPES = ("application/cloudevents", "application/senml", "application/sensml")


def is_packed() -> str:
    """True for a record that is a pack by its content type, or as its payload begins like a list; false for others, and
    for the messages of packs."""
    # payloads are compared as bytes, so that an ordinary one costs two comparisons
    list_begins = "(value >= '['::BLOB AND value < '\\x5C'::BLOB)"
    space = "E' \\t\\r\\n'"
    list_behind_space = f"(value < '!'::BLOB AND starts_with(ltrim(TRY(decode(value)), {space}), '['))"
    by_type = " OR ".join(f"starts_with(lower(content_type), '{each}')" for each in _TYPES)
    is_pack = f"coalesce({by_type}, false) OR coalesce({list_begins} OR {list_behind_space}, false)"
    return f"(topic = '{BRONZE_TELEMETRY.short_name}' AND ({is_pack}))"
