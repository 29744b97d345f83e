"""Minutes of gold with declared anomalies: what a model is trained and measured on.

Belongs here: readings of the simulator's signals, anomalies in them by a seed, and their minutes as gold has them. Each
kind of anomaly is within the declared range, so that the judge lets it pass.
"""

from dataclasses import dataclass
from datetime import UTC, datetime

import duckdb
import numpy as np
import pyarrow as pa

from device_sim.noise import keys_of
from device_sim.waveforms import numbers
from lake.models.catalog import BUILT_IN_MODELS, load_models
from lake.records import publications
from lake.records.publications import Publication
from lake.storage.delta import append, arrow_schema
from lake.tables.gold import DEVICE_MINUTES
from runtime.settings import Settings
from tests.support.small_lake import NOW, THERMOSTAT

MINUTES_OF_KIND = {"spike": 1, "shift": 20, "stuck": 30, "drift": 60}
"""Kind of anomaly -> minutes that it lasts: one reading off by 3 to 8 degrees, all of them by 2 to 5, the same value
again and again, and off by more and more up to 6 degrees."""
_A_MINUTE = 6
_MINUTE_MS = 60_000
_DAY_MINUTES = 1440
_SCHEMA = pa.schema([*arrow_schema(DEVICE_MINUTES), ("label", pa.string())])


@dataclass(frozen=True)
class Series:
    """Which minutes: `devices` thermostats over `days` from `start` on, each with `anomalies` of each kind."""

    start: datetime
    days: int
    devices: int = 6
    seed: int = 1
    anomalies: int = 0

    def names(self) -> list[str]:
        return [f"thermostat-{number:04}" for number in range(self.devices)]


def labelled_minutes(series: Series) -> pa.Table:
    """The columns of gold.device_minutes, and `label`: the kind of anomaly, or empty."""
    model = load_models([BUILT_IN_MODELS])[THERMOSTAT]
    (temperature,) = [each for each in model.telemetry if each.metric_name == "temperature"]
    times = int(series.start.timestamp()) * 1000 + np.arange(series.days * _DAY_MINUTES * _A_MINUTE) * (
        _MINUTE_MS // _A_MINUTE
    )
    keys = keys_of(series.names(), series.seed, "temperature")
    connection = duckdb.connect()
    connection.execute("SET TimeZone = 'UTC'")
    found = []
    for number, (device, key) in enumerate(zip(series.names(), keys, strict=True)):
        values = np.round(numbers(temperature, np.full(len(times), key), times), 2)
        values, labels = _with_anomalies(values, series, number)
        readings = pa.table(
            {"ms": times, "value": values, "label": np.repeat(labels, _A_MINUTE), "n": np.arange(len(times))}
        )
        connection.register("readings", readings)
        found.append(connection.execute(_MINUTES, [device, temperature.unit, THERMOSTAT]).to_arrow_table())
        connection.unregister("readings")
    return pa.concat_tables(found).select(_SCHEMA.names).cast(_SCHEMA)


def publish_minutes(settings: Settings, minutes: pa.Table) -> None:
    """Publication 1: gold.device_minutes with these rows."""
    version = append(settings, DEVICE_MINUTES, minutes.drop_columns(["label"]), {})
    versions = {DEVICE_MINUTES.name: version}
    publications.record(settings, Publication(1, NOW, versions, {}, (), (), (), "", "", {}, "1", "run"))


_MINUTES = """
    SELECT $1 AS device_id, 'temperature' AS metric_name, $2 AS unit, $3 AS model_id, 'north' AS site_id,
        make_timestamptz((ms // 60000) * 60000000) AS minute_at,
        DATE '1970-01-01' + (ms // 86400000)::INTEGER AS event_date,
        (ms // 3600000 % 24)::INTEGER AS event_hour, count(*) AS reading_count, min(value) AS value_min,
        max(value) AS value_max, avg(value) AS value_mean, arg_max(value, n) AS value_last, max(label) AS label
    FROM readings GROUP BY ms // 60000, ms // 3600000, ms // 86400000 ORDER BY minute_at"""


def _with_anomalies(values: np.ndarray, series: Series, number: int) -> tuple[np.ndarray, np.ndarray]:
    drawn = np.random.default_rng([series.seed, number])
    labels = np.zeros(len(values) // _A_MINUTE, dtype="U8")
    for kind, minutes in list(MINUTES_OF_KIND.items()) * series.anomalies:
        at = int(drawn.integers(len(labels) - minutes))
        if (labels[max(0, at - 5) : at + minutes + 5] != "").any():
            continue  # two at once would have no one name
        span, sign = slice(at * _A_MINUTE, (at + minutes) * _A_MINUTE), drawn.choice([-1.0, 1.0])
        if kind == "spike":
            values[at * _A_MINUTE + drawn.integers(_A_MINUTE)] += sign * drawn.uniform(3, 8)
        elif kind == "shift":
            values[span] += sign * drawn.uniform(2, 5)
        elif kind == "stuck":
            values[span] = values[at * _A_MINUTE]
        else:
            values[span] += sign * np.linspace(0, 6, minutes * _A_MINUTE)
        labels[at : at + minutes] = kind
    return values, labels


def days_before(moment: datetime, days: int) -> datetime:
    """The start of a UTC day so many days earlier."""
    return datetime.fromtimestamp((moment.timestamp() // 86_400 - days) * 86_400, UTC)
