"""Settings: the only reader of the environment.

Belongs here: every `LAKEHOUSE_*` variable, its default and its meaning. Anything that starts, connects or writes
belongs elsewhere and takes a `Settings`.
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from runtime.errors import UsageError


@dataclass(frozen=True)
class Settings:
    """Where this lakehouse lives and what it talks to.

    `kafka_bootstrap` None means the embedded broker; `spark` is a master for the embedded Spark Connect server
    (`local[*]`, `spark://…`) or the address of a running one (`sc://…`); `lake_uri` is a folder or `s3://bucket/prefix`.
    Upkeep keeps publications for `keep_publications_days`, and files that no version needs any more for
    `keep_files_hours`, since somebody may still be reading them; rows of bronze telemetry and of silver for
    `keep_bronze_days` and `keep_silver_days`, None being for ever. A reader that stays open copies up to
    `sql_memory_mb` of gold into memory.
    The hub listens on `hub_port` and keeps its registry in `hub_database`, None being SQLite under the home.
    In set-up's rehearsal (`is_rehearsal`, never from the environment) programs write down which classes they load.
    """

    home: Path
    lake_uri: str
    kafka_bootstrap: str | None = None
    spark: str = "local[*]"
    spark_memory: str = "1200m"
    ui_port: int | None = None
    java_home: Path | None = None
    aws_endpoint_url: str | None = None
    aws_access_key_id: str | None = None
    aws_secret_access_key: str | None = None
    aws_session_token: str | None = None
    aws_region: str = "us-east-1"
    keep_publications_days: int = 30
    keep_files_hours: int = 24
    keep_bronze_days: int | None = None
    keep_silver_days: int | None = None
    sql_memory_mb: int = 512
    is_rehearsal: bool = False
    hub_database: str | None = None
    hub_port: int = 8883

    @property
    def hub_folder(self) -> Path:
        """The hub's registry (unless it has an address of its own), certificates and figures."""
        return self.home / "hub"

    @property
    def hub_database_url(self) -> str:
        """Where the hub's registry is, as SQLAlchemy writes it."""
        return self.hub_database or f"sqlite:///{self.hub_folder / 'registry.db'}"

    @property
    def models_folder(self) -> Path:
        """Models that were added to this lakehouse, beside the ones that come with the project."""
        return self.home / "models"

    @property
    def run_folder(self) -> Path:
        """One JSON file for each process that runs for this home."""
        return self.home / "run"

    @property
    def log_folder(self) -> Path:
        """Output of the processes that run for this home."""
        return self.home / "logs"

    @property
    def work_folder(self) -> Path:
        """Scratch files that may be deleted whenever nothing runs."""
        return self.home / "work"

    @property
    def dagster_home(self) -> Path:
        """Dagster's instance: runs, events, schedules."""
        return self.home / "dagster"

    @property
    def is_s3(self) -> bool:
        """True when the lake lies on S3 rather than in a folder."""
        return self.lake_uri.startswith("s3://")

    def child_environment(self) -> dict[str, str]:
        """The variables a child process needs to come to the same settings, added to those it inherits."""
        values = {
            "LAKEHOUSE_HOME": str(self.home),
            "LAKEHOUSE_LAKE_URI": self.lake_uri,
            "LAKEHOUSE_SPARK": self.spark,
            "LAKEHOUSE_SPARK_MEMORY": self.spark_memory,
            "LAKEHOUSE_KAFKA_BOOTSTRAP": self.kafka_bootstrap,
            "LAKEHOUSE_UI_PORT": None if self.ui_port is None else str(self.ui_port),
            "LAKEHOUSE_KEEP_PUBLICATIONS_DAYS": str(self.keep_publications_days),
            "LAKEHOUSE_KEEP_FILES_HOURS": str(self.keep_files_hours),
            "LAKEHOUSE_KEEP_BRONZE_DAYS": None if self.keep_bronze_days is None else str(self.keep_bronze_days),
            "LAKEHOUSE_KEEP_SILVER_DAYS": None if self.keep_silver_days is None else str(self.keep_silver_days),
            "LAKEHOUSE_SQL_MEMORY_MB": str(self.sql_memory_mb),
            "LAKEHOUSE_HUB_DATABASE": self.hub_database,
            "LAKEHOUSE_HUB_PORT": str(self.hub_port),
            "JAVA_HOME": None if self.java_home is None else str(self.java_home),
            "AWS_ENDPOINT_URL": self.aws_endpoint_url,
            "AWS_ACCESS_KEY_ID": self.aws_access_key_id,
            "AWS_SECRET_ACCESS_KEY": self.aws_secret_access_key,
            "AWS_SESSION_TOKEN": self.aws_session_token,
            "AWS_REGION": self.aws_region,
            "DAGSTER_HOME": str(self.dagster_home),
            "GX_ANALYTICS_ENABLED": "false",
            "DBT_SEND_ANONYMOUS_USAGE_STATS": "false",
            "DO_NOT_TRACK": "1",
        }
        return {name: value for name, value in values.items() if value is not None}


def load_settings(environment: Mapping[str, str] | None = None, folder: Path | None = None) -> Settings:
    """Read the settings from `environment` (by default the process's), relative paths against `folder`.

    Raises UsageError for a value that cannot be used.
    """
    env = os.environ if environment is None else environment
    here = Path.cwd() if folder is None else folder
    home = (here / env.get("LAKEHOUSE_HOME", ".lakehouse")).resolve()
    if home.exists() and not home.is_dir():
        raise UsageError(f"LAKEHOUSE_HOME is {str(home)!r}, which is a file: give a folder.")
    lake_uri = env.get("LAKEHOUSE_LAKE_URI", "").rstrip("/") or str(home / "lake")
    if "://" not in lake_uri:
        lake_uri = str((here / lake_uri).resolve())
    elif not lake_uri.startswith("s3://"):
        raise UsageError(f"LAKEHOUSE_LAKE_URI is {lake_uri!r}: give a folder or s3://bucket/prefix.")
    spark = env.get("LAKEHOUSE_SPARK", "local[*]")
    if not spark.startswith(("local", "spark://", "sc://")):
        raise UsageError(f"LAKEHOUSE_SPARK is {spark!r}: give local[*], spark://host:port or sc://host:port.")
    return Settings(
        home=home,
        lake_uri=lake_uri,
        kafka_bootstrap=env.get("LAKEHOUSE_KAFKA_BOOTSTRAP") or None,
        spark=spark,
        spark_memory=env.get("LAKEHOUSE_SPARK_MEMORY", "1200m"),
        ui_port=_port(env, "LAKEHOUSE_UI_PORT"),
        java_home=Path(env["JAVA_HOME"]) if env.get("JAVA_HOME") else None,
        aws_endpoint_url=env.get("AWS_ENDPOINT_URL_S3") or env.get("AWS_ENDPOINT_URL") or None,
        aws_access_key_id=env.get("AWS_ACCESS_KEY_ID") or None,
        aws_secret_access_key=env.get("AWS_SECRET_ACCESS_KEY") or None,
        aws_session_token=env.get("AWS_SESSION_TOKEN") or None,
        keep_publications_days=_number(env, "LAKEHOUSE_KEEP_PUBLICATIONS_DAYS", "30"),
        keep_files_hours=_number(env, "LAKEHOUSE_KEEP_FILES_HOURS", "24"),
        keep_bronze_days=_days(env, "LAKEHOUSE_KEEP_BRONZE_DAYS"),
        keep_silver_days=_days(env, "LAKEHOUSE_KEEP_SILVER_DAYS"),
        sql_memory_mb=_number(env, "LAKEHOUSE_SQL_MEMORY_MB", "512"),
        hub_database=_hub_database(env),
        hub_port=_port(env, "LAKEHOUSE_HUB_PORT") or 8883,
        aws_region=env.get("AWS_REGION") or env.get("AWS_DEFAULT_REGION") or "us-east-1",
    )


KNOWN_VARIABLES = (
    "LAKEHOUSE_HOME",
    "LAKEHOUSE_LAKE_URI",
    "LAKEHOUSE_KAFKA_BOOTSTRAP",
    "LAKEHOUSE_SPARK",
    "LAKEHOUSE_SPARK_MEMORY",
    "LAKEHOUSE_UI_PORT",
    "LAKEHOUSE_KEEP_PUBLICATIONS_DAYS",
    "LAKEHOUSE_KEEP_FILES_HOURS",
    "LAKEHOUSE_KEEP_BRONZE_DAYS",
    "LAKEHOUSE_KEEP_SILVER_DAYS",
    "LAKEHOUSE_SQL_MEMORY_MB",
    "LAKEHOUSE_HUB_DATABASE",
    "LAKEHOUSE_HUB_PORT",
    # set for dbt by the gold build
    "LAKEHOUSE_CANDIDATE_DB",
)


def unknown_variables(environment: Mapping[str, str] | None = None) -> list[str]:
    """Variables that look like settings but are none, misspelled ones for example."""
    env = os.environ if environment is None else environment
    return sorted(name for name in env if name.startswith("LAKEHOUSE_") and name not in KNOWN_VARIABLES)


def inherited_environment(added: Mapping[str, str]) -> dict[str, str]:
    """The environment for a child process: this process's own with `added` on top."""
    return {**os.environ, **added}


def take_environment(values: Mapping[str, str]) -> None:
    """Let this process, a fork that waited for its work, have the environment of who gives it."""
    os.environ.clear()
    os.environ.update(values)


def _hub_database(env: Mapping[str, str]) -> str | None:
    url = env.get("LAKEHOUSE_HUB_DATABASE") or None
    if url is None or url.startswith("sqlite:///"):
        return url
    if not url.startswith(("postgresql://", "postgresql+psycopg://")):
        raise UsageError(f"LAKEHOUSE_HUB_DATABASE is {url!r}: give postgresql://user@host/name or sqlite:///file.")
    return url.replace("postgresql://", "postgresql+psycopg://", 1)


def _days(env: Mapping[str, str], name: str) -> int | None:
    return _number(env, name) if env.get(name) else None


def _number(env: Mapping[str, str], name: str, default: str = "") -> int:
    text = env.get(name) or default
    if not text.isascii() or not text.isdigit():
        raise UsageError(f"{name} is {text!r}: give a whole number, 0 or more.")
    return int(text)


def _port(env: Mapping[str, str], name: str) -> int | None:
    text = env.get(name, "")
    if not text:
        return None
    if not text.isdigit() or not 0 < int(text) < 65536:
        raise UsageError(f"{name} is {text!r}: give a port number from 1 to 65535.")
    return int(text)
