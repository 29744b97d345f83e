"""A column's type is one value, and every engine's name for it follows."""

import duckdb
import pyarrow as pa
import pytest
from deltalake import Schema

from lake.column_types import ListOf, MapOf, Plain, StructOf, column_type
from lake.tables.every import FIXED_TABLES


@pytest.mark.parametrize(
    ("spark", "value"),
    [
        ("timestamp", Plain("timestamp")),
        ("array<array<double>>", ListOf(ListOf(Plain("double")))),
        ("map<string,struct<a:int,b:map<string,date>>>",
         MapOf(StructOf((("a", Plain("int")), ("b", MapOf(Plain("date"))))))),
        ("array<struct<key:string,value:binary>>",
         ListOf(StructOf((("key", Plain("string")), ("value", Plain("binary")))))),
    ],
)  # fmt: skip
def test_spark_words_are_read_and_written_the_same(spark: str, value: object) -> None:
    """A type that is read from Spark's words says the same words."""
    assert column_type(spark) == value
    assert column_type(spark).spark == spark


def test_engines_agree_on_every_declared_type() -> None:
    """DuckDB gives each declared column back as Arrow has it, and Delta has a type for it."""
    declared = {column.type for table in FIXED_TABLES for column in table.columns} | {"array<double>", "struct<a:int>"}
    with duckdb.connect() as connection:
        connection.execute("SET TimeZone = 'UTC'")
        for each in declared:
            type_ = column_type(each)
            [field] = connection.sql(f"SELECT NULL::{type_.duckdb} AS it").to_arrow_table().schema
            assert field.type == type_.arrow, each
            Schema.from_arrow(pa.schema([("it", type_.arrow)]))


@pytest.mark.parametrize("spark", ["float", "map<int,int>", "array<what>", ""])
def test_what_no_column_has_is_refused(spark: str) -> None:
    """A type that some engine lacks is named."""
    with pytest.raises(ValueError, match="No column has the type"):
        column_type(spark)
