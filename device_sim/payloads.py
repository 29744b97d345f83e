"""Payloads: the JSON object of a device's telemetry, put together from the JSON texts of its values.

Belongs here: nesting by the telemetry's path, and the fast filling of many payloads. Values come from `signals` or from
a recorded file.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from lake.models.catalog import Telemetry


class PayloadTemplate:
    """The payload of one model's root or of one of its components."""

    def __init__(self, telemetry: Sequence[Telemetry]) -> None:
        """`telemetry` gives the order of the values that `fill` takes."""
        tree: dict[str, Any] = {}
        for position, each in enumerate(telemetry):
            _branch(tree, each.json_path[:-1])[each.json_path[-1]] = position
        order: list[int] = []
        self._format = _format(tree, order)
        # the tree may bring fields of one object together that the declaration keeps apart
        self._order = None if order == sorted(order) else order

    def fill(self, rows: Iterable[Sequence[str]]) -> list[bytes]:
        """One payload a row of JSON texts."""
        if self._order is None:
            return [(self._format % tuple(row)).encode() for row in rows]
        return [(self._format % tuple(row[i] for i in self._order)).encode() for row in rows]


def payload_of(values: Mapping[tuple[str, ...], str]) -> bytes:
    """One payload from JSON texts by path; a path that is not there is left out."""
    tree: dict[str, Any] = {}
    for path, text in values.items():
        _branch(tree, path[:-1])[path[-1]] = text
    return _object(tree).encode()


def _branch(tree: dict[str, Any], path: Iterable[str]) -> dict[str, Any]:
    for name in path:
        tree = tree.setdefault(name, {})
    return tree


def _format(tree: Mapping[str, Any], order: list[int]) -> str:
    parts = []
    for name, node in tree.items():
        key = json.dumps(name, ensure_ascii=False).replace("%", "%%")
        if isinstance(node, dict):
            parts.append(f"{key}:{_format(node, order)}")
        else:
            order.append(node)
            parts.append(f"{key}:%s")
    return "{" + ",".join(parts) + "}"


def _object(tree: Mapping[str, Any]) -> str:
    return "{" + ",".join(
        f"{json.dumps(name, ensure_ascii=False)}:{_object(node) if isinstance(node, dict) else node}"
        for name, node in tree.items()
    ) + "}"  # fmt: skip
