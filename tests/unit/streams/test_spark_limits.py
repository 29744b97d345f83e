"""What the hot path on Spark cannot do is said before anything is started."""

from pathlib import Path

import pytest

from runtime.errors import UsageError
from runtime.settings import Settings
from streams.declarations import Declarations
from streams.programs import PROGRAMS
from streams.spark_limits import check_beforehand, check_declared, check_slots
from transforms.alert_rules import Rule
from transforms.windows import Window

_NOTHING = Declarations({}, {})
_ON_SPARK = {"streams": True, "streams_on_spark": True}


def test_fewer_slots_than_partitions_are_refused(tmp_path: Path) -> None:
    """One slot and three partitions; of the embedded Kafka and Spark it is known before they run."""
    with pytest.raises(
        UsageError, match=r"Spark runs 1 tasks at a time and the topic telemetry has 3 partitions.*local\[3\]"
    ):
        check_slots(1, 3)
    check_slots(3, 3)
    for spark in ("local", "local[7]", "local[7,2]"):
        with pytest.raises(UsageError, match="has 8 partitions"):
            check_beforehand(Settings(home=tmp_path, lake_uri=str(tmp_path), spark=spark), _NOTHING)
    for spark in ("local[8]", "spark://host:7077", "sc://host"):
        check_beforehand(Settings(home=tmp_path, lake_uri=str(tmp_path), spark=spark), _NOTHING)
    check_beforehand(
        Settings(home=tmp_path, lake_uri=str(tmp_path), spark="local", kafka_bootstrap="host:9092"), _NOTHING
    )


def test_windows_over_several_devices_and_scores_are_refused() -> None:
    """A task sees one partition, and no model."""
    by_site = Window("sites", "tumbling", 60, ("site_id",), {"n": "count(value)"}, origin="own.yml")
    with pytest.raises(UsageError, match=r"With 3 tasks of Spark each sees some of the devices, and sites \(own.yml\)"):
        check_declared(Declarations({"sites": by_site}, {}), 3)
    check_declared(Declarations({"sites": by_site}, {}), 1)
    with pytest.raises(UsageError, match="makes no scores, which the rules odd are over"):
        check_declared(Declarations({}, {"odd": Rule("odd", over="scores", condition="true")}), 3)


def test_tasks_are_not_shared_among_processes(tmp_path: Path) -> None:
    """With several processes it is refused, before it begins."""
    settings = Settings(home=tmp_path, lake_uri=str(tmp_path), spark="local[8]")
    (streams,) = (program for program in PROGRAMS if program.name == "streams")
    with pytest.raises(UsageError, match="leave out --streams-processes"):
        streams.check(settings, {**_ON_SPARK, "streams_processes": 2})
    streams.check(settings, _ON_SPARK)
    with pytest.raises(UsageError, match="has 8 partitions"):
        streams.check(Settings(home=tmp_path, lake_uri=str(tmp_path), spark="local"), _ON_SPARK)
