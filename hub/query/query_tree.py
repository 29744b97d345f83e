"""The tree of a query, over twins or over the twin graph.

Belongs here: the values that a query is made of. Reading text belongs in `hub.query.query_language`.
"""

from dataclasses import dataclass, field

Value = str | int | float | bool | None


@dataclass(frozen=True)
class Literal:
    """A value that stands in the text."""

    value: Value


@dataclass(frozen=True)
class Path:
    """A name, or names below one another."""

    parts: tuple[str, ...]


@dataclass(frozen=True)
class Function:
    """A function in lower case and what it is given."""

    name: str
    arguments: "tuple[Node, ...]"


@dataclass(frozen=True)
class Comparison:
    """`operator` is = != < <= > >=."""

    operator: str
    left: "Node"
    right: "Node"


@dataclass(frozen=True)
class Logic:
    """`operator` is and, or, not."""

    operator: str
    items: "tuple[Node, ...]"


Node = Literal | Path | Function | Comparison | Logic
AGGREGATES = frozenset({"count", "avg", "sum", "min", "max"})


@dataclass(frozen=True)
class Column:
    """Something that is asked for; `name` is its name in the answer."""

    node: Node
    name: str


@dataclass(frozen=True)
class Join:
    """A step from twin `source` over a relationship of one of `names` (any, when empty) to twin `target`."""

    source: str
    target: str
    names: tuple[str, ...]
    relationship: str | None


@dataclass(frozen=True)
class Query:
    """A query; no `columns` means everything."""

    source: tuple[str, ...]
    alias: str | None
    columns: tuple[Column, ...] = ()
    top: int | None = None
    joins: tuple[Join, ...] = ()
    where: Node | None = None
    group_by: tuple[Path, ...] = field(default=())

    @property
    def is_aggregate(self) -> bool:
        """True when rows are counted or summed up instead of listed."""
        return bool(self.group_by) or any(
            isinstance(each.node, Function) and each.node.name in AGGREGATES for each in self.columns
        )
