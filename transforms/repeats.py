"""Repeats: the same message again, by CloudEvents identity near its own time.

Identity is (`source`, `message_id`, `measured_at`) within a table: a true repeat carries the time of the first. Of the
valid readings with one identity the first by (`ingest_id`, `partition`, `offset`, place in its pack) is kept. That
order is what bronze recorded, so ticks and a rebuild keep the same one. The others are `duplicate` when their bytes are
the same, else `conflict`.
"""

from lake.sql_text import Expression, Query, Relation
from transforms.packed import part_number
from transforms.reasons import Reason

IDENTITY = ("source", "message_id", "measured_at")
KEYS = ("table_name", *IDENTITY)
OF_ONE_TABLE = f'{", ".join(IDENTITY)}, ingest_id, topic, "partition", "offset", payload_digest'
COLUMNS = f"table_name, {OF_ONE_TABLE}"
"""What a pool of valid records has of each."""

# not by topic: the tenth message of a pack is named before its second, and a record alone before any of a pack
_ORDER = f'ingest_id, "partition", "offset", {part_number()}'


def identity_hash(source: Expression, message_id: Expression, measured_at: Expression) -> Expression:
    """SQL for the hash of an identity, of whatever table, in any columns that hold it: the same on each machine.

    Records that differ in it repeat nothing of each other.
    """
    return Expression(f"(hash({source}, {message_id}, {measured_at}) >> 1)::BIGINT")


def repeated_hashes(pool: Relation) -> Query:
    """SQL for the hashes of identities that come more than once in `pool`.

    Without any no identity does: counting hashes of eight bytes leaves few suspects to compare as they are.
    """
    return Query(f"SELECT hash({', '.join(KEYS)}) AS identity_hash FROM {pool} GROUP BY ALL HAVING count(*) > 1")


def repeats(pool: Relation, hashes: Relation) -> Query:
    """SQL for the records of `pool` that are not the first of their identity: place, `reason`, `detail`, `repeats`."""
    first = 'first_value(struct_pack(topic, p := "partition", o := "offset", digest := payload_digest)) OVER identity'
    return Query(f"""
        WITH with_first AS (
            SELECT *, {first} AS first FROM {pool} WHERE hash({", ".join(KEYS)}) IN (FROM {hashes})
            WINDOW identity AS (PARTITION BY {", ".join(KEYS)} ORDER BY {_ORDER})),
        with_place AS (SELECT *, first.topic || ':' || first.p || ':' || first.o AS place FROM with_first)
        SELECT topic, "partition", "offset",
            CASE WHEN payload_digest = first.digest THEN '{Reason.DUPLICATE}' ELSE '{Reason.CONFLICT}' END AS reason,
            'repeats ' || place AS detail, place AS repeats
        FROM with_place WHERE (topic, "partition", "offset") <> (first.topic, first.p, first.o)""")
