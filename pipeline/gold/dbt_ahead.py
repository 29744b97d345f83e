"""What dbt finds out about itself at each start, the same each time: found out here once, by importing this.

Belongs here: what depends on dbt and on the project alone, so that a process that forks dbts has it before it forks.
"""

from contextlib import suppress
from pathlib import Path
from typing import Any

from dbt.adapters.duckdb.credentials import DuckDBCredentials
from dbt.contracts.graph.manifest import Manifest
from dbt.contracts.graph.nodes import Macro
from dbt.contracts.project import Configuration, PackageConfig, ProfileConfig, Project, ProjectFlags
from dbt.contracts.selection import SelectorFile
from dbt_common.behavior_flags import BehaviorFlagRendered
from dbt_common.clients.jinja import template_cache
from mashumaro.exceptions import InvalidFieldValue
from mashumaro.mixins.msgpack import default_decoder

from pipeline.gold.dbt_manifest import manifest_for_dbt

# how a model of ours is built: no model names the macros of that
_RUN = ("macro.dbt_duckdb.materialization_table_duckdb", "macro.lakehouse.materialization_")

# the JSON schemas of the files that it reads, each kept by its class: half a second of processor time
for _each in (ProjectFlags, ProfileConfig, DuckDBCredentials, Project, PackageConfig, SelectorFile, Configuration):
    _each.json_schema()

# which module makes its flags: to find that out it looks up the file of every imported module, three thousand of them
# and those that are loaded when they are first used
BehaviorFlagRendered._default_source = staticmethod(lambda: "dbt.adapters.base.impl")  # type: ignore[method-assign]


def _read_ahead(path: Path) -> None:
    """Let dbt make, of the manifest at `path`, what reading it takes, and the templates of the macros that models run.

    No Manifest is made of it, since its lock is one between processes: forks would share it, also with one that is
    killed. So the last field is one that cannot be read.
    """
    raw: dict[str, Any] = default_decoder(path.read_bytes())
    with suppress(InvalidFieldValue):
        Manifest.from_msgpack(b"", decoder=lambda _: raw | {"fixtures": 0})
    macros: dict[str, Any] = raw["macros"]
    found = set[str]()
    left = [name for name in macros if name.startswith(_RUN)]
    for node in raw["nodes"].values():
        left += node["depends_on"]["macros"] if node["resource_type"] == "model" else ()
    while left:
        name = left.pop()
        if name in macros and name not in found:
            found.add(name)
            left += macros[name]["depends_on"]["macros"]
            template_cache.get_node_template(Macro.from_dict(macros[name]))


if manifest_for_dbt().is_file():
    _read_ahead(manifest_for_dbt())
