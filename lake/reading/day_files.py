"""Day files: the data files of published tables by their day, for a question about a device's day or two.

Belongs here: which files those are, of a version that is pinned, and SQL that reads them. Its log is read once and not
in each question, whose cost then follows its days and not those of the table.
"""

import re
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import date

from lake.sql_text import Query, Relation, relation
from lake.storage.delta import open_table
from lake.storage.locations import table_uri
from lake.storage.skipping import DataFile, address, rows_of_files
from runtime.errors import LakehouseError
from runtime.settings import Settings

_DAY = "event_date"
_EPOCH = date(1970, 1, 1)
# of more it is the scan of a table that skips files, and reads many at once
_MOST_DAYS, _MOST_FILES = 3, 50
_PATTERN = re.compile(r"[*?\[{]")


@dataclass(frozen=True)
class DayFiles:
    """Files of the tables that a publication pins, name to version. It may be used by many threads."""

    settings: Settings
    versions: Mapping[str, int]
    _known: dict[str, dict[int, list[DataFile]]] = field(default_factory=dict)

    def relation(self, name: str, days: range) -> Relation | None:
        """SQL for the rows of a table on some days, counted from 1970-01-01; None where the table itself is to be
        asked. A column that came later than all of those files is not there: DuckDB then cannot bind it."""
        if not 0 < len(days) <= _MOST_DAYS:
            return None
        if name not in self._known:
            self._known[name] = self._listed(name)
        found = {day: files for day in days if (files := self._known[name].get(day))}
        if not 0 < sum(map(len, found.values())) <= _MOST_FILES:
            return None
        parts = [
            f"SELECT *, DATE '{_EPOCH}' + {day} AS {_DAY} FROM {rows_of_files(files)}" for day, files in found.items()
        ]
        return relation(Query(" UNION ALL BY NAME ".join(parts)))

    def _listed(self, name: str) -> dict[int, list[DataFile]]:
        """The files by day; none of a table that is not plain files of rows by day, or that cannot be opened: what is
        wrong with it the question to it tells."""
        uri, opened = table_uri(self.settings, name), None
        if self.settings.is_s3 or _PATTERN.search(uri):  # on S3 this way was not measured
            return {}
        with suppress(LakehouseError):
            opened = open_table(self.settings, name, self.versions[name])
        if opened is None or opened.protocol().min_reader_version != 1:
            return {}
        if opened.metadata().partition_columns != [_DAY]:
            return {}
        added = opened.get_add_actions(flatten=True)
        listed: dict[int, list[DataFile]] = {}
        if added.num_rows:
            for path, day in zip(added["path"].to_pylist(), added[f"partition.{_DAY}"].to_pylist(), strict=True):
                listed.setdefault((day - _EPOCH).days, []).append(DataFile(address(uri, path), 0))
        return listed
