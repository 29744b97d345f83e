"""Filters of subscriptions: which of a topic's messages a rule takes.

Belongs here: correlation filters, and the part of Service Bus's SQL filters that is understood. What is not is refused
when the rule is made, never passed over when a message comes.

A SQL filter compares system properties (`sys.Label`), properties of the application (`user.site` or `site`) and
literals by = <> != < > <= >=, AND OR NOT, IN, LIKE, IS NULL, EXISTS and arithmetic, with NULL as SQL has it.
"""

import operator
import re
from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any

import sqlglot
from sqlglot import exp
from sqlglot.errors import SqlglotError

from serving.queues.queue_errors import ARGUMENT, QueueError
from wire.amqp_message import AmqpMessage

TRUE: dict[str, Any] = {"sql": "1=1"}
SYSTEM = {
    "messageid": "message_id", "correlationid": "correlation_id", "to": "to", "replyto": "reply_to",
    "label": "subject", "subject": "subject", "sessionid": "group_id", "contenttype": "content_type",
    "replytosessionid": "reply_to_group_id",
}  # fmt: skip
"""Service Bus's names of system properties, to AMQP's."""
_LONGEST, _DEEPEST = 1024, 100
_COMPARED: dict[type[exp.Expression], Callable[[Any, Any], Any]] = {
    exp.EQ: operator.eq, exp.NEQ: operator.ne, exp.GT: operator.gt, exp.GTE: operator.ge, exp.LT: operator.lt,
    exp.LTE: operator.le,
}  # fmt: skip
_COUNTED: dict[type[exp.Expression], Callable[[Any, Any], Any]] = {
    exp.Add: operator.add, exp.Sub: operator.sub, exp.Mul: operator.mul, exp.Div: operator.truediv,
    exp.Mod: operator.mod,
}  # fmt: skip
_OTHERS = (exp.And, exp.Or, exp.Not, exp.Paren, exp.In, exp.Like, exp.Is, exp.Null, exp.Boolean, exp.Literal, exp.Neg,
           exp.Column, exp.Identifier)  # fmt: skip


def check_filter(given: Mapping[str, Any]) -> None:
    """Raises QueueError for a filter that is not understood: `{"sql": …}`, or `{"correlation": {name: value}}`."""
    if set(given) == {"sql"} and isinstance(given["sql"], str):
        _parsed(given["sql"])
    elif set(given) != {"correlation"} or not isinstance(given["correlation"], Mapping) or not given["correlation"]:
        raise QueueError(ARGUMENT, "A filter is a SQL expression, or names properties with the values that they have.")
    for name in given.get("correlation", ()):
        scope, _, rest = name.rpartition(".")
        if scope.lower() == "sys" and rest.lower() not in SYSTEM:
            raise QueueError(ARGUMENT, f"The filter names {name!r}, and there is no such property of the system.")


def takes(given: Mapping[str, Any], message: AmqpMessage) -> bool:
    """True when a filter takes a message; one that cannot be worked out for it does not."""
    if "correlation" in given:
        return all(_property(message, name) == value for name, value in given["correlation"].items())
    return _value(_parsed(given["sql"]), message) is True


def _property(message: AmqpMessage, name: str) -> Any:
    scope, _, rest = name.rpartition(".")
    if scope.lower() == "sys":
        found = message.properties.get(SYSTEM[rest.lower()])
        return None if found is None else str(found)
    found = message.application.get(rest if scope.lower() == "user" else name)
    return str(found) if isinstance(found, str) else found


@lru_cache(maxsize=1000)
def _parsed(text: str) -> Any:
    if len(text) > _LONGEST:
        raise QueueError(ARGUMENT, f"A filter has at most {_LONGEST:,} characters.")
    # EXISTS (name) would be a subquery's
    plain = re.sub(r"\bexists\s*\(\s*([\w.]+)\s*\)", r"(\1 IS NOT NULL)", text, flags=re.IGNORECASE)
    try:
        tree = sqlglot.parse_one(plain)
        nodes = list(tree.walk())
        deepest = max(node.depth for node in nodes)
    except (SqlglotError, RecursionError) as error:
        said = str(error).splitlines()[0]
        raise QueueError(ARGUMENT, f"The filter {text!r} cannot be read: {said}") from error
    if deepest > _DEEPEST:
        raise QueueError(ARGUMENT, f"The filter {text!r} is nested deeper than {_DEEPEST}.")
    for node in nodes:
        _check(node, text)
    return tree


def _check(node: Any, text: str) -> None:
    kind = type(node)
    if kind not in _COMPARED and kind not in _COUNTED and kind not in _OTHERS:
        raise QueueError(ARGUMENT, f"The filter {text!r} has {node.sql()!r}, which filters do not know here.")
    if kind is exp.Column:
        scope = node.table.lower()
        if (
            scope not in ("", "user", "sys")
            or len(node.parts) > 2
            or (scope == "sys" and node.name.lower() not in SYSTEM)
        ):
            raise QueueError(ARGUMENT, f"The filter {text!r} names {node.sql()!r}: there is sys.Label and user.name.")
    if kind is exp.In and (node.args.get("query") is not None or node.args.get("unnest") is not None):
        raise QueueError(ARGUMENT, f"The filter {text!r} asks a table, and there is none.")


def _value(node: Any, message: AmqpMessage) -> Any:
    """What an expression comes to; None is SQL's NULL."""
    kind = type(node)
    if kind in _COMPARED or kind in _COUNTED:
        return _of_two(kind, _value(node.left, message), _value(node.right, message))
    if kind in (exp.And, exp.Or):
        return _joined(_value(node.left, message), _value(node.right, message), breaks=kind is exp.Or)
    if kind is exp.Column:
        return _property(message, f"{node.table}.{node.name}" if node.table else node.name)
    if kind is exp.Literal:
        return node.this if node.is_string else (float(node.this) if re.search("[.eE]", node.this) else int(node.this))
    if kind in (exp.Boolean, exp.Null):
        return node.this if kind is exp.Boolean else None
    inner = _value(node.this, message)
    if kind is exp.Not:
        return None if not isinstance(inner, bool) else not inner
    if kind is exp.Is:
        return inner is None if isinstance(node.expression, exp.Null) else inner is _value(node.expression, message)
    if kind is exp.In:
        found = [_of_two(exp.EQ, inner, _value(each, message)) for each in node.expressions]
        return True if True in found else None if None in found else False
    if kind is exp.Like:
        return _like(inner, _value(node.expression, message))
    return -inner if kind is exp.Neg and isinstance(inner, int | float) else inner if kind is exp.Paren else None


def _joined(left: Any, right: Any, *, breaks: bool) -> bool | None:
    """AND, or OR: the value that decides alone is `breaks`."""
    if left is breaks or right is breaks:
        return breaks
    return None if left is None or right is None else not breaks


def _of_two(kind: type[exp.Expression], left: Any, right: Any) -> Any:
    if left is None or right is None:
        return None
    try:
        return (_COMPARED.get(kind) or _COUNTED[kind])(left, right)
    except (TypeError, ZeroDivisionError):
        return None


def _like(text: Any, pattern: Any) -> bool | None:
    if not isinstance(text, str) or not isinstance(pattern, str):
        return None
    signs = {"%": ".*", "_": "."}
    return re.fullmatch("".join(signs.get(sign) or re.escape(sign) for sign in pattern), text, re.DOTALL) is not None
