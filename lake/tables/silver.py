"""Silver: what bronze means, and what of it means nothing.

Belongs here: the tables that no device model declares, and the columns that every table of readings has.
"""

from lake.tables.contracts import OFFSET, RECEIVED, Table, optional, required

_SLICE = required(
    ("event_at", "timestamp", "The time the record counts for: measured_at, unless the device's clock is judged wrong"),
    ("event_date", "date", "UTC date of event_at"),
    ("event_hour", "int", "UTC hour of event_at, 0 to 23"),
    ("clock_status", "string", "'ok', 'ahead', 'behind' or 'wrong_unit': what was judged of the device's clock"),
)

READING_COLUMNS = (
    *required(
        ("device_id", "string", "The device that measured"),
        ("model_id", "string", "DTMI of the model that typed the reading"),
    ),
    *optional(("component_name", "string", "The component that measured; null for the device itself")),
    *required(("measured_at", "timestamp", "The device's clock, as sent")),
    *RECEIVED,
    *_SLICE,
    *required(
        ("source", "string", "CloudEvents source"),
        ("message_id", "string", "CloudEvents id; with source the identity of the message"),
    ),
    *OFFSET,
    *required(("payload_digest", "bigint", "63 bits of the MD5 of the payload: tells a repeat from a conflict")),
    *optional(("unknown_telemetry", "map<string,string>", "Telemetry that the model does not declare, as JSON text")),
)
"""The columns that every silver reading table has before its telemetry."""

READING_STATISTICS = (
    "device_id", "message_id", "measured_at", "event_at", "event_hour", "clock_status", "ingest_id", "offset",
)  # fmt: skip

SILVER_REJECTED = Table(
    name="silver.rejected",
    grain="record that is not a reading",
    columns=(
        *OFFSET,
        *RECEIVED,
        *_SLICE,
        *required(("reason", "string", "Reason code, from transforms.reasons")),
        *optional(
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
    partition_by=("event_date",),
    statistics=("reason", "device_id", "message_id", "ingest_id", "offset", "event_at", "event_hour"),
)

SILVER_DEVICES = Table(
    name="silver.devices",
    grain="device and period in which its registry record held",
    columns=(
        *required(("device_id", "string", "The device"), ("valid_from", "timestamp", "Start of the period")),
        *optional(("valid_to", "timestamp", "End of the period, exclusive; null while it holds")),
        *required(
            ("is_current", "boolean", "True for the device's newest record"),
            ("status", "string", "'in_service', 'maintenance' or 'retired'"),
            ("in_service_at", "timestamp", "When the device first came into service"),
        ),
        *optional(
            ("model_id", "string", "DTMI of its model"),
            ("site_id", "string", "Where it stands"),
            ("reporting_interval_s", "int", "Seconds between readings; null takes the model's default"),
        ),
        *OFFSET,
    ),
    key=("device_id", "valid_from"),
    writer="delta-rs",
)

SILVER_SITES = Table(
    name="silver.sites",
    grain="declaration of a site",
    columns=(
        *required(
            ("site_id", "string", "The site"),
            ("declared_at", "timestamp", "When it was declared so"),
            ("is_current", "boolean", "True for the site's newest declaration, which counts for all days"),
        ),
        *optional(
            ("name", "string", "What people call it"),
            ("zone", "string", "Its time zone, as Europe/Berlin; null takes the one of its parent"),
            ("parent_id", "string", "The site that it is a part of"),
        ),
        *OFFSET,
    ),
    key=("topic", "partition", "offset"),
    writer="delta-rs",
)

UNSLICED_SILVER = (SILVER_DEVICES, SILVER_SITES)
"""What holds at all times: no table of slices, and judged whole."""
