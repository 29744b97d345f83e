"""Comparing a table as it is pinned with one that was built anew, row by row.

Belongs here: two sources of rows in SQL, and what a comparison finds. What is built anew is decided in
`pipeline.proof.verification`.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import duckdb

from lake.sql_text import quoted_names

SHOWN = 5
"""As many differing rows of a table are given back."""


@dataclass(frozen=True)
class Comparison:
    """A table as it is pinned against the rebuilt one.

    `differing` counts the rows that only one of them has; `examples` are the first such rows, `side` saying which.
    `problem` says why it could not be compared. `left_out` slices are held or final: their rows are of earlier
    publications, or bronze no longer has what they were made of.
    """

    table: str
    rows: int = 0
    differing: int = 0
    examples: tuple[Mapping[str, object], ...] = ()
    problem: str | None = None
    left_out: tuple[str, ...] = ()

    @property
    def is_same(self) -> bool:
        """True when every row that was compared is the same."""
        return not self.differing and self.problem is None


def compare(connection: duckdb.DuckDBPyConnection, table: str, pinned: str | None, rebuilt: str,
            where: str = "true") -> Comparison:  # fmt: skip
    """Both ways, each row as often as it is there, over the columns that both have."""
    if pinned is None:
        extra = connection.sql(f"SELECT count(*) FROM {rebuilt}").fetchall()[0][0]
        return Comparison(table, 0, extra, problem=f"the publication pins no {table}" if extra else None)
    try:
        there = connection.sql(f"FROM {rebuilt}").columns
        columns = quoted_names(name for name in connection.sql(f"FROM {pinned}").columns if name in there)
        left, right = (f"SELECT {columns} FROM {each} WHERE {where}" for each in (pinned, rebuilt))
        rows = connection.sql(f"SELECT count(*) FROM ({left})").fetchall()[0][0]
        connection.execute(
            f"CREATE OR REPLACE TEMP TABLE differing AS SELECT 'published' AS side, * FROM ({left} EXCEPT ALL {right}) "
            f"UNION ALL SELECT 'rebuilt' AS side, * FROM ({right} EXCEPT ALL {left})"
        )
        differing = connection.sql("SELECT count(*) FROM differing").fetchall()[0][0]
        found = connection.execute(f"SELECT * FROM differing ORDER BY ALL LIMIT {SHOWN}")
        names = [column[0] for column in found.description or ()]
        examples = tuple(dict(zip(names, row, strict=True)) for row in found.fetchall())
        return Comparison(table, rows, differing, examples)
    except duckdb.Error as error:
        return Comparison(table, problem=" ".join(str(error).split("\n\n")[0].split()))
