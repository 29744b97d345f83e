"""Queries over the hub's collections: devices, modules, enrolments, jobs' devices.

Belongs here: what each path means there, and pages of answers. The language belongs in `hub.query.query_language`.
"""

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import text

from hub.hub_errors import HubCode, HubError
from hub.query.page_tokens import page_token, read_page_token
from hub.query.query_language import parse_query
from hub.query.query_sql import Operand, Sql
from hub.query.query_tree import AGGREGATES, Function, Literal, Node, Path, Query
from hub.registry.database import Tx
from hub.registry.enrolments import GROUP, INDIVIDUAL, enrolment_of
from hub.registry.identities import find
from hub.twins.identity_json import known, twin_json

Json = dict[str, Any]
DEFAULT_PAGE, LARGEST_PAGE = 100, 1000

_IDENTITY = {
    "deviceid": Operand("i.device_id"), "moduleid": Operand("i.module_id"), "status": Operand("i.status"),
    "statusreason": Operand("i.status_reason"), "etag": Operand("t.etag"), "deviceetag": Operand("i.etag"),
    "version": Operand("t.version", None, "number"), "authenticationtype": Operand("i.auth"),
    "modelid": Operand("i.model_id"), "generationid": Operand("i.generation_id"),
    "devicescope": Operand("i.device_scope"),
    "connectionstate": Operand("CASE WHEN c.is_connected THEN 'Connected' ELSE 'Disconnected' END"),
    "lastactivitytime": Operand("c.active_at", None, "moment"),
    "connectionstateupdatedtime": Operand("c.changed_at", None, "moment"),
    "statusupdatetime": Operand("i.status_updated_at", None, "moment"),
}  # fmt: skip
_JOB = {
    "deviceid": Operand("j.device_id"), "jobid": Operand("j.job_id"), "status": Operand("j.status"),
    "lastupdateddatetimeutc": Operand("j.updated_at", None, "moment"),
}  # fmt: skip
_TWINS = """identities i JOIN twins t ON t.device_id = i.device_id AND t.module_id = i.module_id
    LEFT JOIN connections c ON c.device_id = i.device_id AND c.module_id = i.module_id"""


@dataclass(frozen=True)
class Page:
    """Part of an answer; `kind` is twin or raw, `more` what asks for the next part."""

    items: list[Json]
    kind: str
    more: str | None


@dataclass(frozen=True)
class _Collection:
    """Where rows come from: FROM clause, a condition on `:tenant`, columns that order and name a row, its document."""

    tables: str
    condition: str
    key: tuple[str, ...]
    resolve: Callable[[tuple[str, ...]], Operand]
    document: Callable[[Tx, str, Mapping[str, Any]], Json]


def run_query(tx: Tx, tenant: str, text_: str, page_size: int = DEFAULT_PAGE, after: str | None = None) -> Page:
    """A page of a query's answer. Raises HubError for what cannot be read or is not there."""
    query = parse_query(text_)
    collection = _collection(query)
    sql = Sql(tx.connection.dialect.name, lambda parts: collection.resolve(_below(query, parts)))
    condition = collection.condition + (f" AND {sql.test(query.where)}" if query.where else "")
    if query.is_aggregate:
        return Page(_aggregated(tx, tenant, query, collection, sql, condition), "raw", None)
    size = min(max(page_size, 1), LARGEST_PAGE)
    seen, last = read_page_token(after, len(collection.key))
    if query.top is not None:
        size = max(min(size, query.top - seen), 0)
    if last is not None:
        row = f"({', '.join(collection.key)}) > ({', '.join(sql.bind(each) for each in last)})"
        condition += f" AND {row}"
    names = [f"{each} AS k{place}" for place, each in enumerate(collection.key)]
    order = ", ".join(collection.key)
    statement = (
        f"SELECT {', '.join(names)} FROM {collection.tables} WHERE {condition} ORDER BY {order} LIMIT {size + 1}"
    )
    rows = [tuple(row) for row in tx.connection.execute(text(statement), {**sql.parameters, "tenant": tenant})]
    is_more = len(rows) > size and (query.top is None or seen + size < query.top)
    documents = [collection.document(tx, tenant, _named(row)) for row in rows[:size]]
    more = page_token(seen + size, rows[size - 1]) if is_more else None
    if not query.columns:
        return Page(documents, "twin", more)
    return Page([_project(query, each) for each in documents], "raw", more)


def _named(row: tuple[Any, ...]) -> dict[str, Any]:
    return {f"k{place}": value for place, value in enumerate(row)}


def _aggregated(tx: Tx, tenant: str, query: Query, collection: _Collection, sql: Sql, condition: str) -> list[Json]:
    groups = [sql.value(sql.operand(each)) for each in query.group_by]
    columns, is_json = [], []
    for each in query.columns:
        is_count = isinstance(each.node, Function) and each.node.name in AGGREGATES
        if is_count and isinstance(each.node, Function):
            columns.append(sql.aggregate(each.node))
        elif isinstance(each.node, Path) and each.node in query.group_by:
            # the same text as the group's, parameters and all, or PostgreSQL takes it for another expression
            columns.append(groups[query.group_by.index(each.node)])
        else:
            raise HubError(HubCode.ArgumentInvalid, f"{each.name!r} is neither grouped by nor counted.")
        is_json.append(not is_count and sql.operand(each.node).path is not None)
    statement = f"SELECT {', '.join(columns)} FROM {collection.tables} WHERE {condition}"
    if groups:
        statement += f" GROUP BY {', '.join(groups)} ORDER BY {', '.join(groups)}"
    found = []
    for row in tx.connection.execute(text(statement), {**sql.parameters, "tenant": tenant}):
        values = [json.loads(str(v)) if j and v is not None else v for v, j in zip(row, is_json, strict=True)]
        found.append({c.name: _plain(v) for c, v in zip(query.columns, values, strict=True) if v is not None})
    return found


def _plain(value: Any) -> Any:
    return value if isinstance(value, int | float | str | dict | list) else float(value)


def _collection(query: Query) -> _Collection:
    if query.joins:
        raise HubError(HubCode.ArgumentInvalid, "JOIN is for queries of the twin graph.")
    if query.source in (("devices",), ("devices", "modules")):
        is_module = "i.module_id <> ''" if len(query.source) == 2 else "i.module_id = ''"
        condition = f"i.tenant = :tenant AND {is_module}"
        return _Collection(_TWINS, condition, ("i.device_id", "i.module_id"), _twin_operand, _twin_document)
    if query.source == ("devices", "jobs"):
        return _Collection("job_devices j", "j.tenant = :tenant", ("j.job_id", "j.device_id"), _job_operand, _job)
    kind = {"enrollments": INDIVIDUAL, "enrollmentgroups": GROUP}.get(".".join(query.source))
    if kind is not None:
        condition = f"e.tenant = :tenant AND e.kind = '{kind}'"
        return _Collection("enrolments e", condition, ("e.enrolment_id", "e.kind"), _enrolment_operand, _enrolment)
    raise HubError(HubCode.ArgumentInvalid, f"There is no collection {'.'.join(query.source)!r}.")


def _below(query: Query, parts: tuple[str, ...]) -> tuple[str, ...]:
    """A path without the collection's alias."""
    names = {query.alias, query.source[0]} - {None}
    return parts[1:] if len(parts) > 1 and parts[0] in names else parts


def _twin_operand(parts: tuple[str, ...]) -> Operand:
    head = parts[0].lower()
    if len(parts) == 1 and head in _IDENTITY:
        return _IDENTITY[head]
    if head == "tags" and len(parts) > 1:
        return Operand("t.tags", parts[1:])
    if head == "properties" and len(parts) > 2 and parts[1].lower() in ("desired", "reported"):
        section = parts[1].lower()
        if parts[2] == "$version":
            return Operand(f"t.{section}_version", None, "number")
        if parts[2] == "$metadata":
            return Operand(f"t.{section}_meta", parts[3:])
        return Operand(f"t.{section}", parts[2:])
    if tuple(part.lower() for part in parts) == ("capabilities", "iotedge"):
        return Operand("i.is_edge", None, "boolean")
    raise HubError(HubCode.ArgumentInvalid, f"A twin has no {'.'.join(parts)!r}.")


def _job_operand(parts: tuple[str, ...]) -> Operand:
    if len(parts) == 1 and parts[0].lower() in _JOB:
        return _JOB[parts[0].lower()]
    return Operand("j.outcome", parts)


def _enrolment_operand(parts: tuple[str, ...]) -> Operand:
    return Operand("e.body", parts)


def _twin_document(tx: Tx, _tenant: str, row: Mapping[str, Any]) -> Json:
    identity = find(tx, row["k0"], row["k1"])
    assert identity is not None  # selected in this transaction
    return twin_json(known(tx, identity))


def _job(tx: Tx, tenant: str, row: Mapping[str, Any]) -> Json:
    statement = text("SELECT outcome FROM job_devices WHERE tenant = :tenant AND job_id = :k0 AND device_id = :k1")
    found: Any = tx.connection.execute(statement, {"tenant": tenant, **row}).scalar_one()
    document: Json = json.loads(found) if isinstance(found, str) else found
    return document


def _enrolment(tx: Tx, tenant: str, row: Mapping[str, Any]) -> Json:
    found = enrolment_of(tx, tenant, row["k1"], row["k0"])
    assert found is not None  # selected in this transaction
    return {**found.body, "etag": found.etag}


def _project(query: Query, document: Json) -> Json:
    made: Json = {}
    for column in query.columns:
        found = _value(query, column.node, document)
        if found is not None:
            made[column.name] = found
    return made


def _value(query: Query, node: Node, document: Json) -> Any:
    if isinstance(node, Literal):
        return node.value
    if not isinstance(node, Path):
        raise HubError(HubCode.ArgumentInvalid, "Only paths and aggregates can be selected.")
    return look_up(document, _below(query, node.parts))


def look_up(document: Any, parts: tuple[str, ...]) -> Any:
    """What lies at a path of a document, None where nothing does."""
    found = document
    for part in parts:
        if isinstance(found, list) and re.fullmatch("[0-9]{1,9}", part) and int(part) < len(found):
            found = found[int(part)]
        elif isinstance(found, dict):
            # names of ours are told apart from a client's by case only where they are the client's
            found = found.get(part, next((v for k, v in found.items() if k.lower() == part.lower()), None))
        else:
            return None
    return found
