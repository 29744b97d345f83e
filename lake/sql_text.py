"""SQL text: values as SQL spells them, for DuckDB and delta-rs where a parameter cannot stand, and what a text is.

Belongs here: quoting, and telling an expression, a query and
what stands behind FROM from each other. Which SQL is asked stands where it is asked;
Spark spells texts otherwise.
"""

from collections.abc import Iterable
from typing import NewType

Expression = NewType("Expression", str)
"""What has a value in each row: a column, a literal, a condition, a figure of several rows."""
Query = NewType("Query", str)
"""A whole SELECT, with its WITH."""
Relation = NewType("Relation", str)
"""What may stand behind FROM: a name, a function of tables, or a query in brackets."""


def relation(query: Query) -> Relation:
    """A query where a table may stand."""
    return Relation(f"({query})")


def quoted(text: str) -> str:
    """A text as a literal."""
    return "'" + text.replace("'", "''") + "'"


def quoted_name(name: str) -> str:
    """A name as an SQL identifier."""
    return '"' + name.replace('"', '""') + '"'


def quoted_names(names: Iterable[str]) -> str:
    """Names as a list of columns."""
    return ", ".join(map(quoted_name, names))
