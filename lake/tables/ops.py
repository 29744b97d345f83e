"""Ops: what the lake records about itself.

Belongs here: its tables. Writing and reading the records is in `lake.records`.
"""

from lake.tables.contracts import Table, optional, required

OPS_VERDICTS = Table(
    name="ops.verdicts",
    grain="judgement of a table's slice, or of slices that all pass, at an input version",
    columns=(
        *required(
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
        *optional(
            ("released_by", "string", "Who released the slice in spite of its failures"),
            ("release_reason", "string", "Why"),
            ("last_slice", "string", "Of a verdict on slices that follow each other and all pass: the last of them"),
        ),
    ),
    key=("verdict_id",),
    writer="delta-rs",
    partition_by=("checked_date",),
)
OPS_PUBLICATIONS = Table(
    name="ops.publications",
    grain="publication",
    columns=(
        *required(
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
        *optional(
            ("pending", "string", "JSON list of hours, as first hour and number, that are still to be built"),
        ),
    ),
    key=("publication_id",),
    writer="delta-rs",
    partition_by=("published_date",),
)

OPS_GOLD_FILES = Table(
    name="ops.gold_files",
    grain="file that a publication added to a gold table",
    columns=required(
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

_SIDES = (("hot", "Of the hot path"), ("gold", "Of published gold"))
OPS_HOT_RECONCILIATION = Table(
    name="ops.hot_reconciliation",
    grain="device, metric, unit and minute that the hot path told as final, or that gold has and it did not tell",
    columns=(
        *required(
            ("device_id", "string", "The device that measured"),
            ("metric_name", "string", "The telemetry's name in its model"),
            ("unit", "string", "Unit of the values"),
            ("minute_at", "timestamp", "Start of the minute"),
            ("event_date", "date", "UTC date of the minute"),
            ("event_hour", "int", "UTC hour of the minute, 0 to 23"),
            ("cause", "string", "'agrees', 'waits' (gold is not there yet), 'held', 'unexplained', or what each "
             "reading that differs was: 'late', 'repeat', 'registry', 'clock', 'before', 'header', joined by +"),
            ("compared_at", "timestamp", "When"),
        ),
        *optional(
            ("publication_id", "bigint", "The publication that it was compared with"),
            ("detail", "string", "The proof in words: counts, and a reading of each cause"),
            ("closed_at", "timestamp", "Until when the hot path corrects the minute, by the landing zone's clock"),
            ("inputs", "string", "JSON object: partition to the lowest and highest offset that the hot figure holds"),
            ("read_from", "string", "JSON object: partition to the offset from which on the hot path has read all"),
        ),
        *(
            column
            for side, text in _SIDES
            for column in optional(
                (f"{side}_reading_count", "bigint", f"{text}: readings; null where it has none"),
                (f"{side}_value_min", "double", f"{text}: smallest value"),
                (f"{side}_value_max", "double", f"{text}: largest value"),
                (f"{side}_value_mean", "double", f"{text}: arithmetic mean"),
                (f"{side}_value_last", "double", f"{text}: value of the newest reading"),
            )
        ),
    ),
    key=("device_id", "metric_name", "unit", "minute_at"),
    writer="delta-rs",
    partition_by=("event_date",),
    statistics=("event_hour", "cause"),
)  # fmt: skip
