"""Locations: where a table lies and how each engine is told so.

Belongs here: the mapping from a table's name to a path or address for Spark, delta-rs and DuckDB, and the
credentials each wants. Reading or writing tables belongs in `delta`, `spark_commits`, `reader` and the steps.
"""

from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from lake.sql_text import quoted
from lake.storage.store_answers import require_answer
from runtime.settings import Settings

HOT_STATE = "checkpoints.streams"
"""Where Spark keeps offsets and state of the hot path, as if it were a table."""


def folder_of(table: str) -> str:
    """Where a table lies in the lake, e.g. `silver.thermostats` -> `silver/thermostats`."""
    return table.replace(".", "/")


def table_uri(settings: Settings, table: str) -> str:
    """Where delta-rs and DuckDB find a table, e.g. `silver.thermostats` -> `<lake>/silver/thermostats`."""
    return f"{settings.lake_uri}/{folder_of(table)}"


def spark_uri(settings: Settings, table: str) -> str:
    """The same place as Spark spells it: S3 goes through S3A."""
    uri = table_uri(settings, table)
    return "s3a://" + uri.removeprefix("s3://") if settings.is_s3 else uri


def delta_options(settings: Settings) -> dict[str, str]:
    """`storage_options` for delta-rs; empty for a folder."""
    if not settings.is_s3:
        return {}
    options = {
        "AWS_REGION": settings.aws_region,
        "AWS_ACCESS_KEY_ID": settings.aws_access_key_id,
        "AWS_SECRET_ACCESS_KEY": settings.aws_secret_access_key,
        "AWS_SESSION_TOKEN": settings.aws_session_token,
        "AWS_ENDPOINT_URL": settings.aws_endpoint_url,
        # without a lock table delta-rs wants to be told that a conditional PUT decides who commits
        "AWS_CONDITIONAL_PUT": "etag",
        "AWS_ALLOW_HTTP": "true" if (settings.aws_endpoint_url or "").startswith("http://") else None,
    }
    return {name: value for name, value in options.items() if value}


# what delta-rs says of keys that a server does not take, and what s3fs does
_REFUSALS = (
    "SignatureDoesNotMatch", "InvalidAccessKeyId", "AccessDenied", "Forbidden", "Access Denied",
    "signature we calculated does not match", "Access Key Id you provided does not exist",
)  # fmt: skip


def explain_store(settings: Settings, uri: str, error: str) -> str:
    """Why a store does not give or take files, as one sentence, from what an engine says of it."""
    server = settings.aws_endpoint_url or "Amazon S3"
    if any(words in error for words in ("NoSuchBucket", "specified bucket does not exist")):
        bucket = settings.lake_uri.removeprefix("s3://").split("/")[0]
        return f"There is no bucket {bucket} at {server}: make it, or mend LAKEHOUSE_LAKE_URI ({settings.lake_uri})."
    if any(word in error for word in _REFUSALS):
        return f"{server} refuses the keys for {uri}: check AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY."
    if "169.254.169.254" in error or "Unable to locate credentials" in error:
        return f"There are no keys for {server}: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY."
    if any(word in error for word in ("Connect", "dns error", "timed out", "Could not connect", "timeout on endpoint")):
        return f"{server} does not answer: check the network and AWS_ENDPOINT_URL."
    return f"{uri} cannot be read or written: {' '.join(error.split())[:300]}. `lakehouse doctor` checks the store."


def duckdb_secret(settings: Settings) -> str | None:
    """The `CREATE SECRET` statement that lets DuckDB read the lake; None for a folder."""
    if not settings.is_s3:
        return None
    parts = ["TYPE s3", f"REGION {quoted(settings.aws_region)}", f"SCOPE {quoted(settings.lake_uri)}"]
    if settings.aws_access_key_id and settings.aws_secret_access_key:
        parts.append(f"KEY_ID {quoted(settings.aws_access_key_id)}")
        parts.append(f"SECRET {quoted(settings.aws_secret_access_key)}")
    if settings.aws_session_token:
        parts.append(f"SESSION_TOKEN {quoted(settings.aws_session_token)}")
    if settings.aws_endpoint_url:
        endpoint = urlsplit(settings.aws_endpoint_url)
        parts.append(f"ENDPOINT {quoted(endpoint.netloc)}")
        parts.append("URL_STYLE 'path'")
        parts.append(f"USE_SSL {str(endpoint.scheme == 'https').lower()}")
    return f"CREATE OR REPLACE SECRET lakehouse ({', '.join(parts)})"


def s3_files(settings: Settings, connect_s: float | None = None) -> Any:
    """The files on S3 as they are now: what was listed before is not remembered. `connect_s` is how long each of five
    attempts to connect may take, if not s3fs' 5 s."""
    import s3fs  # takes a second, which a lake in a folder does not need

    require_answer(settings)
    options = s3fs_options(settings)
    if connect_s is not None:
        options["config_kwargs"]["connect_timeout"] = connect_s
    return s3fs.S3FileSystem(**options, use_listings_cache=False)


def s3fs_options(settings: Settings) -> dict[str, Any]:
    """Arguments for `s3fs.S3FileSystem`."""
    return {
        "key": settings.aws_access_key_id,
        "secret": settings.aws_secret_access_key,
        "token": settings.aws_session_token,
        "endpoint_url": settings.aws_endpoint_url,
        "client_kwargs": {"region_name": settings.aws_region},
        # also of links: by version 2 a path is signed as it is written, and clients write `=` for its `%3D`
        "config_kwargs": {"signature_version": "s3v4"},
    }


CANDIDATE_DB = "candidate.duckdb"
"""The same in every home: dbt names the database after it, and what it has parsed holds that name."""


def candidate_path(settings: Settings) -> Path:
    """The DuckDB file that gold is built in before it is judged and published."""
    return settings.work_folder / CANDIDATE_DB
