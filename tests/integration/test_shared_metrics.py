"""A metric is one metric whatever table it lies in: models that share a name and unit, in every table of gold.

Bronze to published gold on the real broker and Spark, beside figures computed here from what was sent.
"""

import json
from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from math import fsum
from statistics import quantiles
from typing import Any

import pytest
from pyspark.sql import SparkSession

from lake.models.catalog import known_models
from lake.reading.reader import open_reader
from lake.slices import HOUR
from pipeline.gold.gold_refresh import Outcome, refresh_gold
from pipeline.proof.lineage import trace_row
from pipeline.proof.lineage_sql import rows_of
from pipeline.proof.verification import verify
from pipeline.run import Run
from runtime.settings import Settings
from tests.support.landing import THERMOSTAT, registered, run_tick, send
from wire.envelope import UPDATED, Message, TelemetryEnvelope, lifecycle_message, rfc3339

DAY = datetime(2026, 11, 20, tzinfo=UTC)
ALPHA, BETA = "dtmi:example:alpha;1", "dtmi:example:beta;1"
KEYS = ("metric_name", "unit")


@dataclass(frozen=True)
class Sent:
    """A reading as it was sent; `place` orders those of one moment."""

    device: str
    model: str
    at: datetime
    place: int
    value: float
    site: str

    def message(self, number: int) -> Message:
        """The message, which names its model."""
        payload = json.dumps({"temperature": self.value}).encode()
        return TelemetryEnvelope(self.device, dataschema=self.model).message(f"m{number}", rfc3339(self.at), payload)


def declare(settings: Settings, model_id: str) -> None:
    """A model with one temperature, in the home."""
    settings.models_folder.mkdir(parents=True, exist_ok=True)
    name = model_id.split(":")[-1].split(";")[0]
    interface = {
        "@context": "dtmi:dtdl:context;3", "@id": model_id, "@type": "Interface", "displayName": name,
        "contents": [{"@type": ["Telemetry", "Temperature"], "name": "temperature", "schema": "double",
                      "unit": "degreeCelsius"}],
    }  # fmt: skip
    (settings.models_folder / f"{name}.json").write_text(json.dumps(interface))


def sent_readings() -> list[Sent]:
    """A device that changes its model within an hour, one that sends by two models at once, and three neighbours."""
    start = DAY + 5 * HOUR
    change = start + timedelta(minutes=30, seconds=30)
    mover = [start + timedelta(seconds=10 * i) for i in range(360)]
    found = [Sent("mover", BETA if at >= change else ALPHA, at, i, 20 + i / 100, "s") for i, at in enumerate(mover)]
    # both models at the same moments, with values that exact sums leave to the sorted ones
    values = (1e12, 1e-5, 3.0, -7.25, 0.1, 1e-7, 2e11, 5.5)
    found += [
        Sent("both", (ALPHA, BETA)[i % 2], start + timedelta(seconds=20 * (i // 2)), i, value, "s")
        for i, value in enumerate(values)
    ]
    for hour in (0, 1):
        for minute in range(0, 60, 2):
            at = start + hour * HOUR + timedelta(minutes=minute)
            found += [
                Sent("sa", ALPHA, at, minute, 20 + minute / 100, "shared"),
                Sent("sb", BETA, at, minute, 30 + minute / 100, "shared"),
                Sent("st", THERMOSTAT, at, minute, 25 + minute / 100, "shared"),
            ]
    return found


def figures(sent: Iterable[Sent]) -> tuple[Any, ...]:
    """Count, minimum, maximum, mean, median and 95th percentile of some readings."""
    values = sorted(each.value for each in sent)
    cuts = quantiles(values, n=20, method="inclusive") if len(values) > 1 else values * 19
    mean = fsum(values) / len(values)
    return (
        len(values),
        values[0],
        values[-1],
        pytest.approx(mean, 1e-12),
        pytest.approx(cuts[9]),
        pytest.approx(cuts[18]),
    )


def newest(sent: Iterable[Sent]) -> Sent:
    """The reading that a table calls the last."""
    return max(sent, key=lambda each: (each.at, each.place))


def grouped(sent: Iterable[Sent], key: Callable[[Sent], tuple[Any, ...]]) -> dict[tuple[Any, ...], list[Sent]]:
    """Readings by key."""
    groups: dict[tuple[Any, ...], list[Sent]] = defaultdict(list)
    for each in sent:
        groups[key(each)].append(each)
    return groups


def select(settings: Settings, sql: str) -> list[tuple[Any, ...]]:
    """What readers of published gold see."""
    with open_reader(settings, known_models(settings)) as reader:
        return [tuple(row.values()) for row in rows_of(reader, sql)]


def of_day(moment: datetime) -> date:
    """The UTC day."""
    return moment.astimezone(UTC).date()


@pytest.fixture
def published(settings: Settings, spark: SparkSession) -> Outcome:
    """All of it in one publication."""
    assert settings.kafka_bootstrap is not None
    for model_id in (ALPHA, BETA):
        declare(settings, model_id)
    send(
        settings.kafka_bootstrap,
        [
            registered("mover", DAY, ALPHA, "s", reporting_interval_s=60),
            lifecycle_message(
                "mover", "swap", UPDATED, rfc3339(DAY + 5 * HOUR + timedelta(seconds=1830)), {"model_id": BETA}
            ),
            registered("both", DAY, ALPHA, "s", reporting_interval_s=60),
            *(registered(name, DAY, model, "shared", reporting_interval_s=120)
              for name, model in (("sa", ALPHA), ("sb", BETA), ("st", THERMOSTAT))),
            *(each.message(number) for number, each in enumerate(sent_readings())),
        ],
    )  # fmt: skip
    run_tick(spark, settings)
    outcome = refresh_gold(Run(settings, known_models(settings), "test", datetime.now(UTC)))
    assert outcome is not None
    return outcome


def test_models_that_share_a_metric(settings: Settings, spark: SparkSession, published: Outcome) -> None:
    """Nothing is held, each figure is of all tables together, percentiles of their union, and the proofs agree; after a
    late reading of the other model the hour is built anew of both, and the newest value and its model stay the newest.
    """
    assert published.held == []
    assert published.publication is not None
    sent = sent_readings()
    statistics = "reading_count, value_min, value_max, value_mean"
    percentiles = "value_p50, value_p95"

    minutes = grouped(sent, lambda each: (each.device, each.at.replace(second=0)))
    rows = select(settings, f"SELECT device_id, minute_at, {statistics}, value_last, model_id FROM gold.device_minutes")
    assert {row[:2]: row[2:] for row in rows} == {
        key: (*figures(group)[:4], newest(group).value, newest(group).model) for key, group in minutes.items()
    }
    assert len(rows) == len(minutes)

    hours = grouped(sent, lambda each: (each.device, each.at.replace(minute=0, second=0)))
    columns = f"{statistics}, {percentiles}, value_last, model_id, last_event_at, site_id"
    rows = select(settings, f"SELECT device_id, hour_at, {columns} FROM gold.device_hours")
    assert {row[:2]: row[2:] for row in rows} == {
        key: (*figures(group), newest(group).value, newest(group).model, newest(group).at, group[0].site)
        for key, group in hours.items()
    }
    assert len(rows) == len(hours)

    days = grouped(sent, lambda each: (each.device, of_day(each.at)))
    rows = select(
        settings, f"SELECT device_id, day_date, {statistics}, {percentiles}, value_last, model_id FROM gold.device_days"
    )
    assert {row[:2]: row[2:] for row in rows} == {
        key: (*figures(group), newest(group).value, newest(group).model) for key, group in days.items()
    }
    assert len(rows) == len(days)

    sites = grouped(sent, lambda each: (each.site, "temperature", "degc"))
    rows = select(
        settings, f"SELECT site_id, metric_name, unit, {statistics}, {percentiles}, device_count FROM gold.site_days"
    )
    assert {row[:3]: row[3:] for row in rows} == {
        key: (*figures(group), len({each.device for each in group})) for key, group in sites.items()
    }
    assert len(rows) == len(sites)

    latest = grouped(sent, lambda each: (each.device,))
    rows = select(settings, "SELECT device_id, event_at, value_last, model_id FROM gold.device_latest")
    assert {row[:1]: row[1:] for row in rows} == {
        key: (newest(group).at, newest(group).value, newest(group).model) for key, group in latest.items()
    }
    assert len(rows) == len(latest)

    counts = "expected_count, received_count, missing_count, rejected_count"
    rows = select(settings, f"SELECT device_id, {counts} FROM gold.device_completeness WHERE event_hour = 5")
    assert {row[0]: row[1:] for row in rows} == {
        "mover": (60, 360, 0, 0), "both": (60, 8, 56, 0), **dict.fromkeys(("sa", "sb", "st"), (30, 30, 0, 0)),
    }  # fmt: skip

    models = known_models(settings)
    traced = trace_row(settings, models, "gold.site_days", {"site_id": "s", "day_date": str(of_day(DAY))})
    assert len(traced.readings) == traced.row["reading_count"] == 368
    assert {row["silver_table"] for row in traced.readings} == {"silver.alphas", "silver.betas"}
    verified = verify(spark, settings, models, published.publication, code_version="")
    assert [each for each in verified.comparisons if not each.is_same] == []
    late_of_the_other_model(settings, spark)


def late_of_the_other_model(settings: Settings, spark: SparkSession) -> None:
    """What a late reading changes in the same lake, and what it does not."""
    assert settings.kafka_bootstrap is not None
    late = Sent("mover", ALPHA, DAY + 5 * HOUR + timedelta(minutes=45, seconds=5), 0, 99.0, "s")
    send(settings.kafka_bootstrap, [late.message(10_000)])
    run_tick(spark, settings)
    outcome = refresh_gold(Run(settings, known_models(settings), "late", datetime.now(UTC)))
    assert outcome is not None
    assert outcome.held == []
    assert outcome.published == ["2026-11-20T05", "2026-11-20T06"]  # whose gauges begin with readings of the first
    hours = "SELECT reading_count, value_max, value_last, model_id FROM gold.device_hours WHERE device_id = 'mover'"
    assert select(settings, hours) == [(361, 99.0, 23.59, BETA)]
    latest = "SELECT value_last, model_id FROM gold.device_latest WHERE device_id = 'mover'"
    assert select(settings, latest) == [(23.59, BETA)]
