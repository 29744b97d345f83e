"""Judging a record before its payload is looked at: envelope, time, device, model, component.

Belongs here: the rules that need only bronze columns, the registry and the list of models, as SQL.
"""

from collections.abc import Iterable, Mapping

from lake.models.catalog import Model
from lake.sql_text import Expression, Query, Relation, quoted
from transforms.clock import clock_status, event_at, event_date, event_hour, is_plausible
from transforms.packed import unpacked_rule
from transforms.reasons import Reason
from transforms.refusal_rules import Rule, detail_of, first_broken, listed, reason_of, shown
from wire.envelope import TELEMETRY_TYPE

_REQUIRED = ("ce_specversion", "ce_id", "ce_source", "ce_type")
_MEASURED, _RECEIVED = Expression("measured_at"), Expression("received_at")
# what two payloads of the same identity are compared by; the same on every machine and in every version
DIGEST = "(md5_number(value) >> 65)::BIGINT"


def envelope_rules(known_types: Iterable[str], wrong_unit: Expression) -> list[Rule]:
    """The rules on the Kafka key, the CloudEvents attributes and the time; the same for every topic.

    `wrong_unit` is true for an implausible time that says what was meant.
    """
    is_absent = {name: f"(coalesce({name}, '') = '')" for name in _REQUIRED}
    absent = ", ".join(f"CASE WHEN {condition} THEN {quoted(name)} END" for name, condition in is_absent.items())
    no_device = Expression("coalesce(device_id, '') = ''")
    told = Expression(f"'ce_time is ' || {shown(Expression('ce_time'))}")
    foreign = Expression(f"'unknown ce_type ' || {shown(Expression('ce_type'))}")
    implausible = Expression(f"NOT {is_plausible(_MEASURED)} AND NOT ({wrong_unit})")
    lacking = Expression(" OR ".join(is_absent.values()))
    return [
        Rule(no_device, Reason.MISSING_DEVICE, Expression("'the Kafka key is missing, empty or not UTF-8'")),
        Rule(lacking, Reason.BAD_ENVELOPE, Expression(f"'missing: ' || concat_ws(', ', {absent})")),
        Rule(_is_other_type(known_types), Reason.BAD_ENVELOPE, foreign),
        Rule(Expression(f"{_MEASURED} IS NULL"), Reason.BAD_TIME, told),
        Rule(implausible, Reason.IMPLAUSIBLE_TIME, told),
    ]


def judged_envelopes(
    bronze: Relation, facts: Relation, models: Mapping[str, Model], types: Iterable[str] = ()
) -> Query:
    """SQL for bronze telemetry with its slice, its model and, where a rule refuses it, `reason` and `detail`.

    `types` are foreign types of messages that count as telemetry; one that ends in * stands for all that begin so.
    `facts` are those of `device_history.judging_facts`. Adds `source`, `message_id`, `component_name`, `model_id`,
    `clock_status`, `event_at`, `event_date`, `event_hour`, `payload_digest`.
    """
    of_envelope = envelope_rules([TELEMETRY_TYPE, *types], Expression("clock_status = 'wrong_unit'"))
    rules = [unpacked_rule(), *of_envelope, *_device_rules(models)]
    status = clock_status(_MEASURED, _RECEIVED, Expression("in_service_at"))
    broken, counts_at = Expression("broken"), Expression("event_at")
    # most devices have had one model; a clock that is judged wrong does not say which
    counted = event_at(Expression("clock_status"), _MEASURED, _RECEIVED)
    registry_model = f"""CASE WHEN len(models) < 2 THEN models[1].model_id ELSE coalesce(
        list_filter(models, lambda m: m.valid_from <= {counted})[-1].model_id, models[1].model_id) END"""
    return Query(f"""
        WITH known AS (
            SELECT b.*, f.registered_id, f.models, {status} AS clock_status,
                ce_source AS source, ce_id AS message_id, nullif(ce_subject, '') AS component_name,
                {DIGEST} AS payload_digest
            FROM {bronze} b LEFT JOIN {facts} f ON b.device_id = f.registered_id),
        timed AS (
            SELECT * EXCLUDE (models), {counted} AS event_at,
                coalesce(nullif(ce_dataschema, ''), {registry_model}) AS model_id
            FROM known),
        sliced AS (
            SELECT *, {first_broken(rules)} AS broken,
                {event_date(counts_at)} AS event_date, {event_hour(counts_at)} AS event_hour
            FROM timed)
        SELECT *, {reason_of(rules, broken)} AS reason, {detail_of(rules, broken)} AS detail FROM sliced""")


def _is_other_type(known: Iterable[str]) -> Expression:
    names = list(known)
    other = [f"ce_type NOT IN {listed(name for name in names if not name.endswith('*'))}"]
    other += [f"NOT starts_with(ce_type, {quoted(name[:-1])})" for name in names if name.endswith("*")]
    return Expression(" AND ".join(other))


def _device_rules(models: Mapping[str, Model]) -> list[Rule]:
    model = Expression("model_id")
    components = {f"{m.model_id} {t.component}" for m in models.values() for t in m.telemetry if t.component}
    return [
        Rule(
            Expression("registered_id IS NULL"),
            Reason.UNKNOWN_DEVICE,
            Expression(f"'not in the registry: ' || {shown(Expression('device_id'))}"),
        ),
        Rule(
            Expression(f"coalesce(model_id NOT IN {listed(models)}, true)"),
            Reason.UNKNOWN_MODEL,
            Expression(f"'no declared model: ' || {shown(model)}"),
        ),
        Rule(
            Expression(
                "component_name IS NOT NULL AND coalesce((model_id || ' ' || component_name) NOT IN "
                f"{listed(components)}, true)"
            ),
            Reason.UNKNOWN_COMPONENT,
            Expression(f"{shown(model)} || ' has no component ' || {shown(Expression('component_name'))}"),
        ),
    ]
