"""What dbt makes of its own classes before it checks a file by them: made here once, by importing this.

Belongs here: the JSON schemas of the files that dbt reads at each start. They depend on dbt alone and take half a
second of processor time, so a process that forks dbts has them before it forks.
"""

from dbt.adapters.duckdb.credentials import DuckDBCredentials
from dbt.contracts.project import Configuration, PackageConfig, ProfileConfig, Project, ProjectFlags
from dbt.contracts.selection import SelectorFile

for _each in (ProjectFlags, ProfileConfig, DuckDBCredentials, Project, PackageConfig, SelectorFile, Configuration):
    _each.json_schema()  # which keeps it
