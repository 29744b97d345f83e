"""Hours that were held and have lost their records since, on a kept lake that Spark has written."""

from datetime import UTC, datetime
from pathlib import Path

import pytest

from lake.models.catalog import known_models
from lake.records.verdicts import Failure, Verdict, record_verdicts
from lake.storage.lease import writer_lease
from pipeline.gold import gold_refresh
from pipeline.run import Run
from tests.support.old_lakes import unpacked

LOST = "2020-02-03T04"
FAILURE = Failure("counts_are_plausible", "reading_count", 3, 60, "too few")


def test_a_held_hour_that_lost_its_records_holds_nothing_more(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is judged once more and passes, and is planned as one of which gold has no row, with its day."""
    settings = unpacked(tmp_path, 1)
    monkeypatch.setattr(gold_refresh, "start_dbt", lambda _: None)
    monkeypatch.setattr(gold_refresh, "end_dbt", lambda _: None)
    now = datetime.now(UTC)
    failing = Verdict("silver.rejected", LOST, '{"silver.rejected": 0}', False, (FAILURE,), 3, "digest", "run", now)
    record_verdicts(settings, [failing])
    with writer_lease(settings, "test"):
        prepared = gold_refresh.prepare(Run(settings, known_models(settings), "test", now))
    assert prepared is not None
    assert prepared.plan is not None
    assert LOST in prepared.plan.gone
    assert LOST[:10] in prepared.plan.days
    assert [verdict for verdict in prepared.verdicts if LOST in verdict.slices and not verdict.is_passing] == []
