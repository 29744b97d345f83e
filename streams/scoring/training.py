"""Training: from published minutes to a model version.

Belongs here: which minutes a model is made of, fitting it, and measuring it on minutes that it has not seen. Storing it
is in `model_store`.

What a model knows of a device is what is usual for it by hour of the day; over that lies one density of the features,
a mixture of three normal distributions, whatever the device and metric. A score is how unlikely a minute is by it.

Published minutes have bad ones among them, and nobody has marked which. So what is usual are medians, and the threshold
follows from the density itself: one from minutes held out, of which one in a hundred was bad, found next to none.
"""

import io
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from importlib.metadata import version as version_of_package
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from lake.records import publications
from lake.sql_text import Relation, quoted
from lake.storage.duckdb_connection import connect, scan
from lake.storage.locations import table_uri
from lake.tables.gold import DEVICE_MINUTES
from runtime.errors import UsageError
from runtime.settings import Settings
from streams.scoring.ml_extra import ml_module
from streams.scoring.model_store import MODEL, USUAL, ModelCard, add_version
from streams.scoring.scores import matrix_of, scored
from transforms.minute_features import FEATURES, MINUTE_COLUMNS, features_digest, features_of, usual_of
from wire.envelope import rfc3339

_LIBRARIES = ("scikit-learn", "skl2onnx", "onnxruntime")
_HELD_OUT = 0.2
_LEAST_MINUTES = 100
# each hour of the day, before the fifth that is held out
_LEAST_SPAN = timedelta(days=1)
_MOST_MINUTES = 200_000
_PARTS = 3
# what one normal distribution finds least likely is left out, so that bad minutes in gold become no kind of good ones
_LEFT_OUT = 0.03


@dataclass(frozen=True)
class TrainingOptions:
    """What to train on: `metrics` by name, the newest `days`. Of good minutes `share` are to count as unusual."""

    metrics: tuple[str, ...]
    days: float = 14.0
    share: float = 0.001


@dataclass(frozen=True)
class _Minutes:
    """What is trained on: what is usual, features of the minutes that are fitted, and of those that are held out."""

    first: datetime
    last: datetime
    cut: datetime
    minute_count: int
    device_count: int
    usual: pa.Table
    known: pa.Table
    held_out: pa.Table


def train(settings: Settings, options: TrainingOptions, now: datetime) -> ModelCard:
    """Train on the newest publication and store a version. Raises UsageError or PlatformError."""
    for name in ("sklearn", "skl2onnx", "onnxruntime"):
        ml_module(name)
    publication = publications.newest(settings)
    if publication is None or DEVICE_MINUTES.name not in publication.tables:
        raise UsageError("There is no published minute to train on: `lakehouse refresh` publishes some.")
    source = scan(table_uri(settings, DEVICE_MINUTES.name), publication.tables[DEVICE_MINUTES.name])
    with connect(settings) as connection:
        minutes = _minutes(connection, source, options)
    content, threshold = _fitted(matrix_of(minutes.known), options.share)
    session = ml_module("onnxruntime").InferenceSession(content, providers=["CPUExecutionProvider"])
    found = np.array(scored(session, minutes.held_out))
    card = ModelCard(
        version=0,
        trained_at=rfc3339(now),
        publication=publication.publication_id,
        metrics=options.metrics,
        features=FEATURES,
        features_digest=features_digest(),
        first_minute=rfc3339(minutes.first),
        last_minute=rfc3339(minutes.last),
        minute_count=minutes.minute_count,
        device_count=minutes.device_count,
        threshold=threshold,
        measured=_measured(minutes, found, threshold),
        libraries={name: version_of_package(name) for name in _LIBRARIES},
        files={},
    )
    return add_version(settings, card, {MODEL: content, USUAL: _parquet(minutes.usual)})


def _minutes(connection: duckdb.DuckDBPyConnection, source: Relation, options: TrainingOptions) -> _Minutes:
    first, last, minute_count, device_count = _take(connection, source, options)
    cut = last - (last - first) * _HELD_OUT
    connection.execute(f"CREATE TABLE known AS FROM minutes WHERE minute_at < TIMESTAMPTZ '{cut}'")
    connection.execute(f"CREATE TABLE usual AS {usual_of(Relation('known'))}")
    known = _features(connection, Relation("known"))
    held_out = _features(connection, Relation(f"(FROM minutes WHERE minute_at >= TIMESTAMPTZ '{cut}')"))
    fewest = min(known.num_rows, held_out.num_rows)
    if cut - first < _LEAST_SPAN or fewest < _LEAST_MINUTES:
        raise UsageError(
            f"The published minutes of {', '.join(options.metrics)}, {first:%Y-%m-%d %H:%M} to "
            f"{last:%Y-%m-%d %H:%M} UTC, are too few to know what is usual at each hour: train on two days at least."
        )
    usual = connection.execute("FROM usual").to_arrow_table()
    return _Minutes(first, last, cut, minute_count, device_count, usual, known, held_out)


def _take(
    connection: duckdb.DuckDBPyConnection, source: Relation, options: TrainingOptions
) -> tuple[datetime, datetime, int, int]:
    """The table `minutes` of what is trained on; returns first and last moment, number of minutes and devices."""
    names = ", ".join(map(quoted, options.metrics))
    (last,) = connection.execute(f"SELECT max(minute_at) FROM {source} WHERE metric_name IN ({names})").fetchone() or (
        None,
    )
    if last is None:
        known = connection.execute(f"SELECT DISTINCT metric_name FROM {source} ORDER BY 1").fetchall()
        raise UsageError(
            f"No minute of {', '.join(options.metrics)} is published: there are {', '.join(n for (n,) in known)}."
        )
    since = last - timedelta(days=options.days)
    connection.execute(
        f"""CREATE TABLE minutes AS SELECT {", ".join(MINUTE_COLUMNS)} FROM {source}
        WHERE event_date >= DATE '{since.astimezone(UTC):%Y-%m-%d}' AND minute_at > TIMESTAMPTZ '{since}'
            AND metric_name IN ({names})"""
    )
    found = connection.execute("SELECT min(minute_at), count(*), count(DISTINCT device_id) FROM minutes").fetchone()
    first, minute_count, device_count = found or (last, 0, 0)
    return first, last, minute_count, device_count


def _features(connection: duckdb.DuckDBPyConnection, minutes: Relation) -> pa.Table:
    """Features of minutes, of as many as are needed: the same ones each time."""
    return connection.execute(
        f"""SELECT {", ".join(FEATURES)} FROM ({features_of(minutes, Relation("usual"))})
        ORDER BY hash(device_id, metric_name, unit, minute_at), device_id, metric_name, unit, minute_at
        LIMIT {_MOST_MINUTES}"""
    ).to_arrow_table()


def _fitted(features: Any, share: float) -> tuple[bytes, float]:
    """The density of the features as ONNX, and the score that `share` of what it makes itself is above."""
    matrix = features.astype(np.float64)  # covariances of 32 bits can come out as none
    likelihoods = _density(1, matrix).score_samples(matrix)
    fitted = _density(_PARTS, matrix[likelihoods >= np.quantile(likelihoods, _LEFT_OUT)])
    made = fitted.score_samples(fitted.sample(_MOST_MINUTES)[0])
    types = ml_module("skl2onnx.common.data_types")
    converted = ml_module("skl2onnx").convert_sklearn(
        fitted,
        "minutes",  # else each training would give it a name of its own, and the same model another hash
        [("features", types.FloatTensorType([None, len(FEATURES)]))],
        options={id(fitted): {"score_samples": True}},
        target_opset={"": 18, "ai.onnx.ml": 3},
    )
    return converted.SerializeToString(), round(-float(np.quantile(made, share)), 6)


def _density(parts: int, matrix: Any) -> Any:
    return ml_module("sklearn.mixture").GaussianMixture(parts, random_state=0, reg_covar=1e-3).fit(matrix)


def _measured(minutes: _Minutes, found: Any, threshold: float) -> dict[str, Any]:
    return {
        "held_out_from": rfc3339(minutes.cut),
        "held_out_count": minutes.held_out.num_rows,
        "share_unusual": round(float((found > threshold).mean()), 6),
        "score_p50": round(float(np.median(found)), 6),
        "score_p99": round(float(np.quantile(found, 0.99)), 6),
        "score_max": round(float(found.max()), 6),
    }


def _parquet(rows: pa.Table) -> bytes:
    sink = io.BytesIO()
    pq.write_table(rows, sink, compression="zstd")
    return sink.getvalue()
