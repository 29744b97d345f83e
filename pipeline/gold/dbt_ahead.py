"""What dbt finds out about itself at each start, the same each time: found out here once, by importing this.

Belongs here: what depends on dbt and on the project alone, so that a process that forks dbts has it before it forks.
"""

from dbt.adapters.duckdb.credentials import DuckDBCredentials
from dbt.contracts.project import Configuration, PackageConfig, ProfileConfig, Project, ProjectFlags
from dbt.contracts.selection import SelectorFile
from dbt_common.behavior_flags import BehaviorFlagRendered

# the JSON schemas of the files that it reads, each kept by its class: half a second of processor time
for _each in (ProjectFlags, ProfileConfig, DuckDBCredentials, Project, PackageConfig, SelectorFile, Configuration):
    _each.json_schema()

# which module makes its flags: to find that out it looks up the file of every imported module, three thousand of them
# and those that are loaded when they are first used
BehaviorFlagRendered._default_source = staticmethod(lambda: "dbt.adapters.base.impl")  # type: ignore[method-assign]
