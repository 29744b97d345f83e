"""Suites: what a table's slices must satisfy, made from the declared tables and device models.

Belongs here: the checks as data. Each is one Great Expectations expectation on a column of a *profile*, a frame with
one row a slice. How profiles are computed is in `profiles`, `silver_profiles` and `gold_profiles`; running a suite is
in `validation`.

Most profile columns count what is wrong, so most checks say "at most 0". A profile column `<name>_detail` holds words
that the message of a check on `<name>` ends with.
"""

import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass

from lake.models.catalog import Model, Quality
from lake.storage.delta import canonical_json
from lake.tables.contracts import Table
from lake.tables.gold import CALENDAR, DEVICE_COMPLETENESS, DEVICE_LATEST, DEVICE_SILENCES, DEVICES, SITES
from lake.tables.silver import SILVER_DEVICES, SILVER_REJECTED
from pipeline.gate.kind_profiles import MESSAGES

# A share of a few records is noise: one bad reading of ten is no reason to hold an hour.
MIN_REJECTED = 5


@dataclass(frozen=True)
class Check:
    """One expectation: profile column `observed` is at most `at_most`, or equals profile column `equals`.

    `name` says what is expected, `column` what of the table it is about. `message` may name any profile column, and
    `{observed}` and `{limit}`; a count stands with its noun, `{observed:row}` being `1 row` or `2 rows`. `only_from`
    (profile column, least value) leaves out the slices below it.
    """

    name: str
    observed: str
    message: str
    column: str = ""
    at_most: float = 0
    equals: str | None = None
    only_from: tuple[str, int] | None = None
    is_share: bool = False


@dataclass(frozen=True)
class Suite:
    """The checks on one table's slices."""

    table: str
    checks: tuple[Check, ...]

    @property
    def digest(self) -> str:
        """SHA-256 of the declaration: verdicts name what they were judged by."""
        return hashlib.sha256(canonical_json(asdict(self)).encode()).hexdigest()


def reading_suite(table: Table, models: Iterable[Model]) -> Suite:
    """The suite of a silver reading table; of the models that share it the strictest limits count."""
    qualities = [model.quality for model in models if model.table == table.name]
    limit = min(quality.max_rejected_ratio for quality in qualities)
    staleness = [quality.max_staleness_s for quality in qualities if quality.max_staleness_s is not None]
    checks = [
        *_key_and_nulls(table),
        _zero("offsets_are_unique", "repeated_offsets", "{observed:row} with a repeated Kafka offset", "offset"),
        _inside_slice("event_at"),
        _in_range(),
        *_rejected_shares(f"{table.short_name} readings", limit),
    ]
    if staleness:
        message = "the newest {table} reading is {observed} s older than the newest in the lake (limit {limit} s)"
        checks.append(Check("is_fresh", "staleness_s", message, "received_at", at_most=min(staleness)))
    return Suite(table.name, tuple(checks))


def slice_suite() -> Suite:
    """The suite of `silver.rejected`, which judges the slice as a whole too: here is what no reading table has."""
    return Suite(
        SILVER_REJECTED.name,
        (
            *_key_and_nulls(SILVER_REJECTED),
            _inside_slice("event_at"),
            *_rejected_shares("all records", Quality().max_rejected_ratio, " and fit no model"),
            Check(
                "every_record_is_there",
                "silver_records",
                "silver has {observed:record} (readings and rejected) where bronze has {limit}: rebuild this slice "
                "of silver",
                equals="bronze_records",
            ),
            Check(
                "records_are_the_same",
                "silver_checksum",
                "the Kafka offsets in silver are not those in bronze: rebuild this slice of silver",
                "offset",
                equals="bronze_checksum",
            ),
        ),
    )


def registry_suite(table: Table = SILVER_DEVICES) -> Suite:
    """The suite of `silver.devices`, or of `silver.sites`."""
    message = f"{{observed:{table.short_name.removesuffix('s')}}} without exactly one current record"
    current = _zero("one_record_is_current", "not_one_current", message, "is_current")
    return Suite(table.name, (*_key_and_nulls(table), current))


def gold_suite(table: Table) -> Suite:
    """The suite of a gold table's candidate rows."""
    names = table.column_names
    checks = [*_key_and_nulls(table)]
    if table.partition_by:
        checks.append(_inside_slice(period_column(table)))
        checks.append(_zero("has_rows", "is_empty", "there are no rows of {source_rows:reading}"))
    if table == DEVICE_LATEST:
        checks.append(_inside_slice("event_at"))
    if "value_min" in names:
        message = "{observed:row} whose minimum, mean, last, percentiles and maximum are out of order"
        checks.append(_zero("values_are_ordered", "misordered", message, "value_mean"))
    if "value_last" in names or "value_min" in names:
        checks.append(_zero("values_are_finite", "not_finite", "{observed:row} with NaN or infinite values", "value"))
        checks.append(_in_range())
    if "reading_count" in names and table.kind != "state":  # a state is carried over hours without readings
        checks.append(
            _zero("counts_are_positive", "below_one", "{observed:row} in which no reading is counted", "reading_count")
        )
    if table.kind is not None:
        checks.append(_zero("figures_fit_together", "contradicting", MESSAGES[table.kind], "reading_count"))
    if table.kind == "state":
        message = "{observed:pair} of device and metric in states for longer than the period, or in no last one"
        checks.append(_zero("states_fill_the_time", "overfull", message, "duration_s"))
    return Suite(table.name, (*checks, *_sums(table), *_AGREEMENTS.get(table.name, ())))


def period_column(table: Table) -> str:
    """The column that places a row of a gold table in time."""
    assert table.period is not None, f"{table.name} declares no period"
    return table.period.column


def _sums(table: Table) -> Iterator[Check]:
    """The checks of what must add up; which profile column counts the differences follows from what with."""
    for sum_ in table.adds_up:
        observed = "unreconciled" if sum_.finer is None else "disagreeing"
        yield _zero(sum_.name, observed, sum_.message, "reading_count")


def _zero(name: str, observed: str, message: str, column: str = "") -> Check:
    return Check(name, observed, message, column)


def _key_and_nulls(table: Table) -> tuple[Check, Check]:
    key = ", ".join(table.key)
    return (
        _zero("keys_are_unique", "repeated_keys", f"{{observed:row}} with a repeated key ({key})", key),
        _zero("required_columns_are_filled", "nulls", "{observed:null} in required columns"),
    )


def _inside_slice(column: str) -> Check:
    return _zero("rows_lie_in_their_slice", "outside", f"{{observed:row}} whose {column} lies outside", column)


def _in_range() -> Check:
    return _zero("values_are_in_range", "out_of_range", "{observed:value} outside the declared range")


def _rejected_shares(of: str, limit: float, why: str = "") -> Iterator[Check]:
    """Of the records that the slice has for their own time, and of those that it has for the time of reception."""
    for name, column, what in (
        ("rejected", "rejected", of),
        ("untimed", "untimed", f"{of} received in this hour, whatever time they are about,"),
    ):
        message = f"{{observed}} of {what} were rejected{why} (limit {{limit}})"
        yield Check(f"{name}_share", f"{column}_ratio", message, "reason", limit, None, (column, MIN_REJECTED), True)


# what tables hold to besides: each of these is about one table alone
_AGREEMENTS: dict[str, tuple[Check, ...]] = {
    DEVICE_COMPLETENESS.name: (
        Check(
            "reconciles_with_silver",
            "received",
            "{observed:reading} counted as received where silver has {limit}",
            "received_count",
            equals="source_rows",
        ),
        _zero("counts_fit_together", "inconsistent", "{observed:row} whose counts contradict each other"),
    ),
    DEVICE_SILENCES.name: (
        _zero("is_silent", "heard", "{observed:hour} with readings in a stretch in which nothing came", "hour_at"),
        _zero("counts_fit_together", "inconsistent", "{observed:row} whose span or counts contradict each other"),
    ),
    DEVICE_LATEST.name: (
        _zero("covers_the_minutes", "behind", "{observed:metric} of a device missing or older than its minutes"),
        _zero("nothing_held_inside", "from_held", "{observed:row} from held slices: build again without those"),
    ),
    SITES.name: (
        Check(
            "covers_the_registry",
            "rows",
            "{observed:site} where declarations and devices name {limit}",
            "site_id",
            equals="registry_sites",
        ),
    ),
    CALENDAR.name: (
        _zero("days_follow_each_other", "broken_days", "{observed:day} whose end is not where the next one begins"),
    ),
    DEVICES.name: (
        Check(
            "covers_the_registry",
            "rows",
            "{observed:device} where the registry has {limit}",
            "device_id",
            equals="registry_devices",
        ),
        _zero("nothing_held_inside", "from_held", "{observed:row} from held slices: build again without those"),
    ),
}
