"""Snapshots: published gold as one publication pins it, open for questions.

Belongs here: opening a publication once for many questions, and moving on when there is a new one. An answer comes from
one snapshot, so no answer mixes two publications. Only gold that was published can be asked.
"""

import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Sequence
from typing import Any

import duckdb
import pyarrow as pa

from lake.reading.day_files import DayFiles
from lake.reading.silent_hours import completeness_source
from lake.records import publications
from lake.records.publications import Publication
from lake.sql_text import quoted
from lake.storage.duckdb_connection import connect
from lake.storage.locations import table_uri
from lake.tables.gold import DEVICE_COMPLETENESS, DEVICE_LATEST, DEVICES
from runtime.errors import UsageError
from runtime.settings import Settings
from serving.problems import Problem

_IN_MEMORY = {DEVICE_LATEST.name, DEVICES.name}
"""Small, and asked most: read into memory once a publication."""
_LOOK_S = 0.5
_PAST_KEPT = 4


class Snapshot:
    """One publication, read only. It may be used by many threads."""

    def __init__(self, settings: Settings, publication: Publication) -> None:
        self.settings, self.publication = settings, publication
        self.day_files = DayFiles(settings, publication.tables)
        self._connection = connect(settings)
        self._connection.execute("CREATE SCHEMA gold")
        for name, version in publication.tables.items():
            catalog = f'"{name} at {version}"'
            uri = quoted(table_uri(settings, name))
            self._connection.execute(f"ATTACH {uri} AS {catalog} (TYPE delta, VERSION {version}, HIDDEN)")
            kind = "TABLE" if name in _IN_MEMORY else "VIEW"
            if name != DEVICE_COMPLETENESS.name:
                self._connection.execute(f"CREATE {kind} {name} AS FROM {catalog}")
        if DEVICE_COMPLETENESS.name in publication.tables:
            source = completeness_source(
                settings, publication.tables, lambda name: f'"{name} at {publication.tables[name]}"'
            )
            self._connection.execute(f"CREATE VIEW {DEVICE_COMPLETENESS.name} AS FROM {source}")
        # where what does not fit in memory goes must lie inside what may be written, and nothing may
        self._connection.execute(f"SET allowed_directories = [{quoted(settings.lake_uri + '/')}]")
        self._connection.execute("SET enable_external_access = false; SET lock_configuration = true")

    def ask(self, sql: str, parameters: Sequence[Any] = ()) -> pa.Table:
        """The rows that a question of ours has; what a caller sent stands in `parameters` only."""
        return self._connection.cursor().execute(sql, list(parameters)).to_arrow_table()

    def close(self) -> None:
        """Let go of the files."""
        self._connection.close()


class Snapshots:
    """The newest publication, looked for as time goes on, and some earlier ones."""

    def __init__(self, settings: Settings, clock_s: Callable[[], float] = time.monotonic) -> None:
        self._settings, self._clock_s = settings, clock_s
        self._lock = threading.Lock()
        self._looked_s = float("-inf")
        self._newest: Snapshot | None = None
        self._past: OrderedDict[int, Snapshot] = OrderedDict()

    def newest(self) -> Snapshot:
        """The newest publication. Raises Problem while there is none."""
        with self._lock:
            if self._clock_s() - self._looked_s > _LOOK_S:
                self._looked_s = self._clock_s()
                found = publications.newest(self._settings)
                known = None if self._newest is None else self._newest.publication.publication_id
                if found is not None and found.publication_id != known:
                    # the one before is closed by whoever asks it last
                    self._newest = Snapshot(self._settings, found)
            if self._newest is None:
                raise Problem(503, "Nothing published", "There is no publication yet: `lakehouse refresh` makes one.",
                              {"Retry-After": "30"})  # fmt: skip
            return self._newest

    def known(self) -> Snapshot | None:
        """The newest publication where it need not be looked for now; None where finding it takes time."""
        return self._newest if self._clock_s() - self._looked_s <= _LOOK_S else None

    def of(self, publication_id: int | None) -> Snapshot:
        """A publication, None being the newest. Raises Problem for one that cannot be read."""
        newest = self.newest()
        if publication_id is None or publication_id == newest.publication.publication_id:
            return newest
        with self._lock:
            if publication_id not in self._past:
                try:
                    publication = publications.get(self._settings, publication_id)
                except UsageError as error:
                    raise Problem(404, "No such publication", str(error)) from error
                try:
                    self._past[publication_id] = Snapshot(self._settings, publication)
                except duckdb.Error as error:
                    detail = f"The files of publication {publication_id} are no longer there."
                    raise Problem(410, "Publication gone", detail) from error
                while len(self._past) > _PAST_KEPT:
                    self._past.popitem(last=False)
            self._past.move_to_end(publication_id)
            return self._past[publication_id]
