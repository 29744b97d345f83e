"""The columns of silver that figures by kind are made of.

Belongs here: which they are, over all models. What a kind is stands in `kinds`.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from lake.models.catalog import Model
from lake.models.dtdl import dtmi_version
from lake.models.kinds import Kind


@dataclass(frozen=True)
class KindColumn:
    """A column of a silver table, the metric that it holds, and what that is."""

    table: str
    column: str
    metric_name: str
    unit: str
    kind: Kind


def kind_columns(models: Iterable[Model]) -> list[KindColumn]:
    """Counters, states, and as gauges all other numbers; of versions that share a column the newest says what it is."""
    found: dict[tuple[str, str], KindColumn] = {}
    for model in sorted(models, key=lambda each: (dtmi_version(each.model_id), each.model_id)):
        for each in model.telemetry:
            found.pop((model.table, each.column), None)
            if each.kind.name != "gauge" or each.is_metric:
                found[model.table, each.column] = KindColumn(
                    model.table, each.column, each.metric_name, each.unit, each.kind
                )
    return [found[key] for key in sorted(found)]
