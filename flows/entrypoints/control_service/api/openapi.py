"""The OpenAPI 3.1 description of the API, from its table of operations."""

import re
from typing import Any, Final

from flows.entrypoints.control_service.api.idempotency import HEADER
from flows.entrypoints.control_service.api.operations import OPERATIONS, ROOT, Operation
from flows.entrypoints.control_service.api.paging import parameters

_PARTS: Final = {
    "product": {
        "description": "name of a product",
        "schema": {"type": "string", "pattern": "^[a-z][a-z0-9-]{0,39}$"},
    },
    "rollout": {
        "description": "id of a rollout, or its beginning; `current`: the one under way, else the last one",
        "schema": {"type": "string", "pattern": "^[A-Za-z0-9-]{1,64}$"},
    },
}
_PROBLEM: Final = {
    "description": "what is wrong, and what to do (RFC 9457)",
    "content": {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}},
}
_ALWAYS: Final = ("400", "401", "403", "404", "429", "503")
_CHANGING: Final = ("409", "413", "415", "422")


def description() -> dict[str, Any]:
    """The document."""
    paths: dict[str, dict[str, Any]] = {}
    for each in OPERATIONS:
        paths.setdefault(f"{ROOT}{each.path}", {})[each.method.lower()] = _operation(each)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Seatrial",
            "version": "1",
            "description": "Products, their rollouts and what was decided; orders to rollouts, and runs.",
        },
        "security": [{"token": []}],
        "paths": paths,
        "components": {
            "securitySchemes": {
                "token": {"type": "http", "scheme": "bearer", "description": "`seatrial token create` makes one"}
            },
            "schemas": {
                "Problem": {
                    "type": "object",
                    "required": ["title", "status", "detail"],
                    "properties": {
                        "type": {"type": "string"},
                        "title": {"type": "string"},
                        "status": {"type": "integer"},
                        "detail": {"type": "string"},
                    },
                }
            },
        },
    }


def _operation(each: Operation) -> dict[str, Any]:
    further = [*parameters()] if each.pages else []
    told: dict[str, Any] = {
        "operationId": each.id,
        "summary": each.summary,
        "description": f"As `seatrial {each.command}`. Whoever may {each.permission} of the product may ask.",
        "parameters": [_part(name) for name in re.findall(r"\{(\w+)\}", each.path)] + further,
        "responses": {
            str(each.status): {
                "description": "what was asked for" if each.method == "GET" else "it is written down",
                "content": {"application/json": {"schema": _shape(each)}},
            },
            **dict.fromkeys(_ALWAYS if each.body is None else _ALWAYS + _CHANGING, _PROBLEM),
        },
    }
    if each.method == "GET":
        told["responses"]["304"] = {"description": "nothing has changed since the answer with this ETag"}
    if each.body is not None:
        told["requestBody"] = {"content": {"application/json": {"schema": each.body.model_json_schema()}}}
        told["parameters"].append(
            {
                "name": HEADER,
                "in": "header",
                "description": "of your choice: a request that is sent again with it is done once",
                "schema": {"type": "string", "pattern": "^[!-~]{1,128}$"},
            }
        )
    return told


def _part(name: str) -> dict[str, Any]:
    return {"name": name, "in": "path", "required": True, **_PARTS[name]}


def _shape(each: Operation) -> dict[str, Any]:
    if not each.pages:
        return {"type": "object"}
    items = {"type": "array", "items": {"type": "object"}}
    return {"type": "object", "required": ["items"], "properties": {"items": items, "next": {"type": "string"}}}
