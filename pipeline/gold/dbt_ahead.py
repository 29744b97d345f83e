"""What dbt finds out about itself at each start, the same each time: found out here once in a process.

Belongs here: what depends on dbt and on the project alone, so that a process that forks dbts has it before it forks.
Importing this finds out nothing.
"""

import logging
from contextlib import suppress
from functools import cache
from pathlib import Path
from types import CodeType
from typing import Any

from dbt.adapters.duckdb.credentials import DuckDBCredentials
from dbt.contracts.graph.manifest import Manifest
from dbt.contracts.graph.nodes import Macro
from dbt.contracts.project import Configuration, PackageConfig, ProfileConfig, Project, ProjectFlags
from dbt.contracts.selection import SelectorFile
from dbt_common.behavior_flags import BehaviorFlagRendered
from dbt_common.clients.jinja import MacroFuzzEnvironment, get_environment, template_cache
from mashumaro.exceptions import InvalidFieldValue
from mashumaro.mixins.msgpack import default_decoder

from pipeline.gold.dbt_manifest import manifest_for_dbt
from pipeline.gold.dbt_spared import leave_undone

_log = logging.getLogger(__name__)
# the files that it reads, each by the class that keeps its JSON schema
_SCHEMAS = (ProjectFlags, ProfileConfig, DuckDBCredentials, Project, PackageConfig, SelectorFile, Configuration)
# how a model of ours is built: no model names the macros of that
_RUN = "macro.lakehouse.materialization_"
_compile = MacroFuzzEnvironment.compile
_codes: dict[str, CodeType] = {}


@cache
def find_out_ahead() -> None:
    """What dbt can be spared; the second time in a process there is nothing to do.

    No failure leaves this: whoever forks dbts has other work too, and dbt finds out itself what could not be found out.
    """
    try:
        for each in _SCHEMAS:
            each.json_schema()  # half a second of processor time for all of them
        # which module makes its flags: to find that out it looks up the file of every imported module, three thousand
        # of them and those that are loaded when they are first used
        flags_of = staticmethod(lambda: "dbt.adapters.base.impl")
        BehaviorFlagRendered._default_source = flags_of  # type: ignore[method-assign]
        leave_undone()
        MacroFuzzEnvironment.compile = _compiled  # type: ignore[method-assign,assignment]
        if manifest_for_dbt().is_file():
            _read_ahead(manifest_for_dbt())
    except Exception as error:  # noqa: BLE001  # dbt finds it out itself, or says what is wrong
        _log.warning(f"dbt starts slower, since its project could not be read ahead: {error!r}.")


def _compiled(environment: MacroFuzzEnvironment, source: Any, *rest: Any, **named: Any) -> Any:
    """The code of a template, also of one that comes again: dbt keeps those of macros, and not those of models."""
    known = None if rest or named or not isinstance(source, str) else _codes.get(source)
    return known or _compile(environment, source, *rest, **named)


def _read_ahead(path: Path) -> None:
    """Let dbt make, of the manifest at `path`, what reading it takes, and the templates of models and of the macros
    that they run.

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
        if node["resource_type"] == "model":
            left += node["depends_on"]["macros"]
            _codes[node["raw_code"]] = get_environment().compile(node["raw_code"])
    while left:
        name = left.pop()
        if name in macros and name not in found:
            found.add(name)
            left += macros[name]["depends_on"]["macros"]
            template_cache.get_node_template(Macro.from_dict(macros[name]))
