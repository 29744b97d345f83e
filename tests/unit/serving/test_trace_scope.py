"""What a key of some sites is shown of where a figure comes from, when its device stood elsewhere before."""

from collections.abc import Sequence
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any, cast

import duckdb
import pyarrow as pa
import pytest

from lake.records.publications import Publication
from lake.tables.gold import DEVICE_HOURS
from lake.tables.gold_kinds import COUNTER_HOURS
from pipeline.proof.lineage import RowTrace
from serving.access.api_keys import ApiKey
from serving.access.doors import Caller
from serving.access.scopes import parse_scopes
from serving.api.trace_routes import _as_seen
from serving.snapshots import Snapshot

KEY = ApiKey("k", "app", parse_scopes(["read"]), 50.0, datetime.now(UTC), None, None)
H5 = datetime(2026, 11, 20, 5, tzinfo=UTC)
BEFORE, WITHIN = H5.replace(hour=4, minute=59), H5.replace(minute=1)


class FakeSnapshot:
    """A publication in which d1 stood in the north until five."""

    publication = SimpleNamespace(tables={DEVICE_HOURS.name: 1})

    def ask(self, sql: str, parameters: Sequence[Any] = ()) -> pa.Table:
        """As a snapshot does."""
        with duckdb.connect() as connection:
            connection.execute("""SET TimeZone = 'UTC'; CREATE SCHEMA gold; CREATE TABLE gold.device_hours AS
                SELECT 'd1' AS device_id, DATE '2026-11-20' AS event_date, * FROM (VALUES
                    ('north', TIMESTAMPTZ '2026-11-20 04:00:00+00'), ('south', TIMESTAMPTZ '2026-11-20 05:00:00+00')
                ) AS t(site_id, hour_at)""")
            return connection.execute(sql, list(parameters)).to_arrow_table()


@pytest.mark.parametrize(("sites", "moments", "places", "says"), [
    (None, [BEFORE, WITHIN], ["north", "south"], ("ada", "north's fault")),
    (("south",), [WITHIN], ["south"], ("an operator", None)),
    (("north", "south"), [BEFORE, WITHIN], ["north", "south"], ("an operator", None)),
])  # fmt: skip
def test_what_was_elsewhere_is_not_shown(
    sites: tuple[str, ...] | None, moments: list[datetime], places: list[str], says: tuple[str, str | None]
) -> None:
    """A reading that an hour of a counter begins with, a record of the registry, and why a slice was let pass."""
    found = RowTrace(
        COUNTER_HOURS.name,
        {"device_id": "d1", "hour_at": H5},
        cast(Publication, None),
        readings=tuple({"device_id": "d1", "event_at": at} for at in (BEFORE, WITHIN)),
        registry=({"site_id": "north"}, {"site_id": "south"}),
        verdicts=({"released_by": "ada", "release_reason": "north's fault"}, {"released_by": None}),
    )
    seen = _as_seen(cast(Snapshot, FakeSnapshot()), Caller(KEY, sites), COUNTER_HOURS, found)
    assert [each["event_at"] for each in seen.readings] == moments
    assert [each["site_id"] for each in seen.registry] == places
    assert (seen.verdicts[0]["released_by"], seen.verdicts[0]["release_reason"]) == says
    assert seen.verdicts[1]["released_by"] is None
