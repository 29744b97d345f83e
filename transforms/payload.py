"""Parsing and judging payloads: one JSON object, typed by its device model.

Belongs here: what JSON a model accepts, as Spark columns. Which model a record has is decided before; where readings
and rejects go is decided after.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from lake.models import Model, Telemetry
from transforms.envelope_rules import WHITE_SPACE, Rule, any_of, first_of, first_reason, shown
from transforms.reasons import Reason

_CORRUPT = "_corrupt"
# Spark's parser takes more than JSON unless it is told not to
_STRICT = {"allowNonNumericNumbers": "false", "allowNumericLeadingZeros": "false", "allowSingleQuotes": "false"}
_JSON_OPTIONS = {"mode": "PERMISSIVE", "columnNameOfCorruptRecord": _CORRUPT, **_STRICT}


@dataclass(frozen=True)
class Payload:
    """The shape of the payloads of one model's root, or of one of its components."""

    column: str
    model: Model
    component: str | None
    telemetry: tuple[Telemetry, ...]

    @property
    def top_level_names(self) -> list[str]:
        """The names that the JSON object may have."""
        return sorted({t.json_path[0] for t in self.telemetry})

    def schema(self) -> str:
        """Spark DDL of the JSON object, with the column that keeps what does not fit."""
        tree: dict[str, Any] = {}
        for telemetry in self.telemetry:
            node = tree
            for name in telemetry.json_path[:-1]:
                node = node.setdefault(name, {})
            node[telemetry.json_path[-1]] = telemetry.type
        return f"struct<{_struct_fields(tree)},`{_CORRUPT}`:string>"

    def value(self, telemetry: Telemetry) -> Column:
        """A telemetry's value in the parsed column."""
        column = F.col(self.column)
        for name in telemetry.json_path:
            column = column[name]
        return column

    def applies(self) -> Column:
        """True for the records of this model and component."""
        component = F.col("component_name")
        is_ours = component.isNull() if self.component is None else component == self.component
        return (F.col("model_id") == self.model.model_id) & is_ours


def payloads_of(models: Iterable[Model]) -> list[Payload]:
    """The payload shapes of all models: one for the root, where it has telemetry, and one a component."""
    shapes: list[Payload] = []
    for model in sorted(models, key=lambda m: m.model_id):
        components = sorted({t.component for t in model.telemetry}, key=lambda c: c or "")
        for component in components:
            telemetry = tuple(t for t in model.telemetry if t.component == component)
            shapes.append(Payload(f"_payload_{len(shapes)}", model, component, telemetry))
    return shapes


def judge_payloads(records: DataFrame, payloads: list[Payload]) -> DataFrame:
    """Parse each record that has no `reason` yet and refuse those whose payload is no reading.

    Adds a struct column a payload shape (`Payload.column`, null for records of other shapes) and
    `unknown_telemetry`; sets `reason` and `detail`.
    """
    is_open = F.col("reason").isNull()
    text = F.col("value").cast("string")
    parsed = records.withColumns(
        {
            p.column: F.when(
                is_open & p.applies() & (F.length("value") <= p.model.quality.max_payload_bytes),
                F.from_json(text, p.schema(), _JSON_OPTIONS),
            )
            for p in payloads
        }
    )
    applies = [p.applies() for p in payloads]
    is_clean = first_of(applies, [_is_clean(p, text) for p in payloads], F.lit(False))
    is_doubtful = F.col("_is_doubtful")
    # what follows is for the few records that the first pass over the text cannot vouch for
    doubted = parsed.withColumn("_is_doubtful", is_open & ~F.coalesce(is_clean, F.lit(False))).withColumn(
        "_keys", F.when(is_doubtful, F.json_object_keys(text))
    )
    verdicts = [first_reason([*_text_rules(p, text), *_value_rules(p, text)]) for p in payloads]
    nowhere = F.lit("the model has no telemetry at this level")
    reason = first_of(applies, [code for code, _ in verdicts], F.lit(Reason.NO_TELEMETRY.value))
    detail = first_of(applies, [words for _, words in verdicts], nowhere)
    no_map = F.lit(None).cast("map<string,string>")
    unknown = first_of(applies, [_unknown_telemetry(p, text) for p in payloads], no_map)
    return (
        doubted.withColumn("unknown_telemetry", F.when(is_doubtful, unknown))
        .withColumn("detail", F.when(is_doubtful, detail).otherwise(F.col("detail")))
        .withColumn("reason", F.when(is_doubtful, reason).otherwise(F.col("reason")))
        .drop("_keys", "_is_doubtful")
    )


def telemetry_columns(payloads: list[Payload], columns: Mapping[str, str]) -> list[Column]:
    """The telemetry columns of one silver table (`columns`: name -> Spark type), from whichever shape has them."""
    selected = []
    for name, spark_type in columns.items():
        sources = [p.value(t).cast(spark_type) for p in payloads for t in p.telemetry if t.column == name]
        selected.append(F.coalesce(*sources).alias(name))
    return selected


def _struct_fields(tree: Mapping[str, Any]) -> str:
    return ",".join(
        f"`{name}`:{f'struct<{_struct_fields(node)}>' if isinstance(node, dict) else node}"
        for name, node in tree.items()
    )


def _is_clean(payload: Payload, text: Column) -> Column:
    """True when no rule can refuse the record and no name in it is unknown."""
    parsed = F.col(payload.column)
    broken = any_of([condition for condition, _, _ in _value_rules(payload, text)])
    return parsed.isNotNull() & parsed[_CORRUPT].isNull() & F.is_valid_utf8(text) & _is_plain(payload, text) & ~broken


def _is_plain(payload: Payload, text: Column) -> Column:
    """True when the parsed values account for every name in the text, so that no name is unknown or repeated.

    Each name brings a colon and each value that is not null has a name, so equal counts leave none over; one closing
    brace, at the end, leaves no room for anything behind the object. Counting characters costs a tenth of a parse.
    """
    if any(len(t.json_path) > 1 for t in payload.telemetry):
        return F.lit(False)
    present = sum((payload.value(t).isNotNull().cast("int") for t in payload.telemetry), F.lit(0))
    colons = F.length(text) - F.length(F.replace(text, F.lit(":"), F.lit("")))
    return (colons == present) & (F.locate("}", text) == F.length(F.rtrim(text, F.lit(WHITE_SPACE))))


def _text_rules(payload: Payload, text: Column) -> list[Rule]:
    """What may be wrong with the text: its size, its bytes, its names and types."""
    parsed, keys = F.col(payload.column), F.col("_keys")
    limit = payload.model.quality.max_payload_bytes
    is_object = F.coalesce(_is_one_object(text), F.lit(False))
    return [
        (
            F.length("value") > limit,
            Reason.TOO_LARGE,
            F.concat(F.length("value").cast("string"), F.lit(f" bytes, the limit is {limit}")),
        ),
        (F.col("value").isNull(), Reason.NOT_JSON, F.lit("there is no payload")),
        (~F.is_valid_utf8(text), Reason.NOT_JSON, F.lit("the payload is not UTF-8")),
        (
            (parsed.isNull() | parsed[_CORRUPT].isNotNull() | keys.isNotNull()) & ~is_object,
            Reason.NOT_JSON,
            F.concat(F.lit("not one JSON object: "), shown(text)),
        ),
        (
            F.size(F.array_distinct(keys)) < F.size(keys),
            Reason.DUPLICATE_KEY,
            F.concat(F.lit("a name stands twice: "), shown(text)),
        ),
        (
            parsed.isNull() | parsed[_CORRUPT].isNotNull(),
            Reason.WRONG_TYPE,
            F.concat(F.lit("a value is not of its declared type: "), shown(text)),
        ),
    ]


def _value_rules(payload: Payload, text: Column) -> list[Rule]:
    """What may be wrong with the values that were parsed."""
    numbers = [t for t in payload.telemetry if t.type in ("double", "float")]
    infinite = any_of([F.abs(payload.value(t)) == float("inf") for t in numbers])
    values = [payload.value(t) for t in payload.telemetry]
    return [
        (infinite, Reason.WRONG_TYPE, F.concat(F.lit("a number is too large for a double: "), shown(text))),
        (
            ~any_of([value.isNotNull() for value in values]),
            Reason.NO_TELEMETRY,
            F.concat(F.lit("none of the declared names has a value: "), shown(text)),
        ),
        *[rule for t in payload.telemetry for rule in _range_rules(t, payload.value(t))],
    ]


def _is_one_object(text: Column) -> Column:
    """True when the text is one JSON object with nothing behind it.

    Spark's parser stops after the first value; put in brackets, whatever follows it breaks the list or lengthens it.
    """
    listed = F.from_json(F.concat(F.lit("["), text, F.lit("]")), "array<string>", _STRICT)
    return (
        F.ltrim(text, F.lit(WHITE_SPACE)).startswith("{") & (F.size(listed) == 1) & F.json_object_keys(text).isNotNull()
    )


def _range_rules(telemetry: Telemetry, value: Column) -> list[Rule]:
    name = ".".join(telemetry.json_path)
    rules: list[Rule] = []
    if telemetry.enum_values is not None:
        allowed = ", ".join(map(str, telemetry.enum_values))
        text = F.concat(F.lit(f"{name} is "), shown(value), F.lit(f", allowed are {allowed}"))
        rules.append((~value.isin(list(telemetry.enum_values)), Reason.OUT_OF_RANGE, text))
    low, high = telemetry.minimum, telemetry.maximum
    if low is not None:
        text = F.concat(F.lit(f"{name} is "), shown(value), F.lit(f", below {low:g}"))
        rules.append((value < low, Reason.OUT_OF_RANGE, text))
    if high is not None:
        text = F.concat(F.lit(f"{name} is "), shown(value), F.lit(f", above {high:g}"))
        rules.append((value > high, Reason.OUT_OF_RANGE, text))
    return rules


def _unknown_telemetry(payload: Payload, text: Column) -> Column:
    unknown = F.array_except(F.col("_keys"), F.array(*[F.lit(name) for name in payload.top_level_names]))
    everything = F.from_json(text, "map<string,string>", {"allowNonNumericNumbers": "false"})
    kept = F.map_filter(everything, lambda name, _: F.array_contains(unknown, name))
    return F.when(F.size(unknown) > 0, kept)
