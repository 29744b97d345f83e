"""Types: our Spark SQL type names as DuckDB spells them.

Belongs here: the translation. Which column has which type is declared in `lake.tables` and by the device models.
"""

from lake.sql_text import quoted_name

_PLAIN = {
    "string": "VARCHAR",
    "boolean": "BOOLEAN",
    "int": "INTEGER",
    "bigint": "BIGINT",
    "double": "DOUBLE",
    "date": "DATE",
    "timestamp": "TIMESTAMP WITH TIME ZONE",
    "binary": "BLOB",
}


def duckdb_type(spark_type: str) -> str:
    """`array<double>` -> `DOUBLE[]`, `map<string,int>` -> `MAP(VARCHAR, INTEGER)`, and so on, as deep as it goes."""
    if spark_type in _PLAIN:
        return _PLAIN[spark_type]
    outer, inner = spark_type.removesuffix(">").split("<", 1)
    if outer == "array":
        return f"{duckdb_type(inner)}[]"
    if outer == "map":
        return f"MAP(VARCHAR, {duckdb_type(inner.removeprefix('string,'))})"
    return f"STRUCT({', '.join(f'{quoted_name(name)} {duckdb_type(type_)}' for name, type_ in fields_of(inner))})"


def fields_of(inner: str) -> list[tuple[str, str]]:
    """The names and types in `a:int,b:map<string,int>`, the inside of a struct."""
    parts, depth, start = [], 0, 0
    for place, sign in enumerate(f"{inner},"):
        depth += (sign == "<") - (sign == ">")
        if sign == "," and depth == 0:
            name, type_ = inner[start:place].split(":", 1)
            parts.append((name, type_))
            start = place + 1
    return parts
