"""Column types as values: what a column holds, and how each engine calls it.

Belongs here: the types that columns may have, and their names in Spark, DuckDB, Arrow, which Delta's own follow, and
PostgreSQL.
Which column has which type is declared in `lake.tables` and by the device models; Spark's words are read here.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

from lake.sql_text import quoted_name

if TYPE_CHECKING:
    import pyarrow as pa

# as Spark, DuckDB, Arrow and PostgreSQL call them
_NAMES = {
    "string": ("VARCHAR", "string", "text"),
    "boolean": ("BOOLEAN", "bool", "boolean"),
    "int": ("INTEGER", "int32", "integer"),
    "bigint": ("BIGINT", "int64", "bigint"),
    "double": ("DOUBLE", "float64", "double precision"),
    "date": ("DATE", "date32", "date"),
    "timestamp": ("TIMESTAMP WITH TIME ZONE", "timestamp", "timestamptz"),
    "binary": ("BLOB", "binary", "bytea"),
}


@dataclass(frozen=True, slots=True)
class Plain:
    """One value, by Spark's name for its kind."""

    spark: str

    @property
    def duckdb(self) -> str:
        """As DuckDB calls it."""
        return _NAMES[self.spark][0]

    @property
    def arrow(self) -> pa.DataType:
        """As Arrow has it: moments in microseconds of UTC."""
        import pyarrow as pa  # takes longer than a short command without it

        name = _NAMES[self.spark][1]
        return pa.timestamp("us", tz="UTC") if name == "timestamp" else pa.type_for_alias(name)


@dataclass(frozen=True, slots=True)
class ListOf:
    """Values of one type, in order."""

    element: ColumnType

    @property
    def spark(self) -> str:
        """As Spark calls it."""
        return f"array<{self.element.spark}>"

    @property
    def duckdb(self) -> str:
        """As DuckDB calls it."""
        return f"{self.element.duckdb}[]"

    @property
    def arrow(self) -> pa.DataType:
        """As Arrow has it."""
        import pyarrow as pa

        return pa.list_(self.element.arrow)


@dataclass(frozen=True, slots=True)
class MapOf:
    """Values of one type by text."""

    value: ColumnType

    @property
    def spark(self) -> str:
        """As Spark calls it."""
        return f"map<string,{self.value.spark}>"

    @property
    def duckdb(self) -> str:
        """As DuckDB calls it."""
        return f"MAP(VARCHAR, {self.value.duckdb})"

    @property
    def arrow(self) -> pa.DataType:
        """As Arrow has it."""
        import pyarrow as pa

        return pa.map_(pa.string(), self.value.arrow)


@dataclass(frozen=True, slots=True)
class StructOf:
    """Named values, each of a type of its own."""

    fields: tuple[tuple[str, ColumnType], ...]

    @property
    def spark(self) -> str:
        """As Spark calls it."""
        return f"struct<{','.join(f'{name}:{type_.spark}' for name, type_ in self.fields)}>"

    @property
    def duckdb(self) -> str:
        """As DuckDB calls it."""
        return f"STRUCT({', '.join(f'{quoted_name(name)} {type_.duckdb}' for name, type_ in self.fields)})"

    @property
    def arrow(self) -> pa.DataType:
        """As Arrow has it."""
        import pyarrow as pa

        return pa.struct([(name, type_.arrow) for name, type_ in self.fields])


ColumnType = Plain | ListOf | MapOf | StructOf


@lru_cache(maxsize=1024)
def column_type(spark_type: str) -> ColumnType:
    """The type that Spark calls so, as `map<string,array<double>>`. Raises ValueError for what no column has."""
    if spark_type in _NAMES:
        return Plain(spark_type)
    outer, _, inner = spark_type.removesuffix(">").partition("<")
    if outer == "array":
        return ListOf(column_type(inner))
    if outer == "map" and inner.startswith("string,"):
        return MapOf(column_type(inner.removeprefix("string,")))
    if outer == "struct":
        return StructOf(tuple((name, column_type(type_)) for name, type_ in _fields_of(inner)))
    raise ValueError(f"No column has the type {spark_type!r}.")


def duckdb_type(spark_type: str) -> str:
    """`array<double>` -> `DOUBLE[]`, `map<string,int>` -> `MAP(VARCHAR, INTEGER)`, and so on, as deep as it goes."""
    return column_type(spark_type).duckdb


def postgres_type(spark_type: str) -> str:
    """`double` -> `double precision`, of a column that holds one value. Raises ValueError for any other."""
    if spark_type not in _NAMES:
        raise ValueError(f"A column of PostgreSQL holds no {spark_type!r}.")
    return _NAMES[spark_type][2]


def _fields_of(inner: str) -> list[tuple[str, str]]:
    """The names and types in `a:int,b:map<string,int>`, the inside of a struct."""
    parts, depth, start = [], 0, 0
    for place, sign in enumerate(f"{inner},"):
        depth += (sign == "<") - (sign == ">")
        if sign == "," and depth == 0:
            name, type_ = inner[start:place].split(":", 1)
            parts.append((name, type_))
            start = place + 1
    return parts
