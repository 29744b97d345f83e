"""Settings: the only reader of the environment.

Belongs here: putting the sections together (`runtime.sections` says each setting once), reading and handing on the
environment. What children are given, what is known and docs/reference/settings.md follow from the sections. Anything
that starts, connects or writes takes a `Settings`.

    python -m runtime.settings > docs/reference/settings.md
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from runtime.errors import UsageError
from runtime.sections.engine_settings import DagsterSettings, KafkaSettings, SparkSettings
from runtime.sections.hub_settings import HubSettings
from runtime.sections.lake_settings import ReadingSettings, S3Settings, UpkeepSettings
from runtime.sections.place import Place
from runtime.sections.serving_settings import ServingSettings
from runtime.sections.streams_settings import StreamsSettings
from runtime.variables import settings_of


@dataclass(frozen=True)
class Settings(
    Place,
    KafkaSettings,
    SparkSettings,
    DagsterSettings,
    UpkeepSettings,
    ReadingSettings,
    HubSettings,
    StreamsSettings,
    ServingSettings,
    S3Settings,
):
    """Where this lakehouse lives and what it talks to, section by section, in the order of the page.

    Never from the environment: in set-up's rehearsal (`is_rehearsal`) programs write down which classes they load, and
    one that is started for little work (`is_brief`) does not optimise itself for more.
    """

    is_rehearsal: bool = field(default=False, kw_only=True)
    is_brief: bool = field(default=False, kw_only=True)

    @property
    def hub_database_url(self) -> str:
        """Where the hub's registry is, as SQLAlchemy writes it."""
        return self.hub_database or f"sqlite:///{self.hub_folder / 'registry.db'}"

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
    "LAKEHOUSE_HAS_PLAN",
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
