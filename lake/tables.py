"""Table contracts: one declaration per table, from which schema, quality suite, dbt yml and docs follow.

Belongs here: names, columns, keys, partitions, grain. How a device model becomes a silver table is in `models`;
what the values must satisfy beyond type and null is in the suites.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Literal

Writer = Literal["spark", "delta-rs"]


@dataclass(frozen=True)
class Column:
    """One column; `type` is a Spark SQL type such as `string`, `timestamp`, `map<string,string>`."""

    name: str
    type: str
    description: str
    nullable: bool = True


@dataclass(frozen=True)
class Table:
    """One table. `key` columns are unique together; `grain` completes "one row per …"."""

    name: str
    grain: str
    columns: tuple[Column, ...]
    key: tuple[str, ...]
    writer: Writer
    partition_by: tuple[str, ...] = ()
    # columns that readers filter on: only these get file statistics (the cost of a wide raw value is not worth it)
    statistics: tuple[str, ...] = field(default=())

    @property
    def layer(self) -> str:
        """`bronze`, `silver`, `gold` or `ops`."""
        return self.name.split(".")[0]

    @property
    def short_name(self) -> str:
        """The name without its layer."""
        return self.name.split(".")[1]

    @property
    def column_names(self) -> tuple[str, ...]:
        """Names in their declared order."""
        return tuple(column.name for column in self.columns)

    def ddl(self) -> str:
        """The columns as a Spark DDL string."""
        return ", ".join(f"`{c.name}` {c.type}{'' if c.nullable else ' NOT NULL'}" for c in self.columns)


def _required(*columns: tuple[str, str, str]) -> tuple[Column, ...]:
    return tuple(Column(name, type_, text, nullable=False) for name, type_, text in columns)


def _optional(*columns: tuple[str, str, str]) -> tuple[Column, ...]:
    return tuple(Column(name, type_, text) for name, type_, text in columns)


_OFFSET = _required(
    ("topic", "string", "Kafka topic that the record came from"),
    ("partition", "int", "Kafka partition"),
    ("offset", "bigint", "Kafka offset within the partition"),
    ("ingest_id", "bigint", "The bronze commit that brought the record: the sum of the end offsets of its partitions"),
)
_RECEIVED = _required(("received_at", "timestamp", "The broker's clock when the record arrived"))

_BRONZE_COLUMNS = (
    *_OFFSET,
    *_RECEIVED,
    *_required(("received_date", "date", "UTC date of received_at")),
    *_optional(
        ("key", "binary", "Kafka key as it came: the device id"),
        ("headers", "array<struct<key:string,value:binary>>", "Kafka headers that no column below holds as they came"),
        ("value", "binary", "The payload as it came"),
        ("ce_specversion", "string", "CloudEvents attribute specversion"),
        ("ce_id", "string", "CloudEvents attribute id; with ce_source the identity of the message"),
        ("ce_source", "string", "CloudEvents attribute source"),
        ("ce_type", "string", "CloudEvents attribute type: the kind of message"),
        ("ce_subject", "string", "CloudEvents attribute subject: the component, if any"),
        ("ce_time", "string", "CloudEvents attribute time as it came: the device's clock"),
        ("ce_dataschema", "string", "CloudEvents attribute dataschema: the model's DTMI"),
        ("content_type", "string", "Header content-type"),
        ("device_id", "string", "The key as text; null when it is missing or not UTF-8"),
        ("measured_at", "timestamp", "ce_time as a timestamp; null when it is not one"),
        ("measured_hour", "bigint", "Hours since 1970 of measured_at; lets readers skip files"),
        ("received_hour", "bigint", "Hours since 1970 of received_at; lets readers skip files"),
    ),
)


def _bronze(topic: str) -> Table:
    return Table(
        name=f"bronze.{topic}",
        grain="Kafka record",
        columns=_BRONZE_COLUMNS,
        key=("topic", "partition", "offset"),
        writer="spark",
        partition_by=("received_date",),
        statistics=("partition", "offset", "ingest_id", "received_at", "device_id", "measured_at", "measured_hour",
                    "received_hour"),
    )  # fmt: skip


BRONZE_TELEMETRY = _bronze("telemetry")
BRONZE_LIFECYCLE = _bronze("lifecycle")

_SLICE = _required(
    ("event_at", "timestamp", "The time the record counts for: measured_at, unless the device's clock is judged wrong"),
    ("event_date", "date", "UTC date of event_at"),
    ("event_hour", "int", "UTC hour of event_at, 0 to 23"),
    ("clock_status", "string", "'ok', 'ahead', 'behind' or 'wrong_unit': what was judged of the device's clock"),
)

READING_COLUMNS = (
    *_required(
        ("device_id", "string", "The device that measured"),
        ("model_id", "string", "DTMI of the model that typed the reading"),
    ),
    *_optional(("component_name", "string", "The component that measured; null for the device itself")),
    *_required(("measured_at", "timestamp", "The device's clock, as sent")),
    *_RECEIVED,
    *_SLICE,
    *_required(
        ("source", "string", "CloudEvents source"),
        ("message_id", "string", "CloudEvents id; with source the identity of the message"),
    ),
    *_OFFSET,
    *_required(("payload_digest", "bigint", "63 bits of the MD5 of the payload: tells a repeat from a conflict")),
    *_optional(("unknown_telemetry", "map<string,string>", "Telemetry that the model does not declare, as JSON text")),
)
"""The columns that every silver reading table has before its telemetry."""

READING_STATISTICS = ("device_id", "message_id", "measured_at", "event_at", "clock_status", "ingest_id", "offset")

SILVER_REJECTED = Table(
    name="silver.rejected",
    grain="record that is not a reading",
    columns=(
        *_OFFSET,
        *_RECEIVED,
        *_SLICE,
        *_required(("reason", "string", "Reason code, from transforms.reasons")),
        *_optional(
            ("detail", "string", "What was found, in words"),
            ("repeats", "string", "For a duplicate or conflict: topic:partition:offset of the record that it repeats"),
            ("device_id", "string", "The device, if one is named"),
            ("model_id", "string", "The model, if one is known"),
            ("source", "string", "CloudEvents source"),
            ("message_id", "string", "CloudEvents id"),
            ("measured_at", "timestamp", "The device's clock, if it can be read"),
            ("value", "binary", "The payload as it came"),
        ),
    ),
    key=("topic", "partition", "offset"),
    writer="delta-rs",
    partition_by=("event_date", "event_hour"),
    statistics=("reason", "device_id", "message_id", "ingest_id", "offset", "event_at"),
)

SILVER_DEVICES = Table(
    name="silver.devices",
    grain="device and period in which its registry record held",
    columns=(
        *_required(("device_id", "string", "The device"), ("valid_from", "timestamp", "Start of the period")),
        *_optional(("valid_to", "timestamp", "End of the period, exclusive; null while it holds")),
        *_required(
            ("is_current", "boolean", "True for the device's newest record"),
            ("status", "string", "'in_service', 'maintenance' or 'retired'"),
            ("in_service_at", "timestamp", "When the device first came into service"),
        ),
        *_optional(
            ("model_id", "string", "DTMI of its model"),
            ("site_id", "string", "Where it stands"),
            ("reporting_interval_s", "int", "Seconds between readings; null takes the model's default"),
        ),
        *_OFFSET,
    ),
    key=("device_id", "valid_from"),
    writer="delta-rs",
)

_METRIC = (
    *_required(
        ("device_id", "string", "The device that measured"),
        ("metric_name", "string", "The telemetry's name in its model; component.telemetry for a component"),
        ("unit", "string", "Unit of the value columns, as in column suffixes; '1' for a plain number"),
    ),
    *_optional(
        ("model_id", "string", "DTMI of the model of the newest reading of the period"),
        ("site_id", "string", "Where the device stood at the start of the hour"),
    ),
)
_VALUES = (
    *_required(("reading_count", "bigint", "Readings in the period")),
    *_required(
        ("value_min", "double", "Smallest value"),
        ("value_max", "double", "Largest value"),
        ("value_mean", "double", "Arithmetic mean"),
    ),
)
_LAST = _required(("value_last", "double", "Value of the newest reading by event_at, then by offset"))
_PERCENTILES = _required(
    ("value_p50", "double", "Median, interpolated between readings"),
    ("value_p95", "double", "95th percentile, interpolated between readings"),
)
_EVENT_DATE = _required(("event_date", "date", "UTC date of the period"))
_EVENT_SLICE = (*_EVENT_DATE, *_required(("event_hour", "int", "UTC hour of the period, 0 to 23")))


def _gold(name: str, grain: str, columns: Iterable[Column], key: tuple[str, ...], *partition_by: str) -> Table:
    return Table(f"gold.{name}", grain, tuple(columns), key, "delta-rs", partition_by)


DEVICE_MINUTES = _gold(
    "device_minutes",
    "device, metric, unit and minute with readings",
    (*_METRIC, *_required(("minute_at", "timestamp", "Start of the minute")), *_EVENT_SLICE, *_VALUES, *_LAST),
    ("device_id", "metric_name", "unit", "minute_at"),
    "event_date",
    "event_hour",
)
DEVICE_HOURS = _gold(
    "device_hours",
    "device, metric, unit and hour with readings",
    (*_METRIC, *_required(("hour_at", "timestamp", "Start of the hour")), *_EVENT_SLICE, *_VALUES, *_LAST,
     *_required(("last_event_at", "timestamp", "event_at of value_last")), *_PERCENTILES),
    ("device_id", "metric_name", "unit", "hour_at"),
    "event_date",
)  # fmt: skip
DEVICE_DAYS = _gold(
    "device_days",
    "device, metric, unit and day with readings",
    (*_METRIC, *_required(("day_date", "date", "The UTC day")), *_EVENT_DATE, *_VALUES, *_LAST, *_PERCENTILES),
    ("device_id", "metric_name", "unit", "day_date"),
    "event_date",
)
SITE_DAYS = _gold(
    "site_days",
    "site, metric, unit and day with readings",
    (
        *_required(
            ("site_id", "string", "Where the devices stood at the start of each hour; 'unknown' without one"),
            ("metric_name", "string", "The telemetry's name in its model"),
            ("unit", "string", "Unit of the value columns"),
            ("day_date", "date", "The UTC day"),
            ("event_date", "date", "The UTC day, as partition"),
            ("device_count", "bigint", "Devices with readings"),
        ),
        *_VALUES,
        *_PERCENTILES,
    ),
    ("site_id", "metric_name", "unit", "day_date"),
    "event_date",
)
DEVICE_COMPLETENESS = _gold(
    "device_completeness",
    "device and hour in which it was in service or heard of",
    (
        *_required(("device_id", "string", "The device")),
        *_optional(
            ("model_id", "string", "Its model at the start of the hour, or when it came into service"),
            ("site_id", "string", "Where it stood at the start of the hour"),
        ),
        *_required(
            ("hour_at", "timestamp", "Start of the hour"),
            ("event_date", "date", "UTC date of the hour"),
            ("event_hour", "int", "UTC hour, 0 to 23"),
            ("expected_count", "bigint", "Readings due: the reporting times while in service and not in maintenance"),
            ("received_count", "bigint", "Readings accepted, also from components and with a wrong clock"),
            ("late_count", "bigint", "Accepted readings that came later than the model's lateness limit"),
            ("clock_flagged_count", "bigint", "Accepted readings counted at received_at since the clock was wrong"),
            ("duplicate_count", "bigint", "Records rejected as repeats, conflicts included"),
            ("rejected_count", "bigint", "Records rejected for any other reason"),
            ("missing_count", "bigint", "expected_count less the distinct measured_at with a right clock, at least 0"),
        ),
    ),
    ("device_id", "hour_at"),
    "event_date",
)
DEVICE_LATEST = _gold(
    "device_latest",
    "device, metric and unit ever measured",
    (*_METRIC, *_required(("event_at", "timestamp", "When the newest value was measured")), *_EVENT_SLICE, *_LAST),
    ("device_id", "metric_name", "unit"),
)
DEVICES = _gold(
    "devices",
    "device in the registry",
    (
        *_required(
            ("device_id", "string", "The device"),
            ("status", "string", "'in_service', 'maintenance' or 'retired'"),
            ("in_service_at", "timestamp", "When it first came into service"),
        ),
        *_optional(
            ("model_id", "string", "DTMI of its model"),
            ("site_id", "string", "Where it stands"),
            ("reporting_interval_s", "int", "Seconds between readings"),
            ("last_event_at", "timestamp", "Its newest published reading; null when there is none"),
        ),
        *_required(("valid_from", "timestamp", "Since when this record holds")),
    ),
    ("device_id",),
)

OPS_VERDICTS = Table(
    name="ops.verdicts",
    grain="judgement of a table's slice at an input version",
    columns=(
        *_required(
            ("verdict_id", "string", "Identity of the verdict"),
            ("table_name", "string", "The table judged, e.g. silver.thermostats or gold.device_hours"),
            ("slice", "string", "YYYY-MM-DDTHH for an hour, YYYY-MM-DD for a day, 'all' for an unsliced table"),
            ("input_version", "string", "JSON object of the input tables' versions"),
            ("is_passing", "boolean", "True when the suite passed, or an operator released the slice"),
            ("failures", "string", "JSON list of failed expectations: expectation, column, observed, limit, message"),
            ("row_count", "bigint", "Rows judged"),
            ("suite_digest", "string", "SHA-256 of the suite's declaration"),
            ("run_id", "string", "The Dagster run"),
            ("checked_at", "timestamp", "When"),
            ("checked_date", "date", "UTC date of checked_at"),
        ),
        *_optional(
            ("released_by", "string", "Who released the slice in spite of its failures"),
            ("release_reason", "string", "Why"),
        ),
    ),
    key=("verdict_id",),
    writer="delta-rs",
    partition_by=("checked_date",),
)
OPS_PUBLICATIONS = Table(
    name="ops.publications",
    grain="publication",
    columns=_required(
        ("publication_id", "bigint", "1, 2, 3 …"),
        ("published_at", "timestamp", "When"),
        ("published_date", "date", "UTC date of published_at"),
        ("tables", "string", "JSON object: gold table to Delta version"),
        ("inputs", "string", "JSON object: silver table to Delta version that gold was built from"),
        ("slices", "string", "JSON list of the slices rebuilt"),
        ("held", "string", "JSON list of held slices: slice, table, failures"),
        ("releases", "string", "JSON list of released slices now published: slice, who, when, why"),
        ("first_slice", "string", "Oldest hour that completeness covers, or empty"),
        ("last_slice", "string", "Newest hour that completeness covers, or empty"),
        ("models", "string", "JSON object: model id to SHA-256 of its declaration"),
        ("code_version", "string", "Version of this project"),
        ("run_id", "string", "The Dagster run"),
    ),
    key=("publication_id",),
    writer="delta-rs",
    partition_by=("published_date",),
)

OPS_GOLD_FILES = Table(
    name="ops.gold_files",
    grain="file that a publication added to a gold table",
    columns=_required(
        ("publication_id", "bigint", "The publication that added it"),
        ("table_name", "string", "The gold table"),
        ("path", "string", "Where it lies, from the table's folder on"),
        ("size_bytes", "bigint", "Its length"),
        ("sha256", "string", "SHA-256 of its bytes when it was published"),
    ),
    key=("publication_id", "table_name", "path"),
    writer="delta-rs",
    statistics=("publication_id",),
)

GOLD_TABLES = (DEVICE_MINUTES, DEVICE_HOURS, DEVICE_DAYS, SITE_DAYS, DEVICE_COMPLETENESS, DEVICE_LATEST, DEVICES)
FIXED_TABLES = (
    BRONZE_TELEMETRY,
    BRONZE_LIFECYCLE,
    SILVER_REJECTED,
    SILVER_DEVICES,
    *GOLD_TABLES,
    OPS_VERDICTS,
    OPS_PUBLICATIONS,
    OPS_GOLD_FILES,
)
"""Every table that does not follow from a device model."""
