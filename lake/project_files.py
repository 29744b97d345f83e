"""Project files: where what the project brings beside its modules lies, in a checkout and installed.

Belongs here: the folders. A wheel cannot hold `dbt/` under that name, which is dbt's own package; there it is
`lake/dbt_project/`.
"""

from pathlib import Path

PROJECT_FOLDER = Path(__file__).resolve().parent.parent
"""The folder that holds the rooms: a checkout, or where packages are installed."""

_PACKAGED = Path(__file__).resolve().parent / "dbt_project"
DBT_FOLDER = _PACKAGED if _PACKAGED.is_dir() else PROJECT_FOLDER / "dbt"
"""The dbt project."""
