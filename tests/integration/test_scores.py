"""Scores on a real broker, loop, Spark and dbt: from training to a score of a message, by the features of training."""

import json
import math
import shutil
import time
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from threading import Event, Thread
from typing import Any

from click.testing import CliRunner
from pyspark.sql import SparkSession

from lake.models.catalog import known_models
from lake.sql_text import Relation
from lake.storage.delta import version_of
from lake.storage.duckdb_connection import connect, scan
from lake.storage.locations import table_uri
from lakehouse.cli.commands.ml import ml
from pipeline.gold.gold_refresh import refresh_gold
from pipeline.run import Run
from runtime.settings import Settings
from streams.declarations import load_declarations
from streams.loop import LoopOptions, run_loop
from streams.output_topics import ALERTS, SCORES, ensure_output_topics
from streams.scoring.model_store import USUAL, models_folder
from tests.support.committed import reader
from tests.support.labelled_minutes import Series, days_before, labelled_minutes, publish_minutes
from tests.support.landing import reading, registered, run_tick, send
from transforms.minute_features import FEATURES, MINUTE_COLUMNS, features_of

_WAIT_S = 150
_DECLARED = """
rules:
  odd: {over: scores, by: [device_id], condition: is_unusual AND level > 3}
windows:
  device_minutes:
    size_s: 60
    lateness_s: 1
    select: {value_min: min(value), value_max: max(value), value_mean: avg(value),
             value_last: 'arg_max(value, arrival)'}
"""
SERIES = Series(days_before(datetime.now(UTC), 3), 3, devices=4)
# what six readings differ by from what is usual
_NOISE = (-0.7, 0.3, 1 / 7, -0.2, 0.8, 0.1)


def told_of(bootstrap: str, topic: str, count: int, devices: Collection[str]) -> list[dict[str, Any]]:
    """The first committed records of a topic that are of these devices."""
    found: list[dict[str, Any]] = []
    deadline = time.monotonic() + _WAIT_S
    with reader(bootstrap, topic) as consumer:
        while len(found) < count:
            assert time.monotonic() < deadline, found
            message = consumer.poll(1.0)
            if message is not None and message.error() is None:
                row = json.loads(message.value() or b"")
                found += [row] if row["device_id"] in devices else []
    return found


def run_ml(home: Settings, *arguments: str) -> str:
    """What the command prints for a home."""
    done = CliRunner(env={"LAKEHOUSE_HOME": str(home.home)}).invoke(ml, arguments, catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return done.output


def trained_elsewhere(settings: Settings) -> None:
    """A version that another home trained on published minutes of the same devices; it is listed, not yet in use."""
    other = Settings(home=settings.home / "other", lake_uri=str(settings.home / "other" / "lake"))
    publish_minutes(other, labelled_minutes(SERIES))
    assert "Version 1" in run_ml(other, "train", "temperature")
    shutil.copytree(models_folder(other), models_folder(settings))
    assert "Version 2" in run_ml(other, "train", "temperature", "--share", "0.01")
    assert json.loads(run_ml(settings, "list", "--json"))["is_promoted"] is False


def usual_at(settings: Settings, device: str, minute: datetime) -> float:
    """What the model takes for the mean of a device at a minute's hour."""
    with connect(settings) as connection:
        found = connection.execute(
            f"""SELECT usual_mean FROM read_parquet('{models_folder(settings) / "1" / USUAL}')
            WHERE device_id = ? AND hour_number = ?""",
            [device, minute.hour],
        ).fetchall()
    return float(found[0][0])


def prepared(settings: Settings, good: str, odd: str) -> datetime:
    """A home with a promoted version, and readings of two devices in the minute before the last, which is returned."""
    bootstrap = settings.kafka_bootstrap or ""
    (settings.home / "streams").mkdir(parents=True)
    (settings.home / "streams" / "own.yml").write_text(_DECLARED)
    trained_elsewhere(settings)
    assert "Version 1 is in use" in run_ml(settings, "promote", "1")
    ensure_output_topics(bootstrap)
    minute = datetime.fromtimestamp((datetime.now(UTC).timestamp() - 65) // 60 * 60, UTC)
    messages = [registered(device, SERIES.start) for device in (good, odd)]
    for device, more in ((good, 0.0), (odd, 5.0)):
        usual = usual_at(settings, device, minute) + more
        messages += [reading(device, f"{n}", minute + timedelta(seconds=n), usual + by) for n, by in enumerate(_NOISE)]
    send(bootstrap, messages)
    return minute


@contextmanager
def running(settings: Settings) -> Iterator[None]:
    """A loop in a thread; it tells nothing."""
    stop, told = Event(), list[str]()
    declared = load_declarations(settings)
    arguments = (settings, settings.kafka_bootstrap or "", declared, LoopOptions(), stop, told.append)
    loop = Thread(target=run_loop, args=arguments)
    loop.start()
    try:
        yield
    finally:
        stop.set()
        loop.join(_WAIT_S)
    assert told == []


def features_by_gold(settings: Settings, minute: datetime) -> dict[str, dict[str, Any]]:
    """What training would see of a minute of published gold, by device."""
    version = version_of(settings, "gold.device_minutes")
    assert version is not None
    usual = Relation(f"read_parquet('{models_folder(settings) / '1' / USUAL}')")
    source = scan(table_uri(settings, "gold.device_minutes"), version)
    minutes = Relation(f"""(SELECT {", ".join(MINUTE_COLUMNS)} FROM {source} WHERE metric_name = 'temperature'
        AND minute_at = TIMESTAMPTZ '{minute.isoformat()}')""")
    with connect(settings) as connection:
        rows = connection.execute(features_of(minutes, usual)).to_arrow_table().to_pylist()
    return {row["device_id"]: row for row in rows}


def test_a_message_is_scored_by_what_is_promoted(settings: Settings) -> None:
    """A promoted version scores the final minutes of two devices and finds the odd one, for which a rule over scores
    fires; a correction that comes after another version was promoted has a score by that one."""
    bootstrap = settings.kafka_bootstrap or ""
    good, odd = SERIES.names()[:2]
    minute = prepared(settings, good, odd)
    with running(settings):
        scores = {row["device_id"]: row for row in told_of(bootstrap, SCORES, 2, {good, odd})}
        (fired,) = told_of(bootstrap, ALERTS, 1, {odd})
        shutil.copytree(models_folder(settings).parent / "other" / "ml" / "2", models_folder(settings) / "2")
        run_ml(settings, "promote", "2")
        late = usual_at(settings, odd, minute)
        send(bootstrap, [reading(odd, "late", minute + timedelta(seconds=9), late)])
        corrected = max(told_of(bootstrap, SCORES, 2, {odd}), key=lambda row: row["revision"])
    assert {device: row["is_unusual"] for device, row in scores.items()} == {good: False, odd: True}
    assert {(row["model_version"], row["publication"], row["is_final"]) for row in scores.values()} == {(1, 1, True)}
    assert (fired["rule"], fired["change"], fired["device_id"]) == ("odd", "fired", odd)
    assert (corrected["model_version"], corrected["is_correction"], corrected["revision"]) == (2, True, 7)


def test_what_is_scored_is_what_would_be_trained_on(spark: SparkSession, settings: Settings) -> None:
    """Of the same messages, gold gives the very features that were scored, to six digits."""
    bootstrap = settings.kafka_bootstrap or ""
    good, odd = SERIES.names()[2:]
    minute = prepared(settings, good, odd)
    with running(settings):
        run_tick(spark, settings)
        scores = {row["device_id"]: row for row in told_of(bootstrap, SCORES, 2, {good, odd})}
    refresh_gold(Run(settings, known_models(settings), "test", datetime.now(UTC)))
    gold = features_by_gold(settings, minute)
    assert set(gold) == set(scores) == {good, odd}
    for device, row in gold.items():
        assert row["reading_count"] == scores[device]["reading_count"] == len(_NOISE)
        for name in FEATURES:
            assert math.isclose(row[name], scores[device][name], rel_tol=1e-6, abs_tol=1e-6), (device, name)
