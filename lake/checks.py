"""Checks: the lake's folder or bucket, DuckDB, and the declared models.

Belongs here: whether the lake could be used. What stands in it is `lakehouse status`'s.
"""

from pathlib import Path

import s3fs
from botocore.exceptions import BotoCoreError  # type: ignore[import-untyped]

from lake.models.catalog import known_models
from lake.storage import duckdb_connection
from lake.storage.locations import s3fs_options
from lake.storage.store_answers import require_answer
from runtime.errors import LakehouseError, PlatformError
from runtime.findings import Check, Finding, folder_finding
from runtime.settings import Settings
from runtime.wording import counted


def check_lake(settings: Settings) -> Finding:
    """The lake can be written, listed and deleted from."""
    if not settings.is_s3:
        return folder_finding("lake", Path(settings.lake_uri), "Set LAKEHOUSE_LAKE_URI to a folder that you can write.")
    probe = f"{settings.lake_uri}/.lakehouse-doctor"
    try:
        require_answer(settings)
        options = s3fs_options(settings)
        options["config_kwargs"] |= {"connect_timeout": 5, "read_timeout": 5, "retries": {"max_attempts": 1}}
        fs = s3fs.S3FileSystem(**options, skip_instance_cache=True)
        fs.pipe(probe, b"")
        fs.rm(probe)
    except (OSError, BotoCoreError, PlatformError) as error:
        where = f" at {settings.aws_endpoint_url}" if settings.aws_endpoint_url else ""
        return Finding(
            "lake", False, f"{settings.lake_uri}{where}: {error or type(error).__name__}",
            "Check that the bucket exists, and AWS_ENDPOINT_URL, AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_REGION.",
        )  # fmt: skip
    return Finding("lake", True, f"{settings.lake_uri} can be written")


def check_duckdb(settings: Settings) -> Finding:
    """DuckDB reads Delta with the installed extension."""
    try:
        duckdb_connection.connect(settings).close()
    except PlatformError as error:
        return Finding("duckdb", False, str(error), "Run `make setup`, or install the package again.")
    return Finding("duckdb", True, "the delta extension loads")


def check_models(settings: Settings) -> Finding:
    """Every declared device model and quality file can be used."""
    try:
        models = known_models(settings)
    except LakehouseError as error:
        return Finding("models", False, str(error), f"Mend or remove the file in {settings.models_folder}.")
    return Finding("models", True, counted(len(models), "device model"))


CHECKS: tuple[Check, ...] = (
    check_lake,
    check_duckdb,
    check_models,
)
