"""Settings: the only reader of the environment.

Belongs here: every variable that is a setting, said once: its field, default, reader and meaning. What children are
given, what is known and docs/reference/settings.md follow from that. Anything that starts, connects or
writes takes a `Settings`.

    python -m runtime.settings > docs/reference/settings.md
"""

import os
from collections.abc import Mapping
from dataclasses import KW_ONLY, dataclass
from pathlib import Path
from typing import Annotated, Any

from runtime.errors import UsageError
from runtime.variables import (
    Setting,
    database_url,
    hosts,
    lake_uri,
    memory_size,
    message_types,
    port,
    settings_of,
    spark_address,
    web_address,
    whole_number,
)

_HOME, _LAKE, _KAFKA, _SPARK, _DAGSTER = "Home", "Lake", "Kafka", "Spark", "Dagster"
_UPKEEP, _READING, _HUB, _SERVING, _S3 = "Upkeep", "Reading", "Hub", "Serving", "S3"


@dataclass(frozen=True)
class Settings:
    """Where this lakehouse lives and what it talks to. How a default of None is called stands beside each.

    In set-up's rehearsal (`is_rehearsal`, never from the environment) programs write down which classes they load.
    """

    home: Annotated[
        Path,
        Setting(
            "LAKEHOUSE_HOME", Path, _HOME,
            "all state: broker data, lake, Dagster, logs. Two homes are two lakehouses, ports and all", "`.lakehouse`",
        ),
    ]  # fmt: skip
    lake_uri: Annotated[
        str, Setting("LAKEHOUSE_LAKE_URI", lake_uri, _LAKE, "a folder, or `s3://bucket/prefix`", "`<home>/lake`")
    ]
    _: KW_ONLY
    kafka_bootstrap: Annotated[
        str | None, Setting("LAKEHOUSE_KAFKA_BOOTSTRAP", hosts, _KAFKA, "your Kafka", "embedded broker")
    ] = None
    foreign_types: Annotated[
        str | None,
        Setting(
            "LAKEHOUSE_TELEMETRY_TYPES", message_types, _KAFKA,
            "types of CloudEvents that count as telemetry besides our own: `com.example.reading,com.other.*`",
            "none",
        ),
    ] = None  # fmt: skip
    spark: Annotated[
        str,
        Setting(
            "LAKEHOUSE_SPARK", spark_address, _SPARK,
            "`local[N]`, `spark://host:port`, or a running Connect server `sc://host:port`", "`local[*]`",
        ),
    ] = "local[*]"  # fmt: skip
    spark_memory: Annotated[
        str, Setting("LAKEHOUSE_SPARK_MEMORY", memory_size, _SPARK, "memory of the embedded Spark", "`1200m`")
    ] = "1200m"
    java_home: Annotated[
        Path | None, Setting("JAVA_HOME", Path, _SPARK, "Java for Spark and Kafka", "what set-up has found")
    ] = None
    ui_port: Annotated[
        int | None, Setting("LAKEHOUSE_UI_PORT", port, _DAGSTER, "port of Dagster's UI", "3000, or a free one")
    ] = None
    keep_publications_days: Annotated[
        int,
        Setting(
            "LAKEHOUSE_KEEP_PUBLICATIONS_DAYS", whole_number, _UPKEEP,
            "how long publications stay readable; the newest always does", "30",
        ),
    ] = 30  # fmt: skip
    keep_files_hours: Annotated[
        int,
        Setting(
            "LAKEHOUSE_KEEP_FILES_HOURS", whole_number, _UPKEEP,
            "how long files out of use stay; longer than the longest query", "24",
        ),
    ] = 24  # fmt: skip
    keep_bronze_days: Annotated[
        int | None,
        Setting(
            "LAKEHOUSE_KEEP_BRONZE_DAYS", whole_number, _UPKEEP,
            "days since receipt after which upkeep drops telemetry from bronze", "for ever",
        ),
    ] = None  # fmt: skip
    keep_silver_days: Annotated[
        int | None,
        Setting(
            "LAKEHOUSE_KEEP_SILVER_DAYS", whole_number, _UPKEEP,
            "days since `event_at` after which upkeep drops readings and rejected records", "for ever",
        ),
    ] = None  # fmt: skip
    sql_memory_mb: Annotated[
        int,
        Setting(
            "LAKEHOUSE_SQL_MEMORY_MB", whole_number, _READING,
            "how much of published gold the prompt of `lakehouse sql` copies into memory; 0 is none", "512",
        ),
    ] = 512  # fmt: skip
    hub_database: Annotated[
        str | None,
        Setting(
            "LAKEHOUSE_HUB_DATABASE", database_url, _HUB,
            "the hub's registry: `postgresql://user@host/name` or `sqlite:///file`", "SQLite under the home",
        ),
    ] = None  # fmt: skip
    hub_port: Annotated[
        int, Setting("LAKEHOUSE_HUB_PORT", port, _HUB, "the hub's TLS port, for MQTT, AMQP and HTTPS", "8883")
    ] = 8883
    api_port: Annotated[
        int | None,
        Setting("LAKEHOUSE_API_PORT", port, _SERVING, "port of the API and of sharing", "8080, or a free one"),
    ] = None
    aws_endpoint_url: Annotated[
        str | None,
        Setting(
            "AWS_ENDPOINT_URL",
            web_address,
            _S3,
            "where S3 is, when not at AWS",
            "AWS",
            ("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL"),
        ),
    ] = None
    aws_access_key_id: Annotated[str | None, Setting("AWS_ACCESS_KEY_ID", str, _S3, "key", "AWS's own chain")] = None
    aws_secret_access_key: Annotated[str | None, Setting("AWS_SECRET_ACCESS_KEY", str, _S3, "its secret")] = None
    aws_session_token: Annotated[
        str | None, Setting("AWS_SESSION_TOKEN", str, _S3, "of a key that is lent for a time")
    ] = None
    aws_region: Annotated[
        str, Setting("AWS_REGION", str, _S3, "region", "`us-east-1`", ("AWS_REGION", "AWS_DEFAULT_REGION"))
    ] = "us-east-1"
    is_rehearsal: bool = False

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
    def telemetry_types(self) -> tuple[str, ...]:
        """The foreign types of messages that count as telemetry."""
        return tuple(self.foreign_types.split(",")) if self.foreign_types else ()

    @property
    def is_s3(self) -> bool:
        """True when the lake lies on S3 rather than in a folder."""
        return self.lake_uri.startswith("s3://")

    def child_environment(self) -> dict[str, str]:
        """The variables a child process needs to come to the same settings, added to those it inherits."""
        values = {setting.variable: getattr(self, name) for name, setting in SETTINGS.items()}
        return {name: str(value) for name, value in values.items() if value is not None} | {
            "DAGSTER_HOME": str(self.dagster_home),
            "GX_ANALYTICS_ENABLED": "false",
            "DBT_SEND_ANONYMOUS_USAGE_STATS": "false",
            "DO_NOT_TRACK": "1",
        }


SETTINGS = settings_of(Settings)
"""Every setting, by the name of its field."""

KNOWN_VARIABLES = (
    *(setting.variable for setting in SETTINGS.values()),
    # set for dbt by the gold build
    "LAKEHOUSE_CANDIDATE_DB",
)


def load_settings(environment: Mapping[str, str] | None = None, folder: Path | None = None) -> Settings:
    """Read the settings from `environment` (by default the process's), relative paths against `folder`.

    A variable that is empty is as one that is not set. Raises UsageError that names every value that cannot be used.
    """
    env = os.environ if environment is None else environment
    here = Path.cwd() if folder is None else folder
    values: dict[str, Any] = {}
    problems: list[str] = []
    for name, setting in SETTINGS.items():
        variable = next((each for each in setting.read_from or (setting.variable,) if env.get(each)), None)
        if variable is not None:
            try:
                values[name] = setting.parse(env[variable])
            except ValueError as error:
                problems.append(f"{variable} is {env[variable]!r}: {error}")
    home = (here / values.get("home", ".lakehouse")).resolve()
    lake = values.get("lake_uri", str(home / "lake"))
    if "://" not in lake:
        lake = str((here / lake).resolve())
    folders = {"LAKEHOUSE_HOME": home} | ({} if "://" in lake else {"LAKEHOUSE_LAKE_URI": Path(lake)})
    for variable, folder in folders.items():
        reason = _why_no_folder(folder)
        if reason:
            problems.append(f"{variable} is {str(folder)[:200]!r}, {reason}: give a folder.")
            break  # the lake lies in the home unless it is told otherwise
    if problems:
        raise UsageError("\n".join(problems))
    return Settings(**values | {"home": home, "lake_uri": lake})


def _why_no_folder(path: Path) -> str:
    """Why there can be no folder of this name, as far as a look tells; empty when there can."""
    try:
        str(path).encode()
        found = next(each for each in (path, *path.parents) if each.exists())
    except UnicodeEncodeError:
        return "which is not in UTF-8"
    except OSError as error:
        return f"which cannot be looked at ({error.strerror})"
    if found.is_dir():
        return ""
    return "which is a file" if found == path else f"and {found} is a file"


def unknown_variables(environment: Mapping[str, str] | None = None) -> list[str]:
    """Variables that look like settings but are none, misspelled ones for example."""
    env = os.environ if environment is None else environment
    return sorted(name for name in env if name.startswith("LAKEHOUSE_") and name not in KNOWN_VARIABLES)


def settings_markdown() -> str:
    """docs/reference/settings.md: every setting by section."""
    parts = [_PAGE]
    for section in dict.fromkeys(setting.section for setting in SETTINGS.values()):
        parts.append(f"## {section}\n\n| variable | default | meaning |\n| --- | --- | --- |")
        ours = [setting for setting in SETTINGS.values() if setting.section == section]
        parts += [f"| `{setting.variable}` | {setting.shown} | {setting.says} |" for setting in ours]
        parts.append("")
    return "\n".join(parts[:-1]) + "\n"


_PAGE = """# Settings

Made from their declarations by `python -m runtime.settings`; change those, not this page.

Settings are variables of the environment, and are read when a command begins: a value that cannot be used is said
before anything is done, and `lakehouse doctor` names variables that look like settings and are none. A variable that is
empty is as one that is not set. Programs that a command starts are given the same settings.
"""


def inherited_environment(added: Mapping[str, str]) -> dict[str, str]:
    """The environment for a child process: this process's own with `added` on top."""
    return {**os.environ, **added}


def take_environment(values: Mapping[str, str]) -> None:
    """Let this process, a fork that waited for its work, have the environment of who gives it."""
    os.environ.clear()
    os.environ.update(values)


if __name__ == "__main__":
    print(settings_markdown(), end="")
