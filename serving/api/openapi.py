"""OpenAPI: the page of the API's routes, made from their declarations.

Belongs here: rendering. What a route can be asked is in `declared` and beside each route.
"""

from collections.abc import Iterable
from typing import Any

from lake.code_version import release
from serving.api.answers import ARROW, CSV, JSON
from serving.api.declared import DeclaredRoute, Parameter

_PROBLEM = {
    "type": "object",
    "properties": {
        "type": {"type": "string"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "detail": {"type": "string"},
        "instance": {"type": "string"},
    },
    "required": ["type", "title", "status", "detail"],
}
_ROWS = {
    "type": "object",
    "properties": {
        "publication": {"type": "integer", "description": "The publication that the rows come from."},
        "data": {"type": "array", "items": {"type": "object"}},
        "next": {"type": ["string", "null"], "description": "The cursor of the next page."},
    },
    "required": ["publication", "data", "next"],
}
_HOT_ROWS = {
    "type": "object",
    "properties": {
        "is_provisional": {"const": True, "description": "No gate has passed these rows."},
        "revision": {"type": "integer", "description": "Grows with every value that the hot path tells."},
        "data": {"type": "array", "items": {"type": "object"}},
        "next": {"type": ["string", "null"], "description": "The cursor of the next page."},
    },
    "required": ["is_provisional", "revision", "data", "next"],
}
_BAD = {
    "400": "A parameter is wrong, missing or unknown.",
    "401": "No key, or one that does not hold.",
    "403": "The key has no scope for that.",
    "404": "There is none, or the key does not see it.",
    "406": "There is no such format.",
    "410": "The publication's files are gone.",
    "429": "The key asks too often; see Retry-After.",
    "503": "Nothing has been published yet.",
}


def openapi(routes: Iterable[DeclaredRoute]) -> dict[str, Any]:
    """The document, OpenAPI 3.1."""
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "IoT lakehouse",
            "version": release(),
            "description": "Published gold: figures that passed the gate, each answer of one publication.",
        },
        "security": [{"bearer": []}, {"header": []}],
        "paths": {route.path: {"get": _operation(route)} for route in routes},
        "components": {
            "schemas": {"Problem": _PROBLEM, "Rows": _ROWS, "HotRows": _HOT_ROWS},
            "securitySchemes": {
                "bearer": {"type": "http", "scheme": "bearer"},
                "header": {"type": "apiKey", "in": "header", "name": "X-Api-Key"},
            },
        },
    }


def _operation(route: DeclaredRoute) -> dict[str, Any]:
    rows = {JSON: {"schema": {"$ref": f"#/components/schemas/{'HotRows' if route.is_hot else 'Rows'}"}}}
    others = {CSV: {"schema": {"type": "string"}}, ARROW: {"schema": {"type": "string", "format": "binary"}}}
    problem = {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}}
    return {
        "operationId": route.name,
        "summary": route.says.strip(),
        **({"deprecated": True} if route.retirement is not None else {}),
        "parameters": [_parameter(parameter) for parameter in route.parameters],
        "responses": {
            "200": {"description": "Rows.", "content": rows | others},
            "304": {"description": "The caller has this answer: If-None-Match names it."},
            **{status: {"description": says, "content": problem} for status, says in _BAD.items()},
        },
    }


def _parameter(parameter: Parameter) -> dict[str, Any]:
    return {
        "name": parameter.name,
        "in": "path" if parameter.is_in_path else "query",
        "required": parameter.required,
        "description": parameter.says,
        "schema": parameter.schema(),
    }
