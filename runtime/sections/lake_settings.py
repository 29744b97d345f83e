"""Settings of the lake: what upkeep keeps, how it is read, and S3 where it lies there.

Belongs here: what holds for the lake's tables whoever works on them. Not where the lake is, which is `place`'s.
"""

from dataclasses import dataclass
from typing import Annotated

from runtime.variables import Setting, web_address, whole_number


@dataclass(frozen=True, kw_only=True)
class UpkeepSettings:
    """How long what is kept."""

    keep_publications_days: Annotated[
        int,
        Setting(
            "LAKEHOUSE_KEEP_PUBLICATIONS_DAYS", whole_number, "Upkeep",
            "how long publications stay readable; the newest always does", "30",
        ),
    ] = 30  # fmt: skip
    keep_files_hours: Annotated[
        int,
        Setting(
            "LAKEHOUSE_KEEP_FILES_HOURS", whole_number, "Upkeep",
            "how long files out of use stay; longer than the longest query", "24",
        ),
    ] = 24  # fmt: skip
    keep_bronze_days: Annotated[
        int | None,
        Setting(
            "LAKEHOUSE_KEEP_BRONZE_DAYS", whole_number, "Upkeep",
            "days since receipt after which upkeep drops telemetry from bronze", "for ever",
        ),
    ] = None  # fmt: skip
    keep_silver_days: Annotated[
        int | None,
        Setting(
            "LAKEHOUSE_KEEP_SILVER_DAYS", whole_number, "Upkeep",
            "days since `event_at` after which upkeep drops readings and rejected records", "for ever",
        ),
    ] = None  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class ReadingSettings:
    """What reading published gold may use."""

    sql_memory_mb: Annotated[
        int,
        Setting(
            "LAKEHOUSE_SQL_MEMORY_MB", whole_number, "Reading",
            "how much of published gold the prompt of `lakehouse sql` copies into memory; 0 is none", "512",
        ),
    ] = 512  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class S3Settings:
    """S3's address and key, by the variables that AWS's own tools read."""

    aws_endpoint_url: Annotated[
        str | None,
        Setting(
            "AWS_ENDPOINT_URL",
            web_address,
            "S3",
            "where S3 is, when not at AWS",
            "AWS",
            ("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL"),
        ),
    ] = None
    aws_access_key_id: Annotated[str | None, Setting("AWS_ACCESS_KEY_ID", str, "S3", "key", "AWS's own chain")] = None
    aws_secret_access_key: Annotated[str | None, Setting("AWS_SECRET_ACCESS_KEY", str, "S3", "its secret")] = None
    aws_session_token: Annotated[
        str | None, Setting("AWS_SESSION_TOKEN", str, "S3", "of a key that is lent for a time")
    ] = None
    aws_region: Annotated[
        str, Setting("AWS_REGION", str, "S3", "region", "`us-east-1`", ("AWS_REGION", "AWS_DEFAULT_REGION"))
    ] = "us-east-1"
