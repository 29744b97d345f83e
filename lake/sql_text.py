"""SQL text: values as SQL spells them, for DuckDB and delta-rs where a parameter cannot stand.

Belongs here: quoting. Which SQL is asked stands where it is asked; Spark spells texts otherwise.
"""


def quoted(text: str) -> str:
    """A text as a literal."""
    return "'" + text.replace("'", "''") + "'"


def quoted_name(name: str) -> str:
    """A name as an SQL identifier."""
    return '"' + name.replace('"', '""') + '"'
