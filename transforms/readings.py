"""Bronze telemetry to judged records, and judged records to the rows of silver tables, as SQL.

Belongs here: the order of the steps and the final selects, which are the contracts of the tables. A tick and a rebuild
both come through here; they differ only in the bronze rows and the earlier readings that they bring. Queries are run in
`pipeline`.
"""

from collections.abc import Iterable, Mapping

from lake.models.catalog import Model
from lake.sql_text import Query, Relation, quoted, quoted_names, relation
from lake.tables.contracts import Table
from lake.tables.silver import READING_COLUMNS, SILVER_REJECTED
from transforms.envelope_rules import judged_envelopes
from transforms.payload import judged_payloads, payloads_of, telemetry_values
from transforms.reasons import Reason

RECORD_COLUMNS = (
    "topic", '"partition"', '"offset"', "ingest_id", "received_at", "event_at", "event_date", "event_hour",
    "clock_status", "reason", "detail", "device_id", "model_id", "component_name", "source", "message_id",
    "measured_at", "payload_digest", "table_name", "shape", "text",
)  # fmt: skip
"""What is known of a record when SQL has judged it, besides its `value`: that is kept where there is no `text`."""


def judged_telemetry(
    bronze: Relation, facts: Relation, models: Mapping[str, Model], types: Iterable[str] = ()
) -> Query:
    """SQL for every bronze row once, with its slice and a `reason` where envelope or device refuse it.

    `types` are foreign types of messages that count as telemetry. A row with neither a reason nor a `text` is for
    `strict_payload`. Repeats are not looked for here.
    """
    judged = judged_payloads(judged_envelopes(bronze, facts, models, types), payloads_of(models.values()))
    tables = " ".join(f"WHEN {quoted(m.model_id)} THEN {quoted(m.table)}" for m in models.values())
    table_name = f"CASE model_id {tables} END" if tables else "NULL::VARCHAR"
    value = "CASE WHEN text IS NULL THEN value END AS value"
    columns = ", ".join(RECORD_COLUMNS)
    return Query(f"""
        WITH with_table AS (SELECT *, {table_name} AS table_name FROM {relation(judged)})
        SELECT {columns}, {value} FROM with_table""")


def readings(judged: Relation, table: Table, models: Mapping[str, Model]) -> Query:
    """SQL for the rows of one silver reading table, in its declared order of columns."""
    common = [column.name for column in READING_COLUMNS]
    ours = [p for p in payloads_of(models.values()) if p.model.table == table.name]
    parsed, telemetry = telemetry_values(ours, {c.name: c.type for c in table.columns if c.name not in common})
    names = quoted_names(common)
    return Query(f"""
        WITH with_values AS (
            SELECT *, {parsed} FROM {judged} WHERE reason IS NULL AND table_name = {quoted(table.name)})
        SELECT {names}, {", ".join(telemetry)} FROM with_values""")


def rejected(judged: Relation) -> Query:
    """SQL for the rows of `silver.rejected`."""
    names = quoted_names(name for name in SILVER_REJECTED.column_names if name != "value")
    # a pack's bytes stay in bronze
    value = f"CASE WHEN reason <> '{Reason.UNPACKED}' THEN coalesce(value, encode(text)) END"
    return Query(f"SELECT {names}, {value} AS value FROM {judged} WHERE reason IS NOT NULL")
