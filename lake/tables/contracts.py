"""Contracts: what a declaration of a table says.

Belongs here: `Table`, `Column`, and the columns that tables of several layers share. The tables are in the modules
beside it.
"""

from dataclasses import dataclass, field
from datetime import timedelta
from typing import Literal

Writer = Literal["spark", "delta-rs"]


@dataclass(frozen=True)
class Column:
    """One column; `type` is a Spark SQL type such as `string`, `timestamp`, `map<string,string>`."""

    name: str
    type: str
    description: str
    nullable: bool = True


@dataclass(frozen=True)
class Period:
    """The time that a row is about: from the value of `column` on, for `length`."""

    column: str
    length: timedelta


@dataclass(frozen=True)
class AddsUp:
    """What a gold table's slices must agree with: readings, minimum and maximum by the columns `by`.

    `finer` is the gold table whose rows they sum up: one of the same slices or, for a table of days,
    the table of hours that it names. Without, it is silver, whose readings are counted. `sums` are more columns whose
    sums agree. `name` and `message` are those of the check (see `pipeline.gate.suites`).
    """

    name: str
    message: str
    by: tuple[str, ...]
    finer: str | None = None
    sums: tuple[str, ...] = ()


@dataclass(frozen=True)
class Table:
    """One table. `key` columns are unique together; `grain` completes "one row per …".

    Of gold, `sliced_by` says what is built, judged and published at a time, None being the whole table. `kind` is that
    of the telemetry that alone it is about (see `lake.models.kinds`), None for all.
    """

    name: str
    grain: str
    columns: tuple[Column, ...]
    key: tuple[str, ...]
    writer: Writer
    partition_by: tuple[str, ...] = ()
    # columns that readers filter on: only these get file statistics (the cost of a wide raw value is not worth it)
    statistics: tuple[str, ...] = field(default=())
    sliced_by: Literal["hour", "day"] | None = None
    period: Period | None = None
    adds_up: tuple[AddsUp, ...] = ()
    kind: Literal["gauge", "counter", "state"] | None = None

    @property
    def layer(self) -> str:
        """`bronze`, `silver`, `gold` or `ops`."""
        return self.name.split(".")[0]

    @property
    def short_name(self) -> str:
        """The name without its layer."""
        return self.name.split(".")[1]

    @property
    def column_names(self) -> tuple[str, ...]:
        """Names in their declared order."""
        return tuple(column.name for column in self.columns)

    def ddl(self) -> str:
        """The columns as a Spark DDL string."""
        return ", ".join(f"`{c.name}` {c.type}{'' if c.nullable else ' NOT NULL'}" for c in self.columns)


def required(*columns: tuple[str, str, str]) -> tuple[Column, ...]:
    """Columns of (name, type, description) that are never null."""
    return tuple(Column(name, type_, text, nullable=False) for name, type_, text in columns)


def optional(*columns: tuple[str, str, str]) -> tuple[Column, ...]:
    """Columns of (name, type, description) that may be null."""
    return tuple(Column(name, type_, text) for name, type_, text in columns)


OFFSET = required(
    ("topic", "string", "Kafka topic that the record came from; of a message in a pack with its number: telemetry#2"),
    ("partition", "int", "Kafka partition"),
    ("offset", "bigint", "Kafka offset within the partition"),
    ("ingest_id", "bigint", "The bronze commit that brought the record: the sum of the end offsets of its partitions"),
)
RECEIVED = required(
    (
        "received_at",
        "timestamp",
        "The broker's clock when the record arrived; the clock of who read it where the topic has no LogAppendTime",
    )
)
