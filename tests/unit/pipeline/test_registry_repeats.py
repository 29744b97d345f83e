"""A registration that repeats what holds is a record of the registry, whichever tick it comes in."""

from pathlib import Path

import pyarrow as pa
from deltalake import CommitProperties, Transaction, write_deltalake

from lake.models.catalog import known_models
from lake.storage.delta import ensure_table, open_table, read_rows
from lake.tables.silver import SILVER_SITES
from pipeline.gold.stale import stale_slices
from pipeline.silver.device_registry import update_registry
from tests.support.old_lakes import unpacked


def test_a_repeated_registration_is_stored_as_a_rebuild_would_store_it(tmp_path: Path) -> None:
    """The kept lake's bronze has two registrations a device, with the same values, and the second comes again. Then
    silver has both, as `verify` finds them when it judges all of bronze at once, and no hour is stale for it."""
    settings = unpacked(tmp_path, 1)
    bronze = open_table(settings, "bronze.lifecycle")
    assert bronze is not None
    rows = read_rows(bronze, "ingest_id = 6")
    again = [
        row | {"ingest_id": 9, "offset": 6 + i, "ce_id": f"again-{i}"}
        for i, row in enumerate(sorted(rows, key=lambda row: row["offset"]))
    ]
    done = CommitProperties(app_transactions=[Transaction("ingest", 9)])
    write_deltalake(
        bronze,
        pa.Table.from_pylist(again, schema=pa.schema(bronze.schema().to_arrow())),
        mode="append",
        commit_properties=done,
    )

    ensure_table(settings, SILVER_SITES)
    models = known_models(settings)
    assert update_registry(settings, models, "third") == 0  # no figure changes
    devices = open_table(settings, "silver.devices")
    assert devices is not None
    found = sorted((row["device_id"], row["offset"], row["is_current"]) for row in read_rows(devices))
    assert found == [
        (device, offset, offset >= 6)
        for i, device in enumerate(["energy-meter-0001", "pump-0001", "thermostat-0001"])
        for offset in (i, 6 + i)
    ]
    reasons = {reason for each in stale_slices(settings, models).hours.values() for reason in each}
    assert all(reason.endswith(" is not published yet") for reason in reasons)  # of tables newer than the lake
