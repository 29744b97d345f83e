"""The last import of the server in `warm`: what its forks find done, and what they leave alone.

Belongs here: what dbt works out of its own classes, once in a process, and the collector's leave. Else the first
collection in a fork would copy every page that it shares.
"""

import gc
import inspect

from dbt.adapters.duckdb.credentials import DuckDBCredentials
from dbt.contracts.project import Configuration, PackageConfig, ProfileConfig, Project, ProjectFlags
from dbt.contracts.selection import SelectorFile

for _validated in (Configuration, DuckDBCredentials, PackageConfig, ProfileConfig, Project, ProjectFlags, SelectorFile):
    _validated.json_schema()
inspect.stack()  # which looks for the file of each module, and remembers them
gc.collect()
gc.freeze()
