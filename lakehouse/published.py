"""Published gold in Python: a publication's tables and series as Arrow, Polars, pandas or DuckDB relations.

Belongs here: the objects that `lakehouse.open` leads to. Which versions a publication pins, and what a series means, is
decided in `lake`.
"""

import difflib
import os
import re
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import duckdb
import pyarrow as pa

from lake.reading.even_series import even_series
from lake.reading.local_day_series import LOCAL_DAY, series_by_local_days
from lake.reading.series_fills import FILLS
from lake.reading.series_macros import SCALAR_MACROS, VALUES
from lake.reading.series_rows import KIND_FIGURES, WantedSeries
from lake.reading.silent_hours import completeness_source
from lake.reading.site_periods import SITE_PERIODS
from lake.records import publications
from lake.records.publications import Publication
from lake.sql_text import quoted, quoted_name
from lake.storage.duckdb_connection import connect
from lake.storage.locations import explain_store, table_uri
from lake.tables.contracts import Table
from lake.tables.gold import DEVICE_COMPLETENESS, DEVICE_LATEST, GOLD_TABLES
from lake.tables.gold_kinds import STATE_DAYS, STATE_HOURS
from lakehouse.gold_rows import Moment, Rows, moment
from runtime.errors import PlatformError, UsageError
from runtime.settings import Settings, load_settings

Fill = Literal["gap", "previous", "linear"]
Value = Literal["mean", "min", "max", "last", "first", "increase", "time_weighted_mean"]

_FIGURES = (*VALUES, *KIND_FIGURES)
_TABLES = {table.name: table for table in GOLD_TABLES}
_VIEWS = {each.name: each for each in SITE_PERIODS}
_EVERY = re.compile(r"([1-9]\d*)\s*(m|min|h|d)")
_MINUTES = {"m": 1, "min": 1, "h": 60, "d": 1440}


def open_lake(where: str | os.PathLike[str] | None) -> "OpenLake":
    """What `lakehouse.open` does."""
    settings = load_settings()
    if where is None:
        return OpenLake(settings)
    place = os.fspath(where)
    if "://" in place:
        if not place.startswith("s3://"):
            raise UsageError(f"{place!r} is no lake: give a folder or s3://bucket/prefix.")
        return OpenLake(replace(settings, lake_uri=place.rstrip("/")))
    folder = Path(place).expanduser().resolve()
    for lake in (folder / "lake", folder):
        if (lake / "ops" / "publications" / "_delta_log").is_dir():
            return OpenLake(replace(settings, home=folder, lake_uri=str(lake)))
    raise UsageError(f"{folder} holds no lake with a publication: give a home of lakehouse, or its lake's folder.")


@dataclass(frozen=True)
class OpenLake:
    """A lake that is read. Its publications share a DuckDB and the tables that they have in common; of files it holds
    none open."""

    settings: Settings

    @cached_property
    def database(self) -> duckdb.DuckDBPyConnection:
        """The DuckDB in memory that tables are attached to, each version once."""
        database = connect(self.settings)
        database.execute(f"SET temp_directory = {quoted(str(Path(tempfile.gettempdir()) / 'lakehouse-sql'))}")
        for statement in SCALAR_MACROS.values():
            database.execute(statement)
        return database

    def publication(self, number: int | None = None) -> "PublishedGold":
        """Gold as a publication shows it, by default the newest, whatever is published afterwards.

        Raises UsageError when there is none, or none with that number any more.
        """
        if number is not None:
            return PublishedGold(self, publications.get(self.settings, number))
        newest = publications.newest(self.settings)
        if newest is None:
            where = self.settings.lake_uri
            raise UsageError(f"{where} has no publication yet: `lakehouse refresh` makes one when readings have come.")
        return PublishedGold(self, newest)

    def publications(self) -> list[tuple[int, datetime]]:
        """Number and time of every publication that can be read, oldest first."""
        return [(each.publication_id, each.published_at) for each in publications.list_all(self.settings)]


class PublishedGold:
    """The gold tables at the versions that one publication pins. It may be used by one thread at a time."""

    def __init__(self, lake: OpenLake, publication: Publication) -> None:
        self._lake, self._settings, self._publication = lake, lake.settings, publication
        self._sources: dict[str, str] = {}

    @property
    def number(self) -> int:
        """The publication's number, for `lakehouse sql --as-of`, `trace` and `verify`."""
        return self._publication.publication_id

    @property
    def published_at(self) -> datetime:
        """When it was published, in UTC."""
        return self._publication.published_at

    @property
    def held(self) -> list[str]:
        """The hours that are held back: gold has of them what was published before, if anything."""
        return sorted({str(each["slice"]) for each in self._publication.held})

    @property
    def tables(self) -> tuple[str, ...]:
        """The tables that it pins."""
        return tuple(sorted(self._publication.tables))

    @property
    def versions(self) -> dict[str, int]:
        """The Delta version of each table, for readers that are not ours."""
        return dict(self._publication.tables)

    def uri(self, name: str) -> str:
        """Where a table lies, for readers that are not ours: only at its version is it what was published."""
        return table_uri(self._settings, name)

    @cached_property
    def connection(self) -> duckdb.DuckDBPyConnection:
        """The DuckDB connection that its relations belong to."""
        return self._lake.database.cursor()

    def table(self, name: str) -> "Rows":
        """All rows of a gold table, such as `gold.device_hours`, or of `gold.site_weeks` and `gold.site_months`, which
        add up its days. Nothing is read before they are asked for.

        Raises UsageError for a table that the publication does not have.
        """
        full = name if "." in name else f"gold.{name}"
        if full in _VIEWS:
            return Rows(self.connection.sql(_VIEWS[full].select(self._readable)))
        return Rows(self.connection.sql(f"FROM {self._readable(full)}"))

    def series(
        self,
        device_id: str,
        metric: str,
        start: Moment,
        end: Moment,
        *,
        every: str = "1h",
        fill: Fill = "gap",
        value: Value = "mean",
        unit: str | None = None,
    ) -> "Rows":
        """A device's metric at even intervals from `start` up to `end`.

        Columns: `period_at`, `value`, `unit`, `reading_count`, `is_filled`. `every` is a number of minutes, hours or
        days (`5m`, `1h`, `7d`), counted from 1970-01-01 in UTC, or `local_day`: the days of the zone of the device's
        site, with the columns `day_date`, `zone`, `hours_in_day`. A span is widened to whole intervals. `fill` says
        what stands where nothing was measured: nothing (`gap`), the last value before (`previous`) or a line between
        the values around (`linear`), within the span. It is computed of `gold.device_minutes`, `device_hours` or
        `device_days`; `increase` of counters, `time_weighted_mean` of gauges and `first` of both of the tables by kind.
        Raises UsageError for a device or metric that was never measured or has no such figure and for what cannot be
        understood, QueryError for a metric in two units when `unit` names none.
        """
        if fill not in FILLS or value not in _FIGURES:
            raise UsageError(f"fill is one of {', '.join(FILLS)} and value one of {', '.join(_FIGURES)}.")
        length = None if every == LOCAL_DAY else _length(every)
        wanted = WantedSeries(device_id, metric, moment(start), moment(end), value, fill, unit)
        if value in KIND_FIGURES:
            self._check_known(device_id, metric)
        if length is None:
            found = series_by_local_days(self._ask, self._source, self._publication.tables, wanted)
        else:
            found = even_series(self._ask, self._source, self._publication.tables, wanted, length)
        if found.num_rows and found["unit"].null_count == found.num_rows:
            self._check_known(device_id, metric)
        return Rows(self.connection.from_arrow(found))

    def _ask(self, sql: str, parameters: Sequence[Any]) -> pa.Table:
        return self.connection.execute(sql, list(parameters)).to_arrow_table()

    def _readable(self, name: str) -> str:
        if name == DEVICE_COMPLETENESS.name and name in self._publication.tables:
            return completeness_source(self._settings, self._publication.tables, self._source)
        return self._source(name)

    def _source(self, name: str, _days: range | None = None, /) -> str:
        if name not in self._publication.tables:
            near = difflib.get_close_matches(name, [*self.tables, *_VIEWS], n=1)
            hint = f" Did you mean {near[0]}?" if near else f" It has {', '.join(self.tables)}."
            raise UsageError(f"Publication {self.number} has no table {name}.{hint}")
        if name not in self._sources:
            uri, version = table_uri(self._settings, name), self._publication.tables[name]
            catalog = quoted_name(f"{name}@{version}")
            # its log is read once, and the version that was published is what every question sees
            try:
                self.connection.execute(
                    f"ATTACH IF NOT EXISTS {quoted(uri)} AS {catalog} (TYPE delta, VERSION {version}, HIDDEN)"
                )
                self.connection.sql(f"FROM {catalog}")  # only now its log is read
            except duckdb.Error as error:
                raise PlatformError(explain_store(self._settings, uri, str(error))) from error
            self._sources[name] = catalog
        return self._sources[name]

    def _check_known(self, device_id: str, metric: str) -> None:
        metrics = self._metrics(DEVICE_LATEST, device_id)
        if metric in metrics:
            return
        states = self._metrics(STATE_DAYS, device_id) if STATE_DAYS.name in self._publication.tables else []
        if metric in states:
            raise UsageError(
                f"{metric} of {device_id} is a state, which has no series: gold.table('{STATE_HOURS.name}') and "
                f"'{STATE_DAYS.name}' say how long it was in each."
            )
        what = f"only {', '.join(sorted({*metrics, *states}))}" if metrics or states else "nothing"
        raise UsageError(f"{metric} of {device_id} was never measured; of that device there is {what}.")

    def _metrics(self, table: Table, device_id: str) -> list[str]:
        found = self.table(table.name).where(device_id=device_id).select("metric_name").to_duckdb().distinct()
        return [name for (name,) in found.fetchall()]


def _length(every: str) -> timedelta:
    match = _EVERY.fullmatch(every)
    if match is None:
        raise UsageError(
            f"every is {every!r}: give whole minutes, hours or days, such as 5m, 1h or 7d, or {LOCAL_DAY}."
        )
    return timedelta(minutes=int(match.group(1)) * _MINUTES[match.group(2)])
