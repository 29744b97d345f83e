"""Lifecycle events to the history of the device registry (SCD2).

Belongs here: which lifecycle events count and what state a device has after each; what they say of sites is in
`site_history`. Events are ordered by the time at
which they take effect, not by arrival, so an event that comes late lands where it belongs.
"""

import json

from lake.sql_text import Expression, Query, Relation, quoted, quoted_names
from lake.tables.silver import SILVER_DEVICES, SILVER_SITES
from transforms.clock import event_date, event_hour, is_wrong_unit
from transforms.envelope_rules import DIGEST, envelope_rules
from transforms.packed import part_number, unpacked_rule
from transforms.reasons import Reason
from transforms.refusal_rules import detail_of, first_broken, reason_of
from transforms.site_history import SITE, judge_site
from transforms.strict_payload import Judgement, WrongTypeError, parsed, plain, shown, typed
from wire.envelope import LIFECYCLE_TYPES, MAINTENANCE_STARTED, REGISTERED, RETIRED, SITE_DECLARED, UPDATED

_ATTRIBUTES = {"model_id": "string", "site_id": "string", "reporting_interval_s": "int"}
_EVENT = quoted(json.dumps({"model_id": "VARCHAR", "site_id": "VARCHAR", "reporting_interval_s": "INTEGER"}))


def judged_lifecycle(bronze: Relation) -> Query:
    """SQL for every bronze lifecycle row once, with a `reason` where its envelope refuses it.

    The others are for `judge_event`.
    """
    received, broken = Expression("received_at"), Expression("broken")
    of_envelope = envelope_rules([*LIFECYCLE_TYPES, SITE_DECLARED], is_wrong_unit(Expression("measured_at"), received))
    rules = [unpacked_rule(), *of_envelope]
    # a lifecycle record counts when it arrived: its own time may lie years back by right
    return Query(f"""
        WITH with_broken AS (SELECT *, {first_broken(rules)} AS broken FROM {bronze})
        SELECT topic, "partition", "offset", ingest_id, received_at, received_at AS event_at,
            {event_date(received)} AS event_date, {event_hour(received)} AS event_hour, 'ok' AS clock_status,
            {reason_of(rules, broken)} AS reason, {detail_of(rules, broken)} AS detail,
            device_id, NULL::VARCHAR AS model_id, ce_type, ce_source AS source, ce_id AS message_id, measured_at,
            {DIGEST} AS payload_digest,
            CASE ce_type WHEN {quoted(SITE_DECLARED)} THEN {quoted(SILVER_SITES.name)}
                ELSE {quoted(SILVER_DEVICES.name)} END AS table_name,
            CASE ce_type WHEN {quoted(SITE_DECLARED)} THEN {SITE} END AS shape,
            NULL::VARCHAR AS text, value
        FROM with_broken""")


def judge_event(value: bytes | None, shape: int | None = None) -> Judgement:
    """Judge the payload of one lifecycle event; the text of a good one has its attributes by name. A site's has the
    shape SITE."""
    if shape == SITE:
        return judge_site(value)
    found = parsed(value)
    if isinstance(found, Judgement):
        return found
    text = shown((value or b"").decode())
    if found.is_repeated:
        return Judgement(Reason.DUPLICATE_KEY, f"a name stands twice: {text}")
    try:
        event = {name: typed(plain(found.get(name)), type_) for name, type_ in _ATTRIBUTES.items()}
    except WrongTypeError:
        return Judgement(Reason.WRONG_TYPE, f"a value is not of its declared type: {text}")
    seconds = event["reporting_interval_s"]
    if seconds is not None and seconds <= 0:
        return Judgement(Reason.OUT_OF_RANGE, f"reporting_interval_s is {seconds}, below 1")
    return Judgement(text=json.dumps(event))


def device_history(judged: Relation) -> Query:
    """SQL for the rows of `silver.devices` from judged lifecycle events: one a device and change.

    Attributes hold until an event names them anew. Of several events at one moment the last to arrive wins.
    """
    arrived = f'ingest_id, "partition", "offset", {part_number()}'
    newest = f'ingest_id DESC, "partition" DESC, "offset" DESC, {part_number()} DESC'
    attributes = ", ".join(f"last_value(event.{name} IGNORE NULLS) OVER so_far AS {name}" for name in _ATTRIBUTES)
    return Query(f"""
        WITH events AS (
            SELECT *, json_transform(mended, {_EVENT}) AS event,
                CASE WHEN ce_type = {quoted(REGISTERED)} THEN measured_at END AS registered_at,
                CASE ce_type WHEN {quoted(MAINTENANCE_STARTED)} THEN 'maintenance' WHEN {quoted(RETIRED)} THEN 'retired'
                    WHEN {quoted(UPDATED)} THEN NULL ELSE 'in_service' END AS new_status
            FROM {judged} WHERE reason IS NULL AND table_name = {quoted(SILVER_DEVICES.name)}),
        states AS (
            SELECT device_id, topic, "partition", "offset", ingest_id, measured_at AS valid_from,
                coalesce(last_value(new_status IGNORE NULLS) OVER so_far, 'in_service') AS status,
                coalesce(min(registered_at) OVER whole, min(measured_at) OVER whole) AS in_service_at,
                {attributes},
                row_number() OVER (PARTITION BY device_id, measured_at ORDER BY {newest}) AS place
            FROM events
            WINDOW so_far AS (PARTITION BY device_id ORDER BY measured_at, {arrived}
                              ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW),
                   whole AS (PARTITION BY device_id)),
        periods AS (
            SELECT *, lead(valid_from) OVER (PARTITION BY device_id ORDER BY valid_from) AS valid_to
            FROM states WHERE place = 1),
        history AS (SELECT *, valid_to IS NULL AS is_current FROM periods)
        SELECT {quoted_names(SILVER_DEVICES.column_names)} FROM history""")


def judging_facts(history: Relation) -> Query:
    """SQL for what judging telemetry needs of the registry, one row a device: `registered_id`, `in_service_at` and its
    `models` over time."""
    return Query(f"""
        SELECT device_id AS registered_id, min(in_service_at) AS in_service_at,
            list(struct_pack(valid_from, model_id) ORDER BY valid_from, model_id)
                FILTER (model_id IS NOT NULL) AS models
        FROM {history} GROUP BY device_id""")
