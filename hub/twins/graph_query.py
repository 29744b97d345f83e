"""Queries over the twin graph.

Belongs here: what paths, aliases and joins mean there, and pages of answers. The language belongs in
`hub.query.query_language`.
"""

import json
from dataclasses import dataclass
from typing import Any

from sqlalchemy import text

from hub.hub_errors import HubCode, HubError
from hub.query.page_tokens import page_token, read_page_token
from hub.query.query_language import parse_query
from hub.query.query_sql import Operand, Sql
from hub.query.query_tree import AGGREGATES, Function, Literal, Path, Query
from hub.registry.database import Tx
from hub.twins.twin_graph import TWIN, library_of
from hub.twins.twin_query import look_up
from lake.models.dtdl import Library

Json = dict[str, Any]
PAGE = 100
_RELATIONSHIPS = ("relationships",)


@dataclass(frozen=True)
class _Name:
    """What an alias stands for: a table's own name in the SQL, of twins or of relationships."""

    table: str
    is_twin: bool


def run_graph_query(
    tx: Tx, tenant: str, query_text: str, after: str | None, size: int = PAGE
) -> tuple[list[Any], str | None]:
    """A page of the answer, and what asks for the next. Raises HubError for what cannot be read."""
    query = parse_query(query_text)
    names, tables, parts = _sources(query)
    library = library_of(tx, tenant)
    sql = Sql(tx.connection.dialect.name, lambda parts: _operand(names, parts), _custom(names, library))
    conditions = [each.format(*(sql.bind(name) for name in bound)) for each, bound in parts]
    if query.where is not None:
        conditions.append(sql.test(query.where))
    where = " AND ".join(f"({each})" for each in conditions)
    if query.is_aggregate:
        counted = [_aggregate(sql, column.node) for column in query.columns]
        statement = f"SELECT {', '.join(counted)} FROM {tables} WHERE {where}"
        row = tx.connection.execute(text(statement), {**sql.parameters, "tenant": tenant}).one()
        keys = [c.name if not c.name.isdigit() else "COUNT" for c in query.columns]
        return [dict(zip(keys, row, strict=True))], None
    key = [column for name in names.values() for column in _key(name)]
    seen, last = read_page_token(after, len(key))
    size = size if query.top is None else max(min(size, query.top - seen), 0)
    if last is not None:
        # by the last row that was told, not by a count: twins come and go between two pages
        where += f" AND ({', '.join(key)}) > ({', '.join(sql.bind(each) for each in last)})"
    columns = [f"{name.table}.body, {name.table}.etag" for name in names.values()]
    statement = (
        f"SELECT {', '.join(key + columns)} FROM {tables} WHERE {where} ORDER BY {', '.join(key)} LIMIT {size + 1}"
    )
    rows = tx.connection.execute(text(statement), {**sql.parameters, "tenant": tenant}).all()
    found = [_project(query, dict(zip(names, _documents(row[len(key) :]), strict=True))) for row in rows[:size]]
    is_more = len(rows) > size and (query.top is None or seen + size < query.top)
    return found, page_token(seen + size, rows[size - 1][: len(key)]) if is_more else None


def _sources(query: Query) -> tuple[dict[str, _Name], str, list[tuple[str, list[str]]]]:
    """Aliases, FROM clause, and conditions with the names that are bound into them."""
    if query.source == _RELATIONSHIPS:
        return {query.alias or "": _Name("r0", False)}, "relationships r0", [("r0.tenant = :tenant", [])]
    if query.source != ("digitaltwins",):
        raise HubError(HubCode.ArgumentInvalid, f"There is no collection {'.'.join(query.source)!r}.")
    names: dict[str, _Name] = {}
    conditions: list[tuple[str, list[str]]] = []

    def twin(alias: str) -> _Name:
        if alias not in names:
            names[alias] = _Name(f"t{len(names)}", True)
            conditions.append((f"{names[alias].table}.tenant = :tenant AND {names[alias].table}.kind = '{TWIN}'", []))
        return names[alias]

    if query.alias or not query.joins:
        twin(query.alias or "")
    for place, join in enumerate(query.joins):
        source, target = twin(join.source), twin(join.target)
        edge = _Name(f"r{place}", False)
        names[join.relationship or f"\0{place}"] = edge
        conditions.append(
            (f"{edge.table}.tenant = :tenant AND {edge.table}.source_id = {source.table}.document_id", [])
        )
        conditions.append((f"{edge.table}.target_id = {target.table}.document_id", []))
        if join.names:
            conditions.append((f"{edge.table}.name IN ({', '.join('{}' for _ in join.names)})", list(join.names)))
    tables = [f"{'documents' if name.is_twin else 'relationships'} {name.table}" for name in names.values()]
    return names, ", ".join(tables), conditions


def _operand(names: dict[str, _Name], parts: tuple[str, ...]) -> Operand:
    if parts[0] in names and len(parts) > 1:
        name, below = names[parts[0]], parts[1:]
    elif len([each for each in names if not each.startswith("\0")]) == 1:
        name, below = next(iter(names.values())), parts
    else:
        raise HubError(HubCode.ArgumentInvalid, f"{'.'.join(parts)!r} does not say of which twin.")
    if below == ("$dtId",) and name.is_twin:
        return Operand(f"{name.table}.document_id")
    columns = {"$sourceId": "source_id", "$targetId": "target_id", "$relationshipId": "relationship_id"}
    columns["$relationshipName"] = "name"
    if len(below) == 1 and not name.is_twin and below[0] in columns:
        return Operand(f"{name.table}.{columns[below[0]]}")
    return Operand(f"{name.table}.body", below)


def _custom(names: dict[str, _Name], library: Library) -> Any:
    def write(function: Function, sql: Sql) -> str | None:
        if function.name != "is_of_model":
            return None
        arguments = list(function.arguments)
        alias = next(iter(names))
        if arguments and isinstance(arguments[0], Path):
            alias = arguments.pop(0).parts[0]  # type: ignore[union-attr]
        is_exact = len(arguments) == 2
        wanted = arguments[0].value if arguments and isinstance(arguments[0], Literal) else None
        if alias not in names or not isinstance(wanted, str) or len(arguments) > 2:
            raise HubError(HubCode.ArgumentInvalid, "IS_OF_MODEL takes a twin, a model, and perhaps 'exact'.")
        models = [wanted] if is_exact else [each for each in library.declarations if wanted in library.lineage(each)]
        operand = Operand(f"{names[alias].table}.body", ("$metadata", "$model"))
        return f"{sql.text_of(operand)} IN ({', '.join(sql.bind(each) for each in models or [wanted])})"

    return write


def _aggregate(sql: Sql, node: Any) -> str:
    if not isinstance(node, Function) or node.name not in AGGREGATES:
        raise HubError(HubCode.ArgumentInvalid, "What is counted cannot be listed, too.")
    return "count(*)" if node.name == "count" else sql.aggregate(node)


def _key(name: _Name) -> list[str]:
    columns = ("document_id",) if name.is_twin else ("source_id", "relationship_id")
    return [f"{name.table}.{each}" for each in columns]


def _documents(row: Any) -> list[Json]:
    found = []
    for body, etag in zip(row[::2], row[1::2], strict=True):
        document = json.loads(body) if isinstance(body, str) else body
        found.append({**document, "$etag": f'W/"{etag}"'})
    return found


def _project(query: Query, documents: dict[str, Json]) -> Json:
    shown = {name: each for name, each in documents.items() if not name.startswith("\0")}
    if not query.columns:
        return next(iter(shown.values())) if len(shown) == 1 else shown
    made: Json = {}
    for column in query.columns:
        if not isinstance(column.node, Path):
            raise HubError(HubCode.ArgumentInvalid, "Only paths and aggregates can be selected.")
        head, *below = column.node.parts
        found = look_up(shown[head], tuple(below)) if head in shown else None
        if head not in shown and len(shown) == 1:
            found = look_up(next(iter(shown.values())), column.node.parts)
        if found is not None:
            made[column.name] = found
    return made
