"""Judging a record before its payload is looked at: envelope, time, device, model, component.

Belongs here: the rules that need only bronze columns, the registry and the list of models. Each adds to `reason` and
`detail` for the records that no earlier rule refused.
"""

from collections.abc import Mapping

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from ingestion.envelope import TELEMETRY_TYPE
from lake.models import Model
from transforms.clock import is_plausible, is_wrong_unit, with_event_at
from transforms.reasons import Reason

# JSON's white space; trimming without a list of characters takes blanks only
WHITE_SPACE = " \t\r\n"

Rule = tuple[Column, Reason, Column]
"""What refuses a record: a condition, the reason code and the detail in words."""


def first_reason(rules: list[Rule]) -> tuple[Column, Column]:
    """`reason` and `detail` of the first rule whose condition holds; both null when none does."""
    conditions = [condition for condition, _, _ in rules]
    reason = first_of(conditions, [F.lit(code.value) for _, code, _ in rules], F.lit(None).cast("string"))
    detail = first_of(conditions, [text for _, _, text in rules], F.lit(None).cast("string"))
    return reason, detail


def any_of(conditions: list[Column]) -> Column:
    """True when one of the conditions holds; null counts as false."""
    result = F.lit(False)
    for condition in conditions:
        result = result | F.coalesce(condition, F.lit(False))
    return result


def first_of(conditions: list[Column], values: list[Column], otherwise: Column) -> Column:
    """The value beside the first condition that holds: one flat CASE, as Connect limits nesting."""
    if not conditions:
        return otherwise
    case = F.when(conditions[0], values[0])
    for condition, value in zip(conditions[1:], values[1:], strict=True):
        case = case.when(condition, value)
    return case.otherwise(otherwise)


def shown(column: Column) -> Column:
    """A value from outside as it may stand in a detail: cut short, nulls named."""
    return F.coalesce(F.substring(column.cast("string"), 1, 80), F.lit("nothing"))


def envelope_rules(known_types: list[str]) -> list[Rule]:
    """The rules on the Kafka key, the CloudEvents attributes and the time; the same for every topic."""
    measured = F.col("measured_at")
    has_device = F.col("device_id").isNotNull() & (F.col("device_id") != "")
    is_absent = {
        name: F.coalesce(F.col(name), F.lit("")) == "" for name in ("ce_specversion", "ce_id", "ce_source", "ce_type")
    }
    absent = F.array_compact(F.array(*[F.when(condition, F.lit(name)) for name, condition in is_absent.items()]))
    return [
        (~has_device, Reason.MISSING_DEVICE, F.lit("the Kafka key is missing, empty or not UTF-8")),
        (
            any_of(list(is_absent.values())),
            Reason.BAD_ENVELOPE,
            F.concat(F.lit("missing: "), F.concat_ws(", ", absent)),
        ),
        (
            ~F.col("ce_type").isin(known_types),
            Reason.BAD_ENVELOPE,
            F.concat(F.lit("unknown ce_type "), shown(F.col("ce_type"))),
        ),
        (
            measured.isNull(),
            Reason.BAD_TIME,
            F.concat(F.lit("ce_time is "), shown(F.col("ce_time"))),
        ),
        (
            ~is_plausible(measured) & ~is_wrong_unit(measured, F.col("received_at")),
            Reason.IMPLAUSIBLE_TIME,
            F.concat(F.lit("ce_time is "), shown(F.col("ce_time"))),
        ),
    ]


def judge_envelopes(bronze: DataFrame, devices: DataFrame, models: Mapping[str, Model]) -> DataFrame:
    """Bronze telemetry with its slice, its model and, where a rule refuses it, `reason` and `detail`.

    `devices` has one row a device (see `registry.judging_facts`). Adds `source`, `message_id`, `component_name`,
    `model_id`, the columns of `clock.with_event_at`, `payload_digest`, `reason`, `detail`.
    """
    facts = F.broadcast(devices.withColumnRenamed("device_id", "registered_id"))
    joined = bronze.join(facts, bronze["device_id"] == facts["registered_id"], "left")
    at_the_time = F.expr("filter(models, m -> m.valid_from <= measured_at)")
    registry_model = F.coalesce(
        F.try_element_at(at_the_time, F.lit(-1))["model_id"], F.try_element_at(F.col("models"), F.lit(1))["model_id"]
    )
    named = (
        with_event_at(joined)
        .withColumn("source", F.col("ce_source"))
        .withColumn("message_id", F.col("ce_id"))
        .withColumn("component_name", F.when(F.col("ce_subject") != "", F.col("ce_subject")))
        .withColumn("model_id", F.coalesce(F.col("ce_dataschema"), registry_model))
        .withColumn("payload_digest", F.xxhash64("value"))
    )
    rules = [*envelope_rules([TELEMETRY_TYPE]), *_device_rules(models)]
    reason, detail = first_reason(rules)
    # most records break no rule; only for those that do it is asked which one
    refused = F.col("_is_refused")
    return (
        named.withColumn("_is_refused", any_of([condition for condition, _, _ in rules]))
        .withColumn("reason", F.when(refused, reason))
        .withColumn("detail", F.when(refused, detail))
        .drop("_is_refused")
    )


def _device_rules(models: Mapping[str, Model]) -> list[Rule]:
    model, component = F.col("model_id"), F.col("component_name")
    known_components = [f"{m.model_id} {t.component}" for m in models.values() for t in m.telemetry if t.component]
    has_component = component.isNull() | F.concat_ws(" ", model, component).isin(sorted(set(known_components)))
    return [
        (
            F.col("registered_id").isNull(),
            Reason.UNKNOWN_DEVICE,
            F.concat(F.lit("not in the registry: "), shown(F.col("device_id"))),
        ),
        (
            model.isNull() | ~model.isin(sorted(models)),
            Reason.UNKNOWN_MODEL,
            F.concat(F.lit("no declared model: "), shown(model)),
        ),
        (
            ~has_component,
            Reason.UNKNOWN_COMPONENT,
            F.concat(shown(model), F.lit(" has no component "), shown(component)),
        ),
    ]
