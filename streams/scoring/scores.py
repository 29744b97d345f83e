"""Scores: the promoted model on each final minute of the hot path.

Belongs here: taking up a model when it is promoted, and what it says of minutes. Features are declared in
`transforms.minute_features`; messages are made of the results in `hot_outputs`.

A model that cannot be used holds up no window: it is said once why there are no scores. Scoring goes on when another
version is promoted.
"""

import io
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from lake.sql_text import Relation, quoted_name
from runtime.errors import LakehouseError, PlatformError, UsageError
from runtime.settings import Settings
from streams.open_windows import WindowResult
from streams.scoring.ml_extra import ml_module
from streams.scoring.model_store import MODEL, USUAL, ModelCard, promoted, promotion_mark, read_version
from transforms.minute_features import FEATURES, MINUTE_COLUMNS, SCORES, features_digest, features_of
from transforms.windows import Window

MINUTES = "device_minutes"
_DIGITS = 6
_AS_IN_GOLD = {
    "value_min": "min(value)",
    "value_max": "max(value)",
    "value_mean": "avg(value)",
    "value_last": "arg_max(value, arrival)",
}


def check_minutes(windows: Mapping[str, Window]) -> None:
    """Raises UsageError when the home's window of minutes is not gold's: a model would see other figures."""
    window = windows[MINUTES]
    is_same = (window.kind, window.size_s, window.by, window.where) == ("tumbling", 60, SCORES.by, "true")
    if not is_same or any(window.select.get(name) != sql for name, sql in _AS_IN_GOLD.items()):
        raise UsageError(
            f"The window {MINUTES} in {window.origin} has not the minutes of gold, on which models are trained: "
            "give it another name."
        )


class Model:
    """A version that is ready to score."""

    def __init__(self, card: ModelCard, files: Mapping[str, bytes]) -> None:
        if card.features_digest != features_digest():
            raise PlatformError(
                f"Model version {card.version} was trained on features that this program does not have: train another."
            )
        runtime = ml_module("onnxruntime")
        options = runtime.SessionOptions()
        # the same on every machine, and no thread that the loop has to wait for
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        self._session = runtime.InferenceSession(files[MODEL], options, providers=["CPUExecutionProvider"])
        self.card = card
        # of its own: a table that is made in the loop's would have its statements planned anew each time
        self._connection = duckdb.connect(config={"threads": 1})
        self._connection.register("stored", pq.read_table(io.BytesIO(files[USUAL])))
        self._connection.execute("CREATE TABLE usual AS FROM stored")
        columns = ", ".join(f"{quoted_name(name)} {type_}" for name, type_ in MINUTE_COLUMNS.items())
        self._connection.execute(f"CREATE TABLE minutes (place BIGINT, {columns})")
        self._connection.execute("SET TimeZone = 'UTC'")
        # planned on an empty table, as in the loop
        self._connection.execute("SET disabled_optimizers = 'statistics_propagation'")
        self._connection.execute(
            f"PREPARE features AS {features_of(Relation('minutes'), Relation('usual'))} ORDER BY place"
        )

    def close(self) -> None:
        """Let go of what is usual."""
        self._connection.close()

    def scores(self, minutes: pa.Table) -> list[dict[str, Any]]:
        """Of minutes with their `place`: features, what is usual and a score each; none where nothing is usual."""
        self._connection.execute("DELETE FROM minutes")
        self._connection.register("given", minutes)
        self._connection.execute(f"INSERT INTO minutes SELECT place, {', '.join(MINUTE_COLUMNS)} FROM given")
        self._connection.unregister("given")
        found = self._connection.execute("EXECUTE features").to_arrow_table()
        if not found.num_rows:
            return []
        return [
            row | {"score": score, "is_unusual": score > self.card.threshold}
            for row, score in zip(found.to_pylist(), scored(self._session, found), strict=True)
        ]


def scored(session: Any, features: pa.Table) -> list[float]:
    """How unusual rows of features are: by how much the less likely, the higher."""
    (likelihoods,) = session.run(["score_samples"], {"features": matrix_of(features)})
    return [round(-float(each), _DIGITS) for each in likelihoods.ravel()]


def matrix_of(features: pa.Table) -> Any:
    """Rows of features as a model takes them."""
    return np.column_stack([features[name].to_numpy() for name in FEATURES]).astype(np.float32)


class Scores:
    """Scores by the version that is promoted now."""

    def __init__(
        self, settings: Settings, windows: Mapping[str, Window], tell: Callable[[str], None] | None = None
    ) -> None:
        self._settings, self._windows, self._tell = settings, windows, tell or _tell
        self._mark: tuple[int, int] | None = None
        self._model: Model | None = None

    def of(self, results: Sequence[WindowResult]) -> list[WindowResult]:
        """The scores of the final minutes among results, as results of the window `scores`."""
        self._take_up()
        if self._model is None:
            return []
        card = self._model.card
        final = [each for each in results if each.is_final and each.window.name == MINUTES]
        final = [each for each in final if each.keys["metric_name"] in card.metrics]
        if not final:
            return []
        rows = [{"place": place, **_minute(result)} for place, result in enumerate(final)]
        said = {"threshold": card.threshold, "model_version": card.version, "model_digest": card.digest,
                "publication": card.publication}  # fmt: skip
        return [_score(final[row["place"]], row | said) for row in self._model.scores(pa.Table.from_pylist(rows))]

    def _take_up(self) -> None:
        mark = promotion_mark(self._settings)
        if mark == self._mark:
            return
        self._mark = mark
        if self._model is not None:
            self._model.close()
            self._model = None
        try:
            version = promoted(self._settings)
            if version is not None:
                check_minutes(self._windows)
                self._model = Model(*read_version(self._settings, version))
        except LakehouseError as error:
            self._tell(f"There are no scores: {error}")


def _minute(result: WindowResult) -> dict[str, Any]:
    """A result with the columns of a minute of gold."""
    return {
        **result.keys,
        "minute_at": datetime.fromtimestamp(result.start_us / 1_000_000, UTC),
        "reading_count": result.revision,
        **{name: result.figures[name] for name in _AS_IN_GOLD},
    }


def _score(result: WindowResult, row: Mapping[str, Any]) -> WindowResult:
    window = replace(result.window, name=SCORES.name, select=SCORES.select)
    return replace(result, window=window, figures={name: row[name] for name in SCORES.select})


def _tell(what: str) -> None:
    print(what, file=sys.stderr, flush=True)
