"""The OpenAPI 3.1 description of the API, from its table of operations."""

import re
from typing import Any, Final

from pydantic import BaseModel

from flows.entrypoints.control_service.api.answer_schemas import SCHEMAS, ref
from flows.entrypoints.control_service.api.idempotency import HEADER
from flows.entrypoints.control_service.api.operations import OPERATIONS, ROOT, Operation

PRODUCT: Final = "^[a-z][a-z0-9-]{0,39}$"
ROLLOUT: Final = "^[A-Za-z0-9-]{1,64}$"
_PARTS: Final = {
    "product": {"description": "name of a product", "schema": {"type": "string", "pattern": PRODUCT}},
    "rollout": {
        "description": "id of a rollout, or its beginning; `current`: the one under way, else the last one",
        "schema": {"type": "string", "pattern": ROLLOUT},
    },
}
_PROBLEMS: Final = {
    "400": "the request cannot be read: a parameter, the body or a header is not of the form",
    "401": "nobody is known by this token or session",
    "403": "the caller may not do this",
    "404": "there is no such thing, or the caller may not see it",
    "408": "the body came too slowly",
    "409": "it cannot be done now: the rollout is elsewhere, or the same request is under way",
    "413": "the body is too large",
    "415": "the body is not application/json",
    "422": "what is asked for means nothing, or the Idempotency-Key was used for another request",
    "429": "more requests a minute than one caller may send",
    "503": "what stands behind does not answer: the same request may succeed later",
}
_ALWAYS: Final = ("400", "401", "403", "404", "429", "503")
_CHANGING: Final = ("408", "409", "413", "415", "422")


def description() -> dict[str, Any]:
    """The document."""
    paths: dict[str, dict[str, Any]] = {}
    schemas: dict[str, Any] = dict(SCHEMAS)
    for each in OPERATIONS:
        schemas |= {} if each.body is None else _schema_of(each.body)[1]
        paths.setdefault(f"{ROOT}{each.path}", {})[each.method.lower()] = _operation(each)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Seatrial",
            "version": "1",
            "description": "Products, their rollouts and what was decided; orders to rollouts, and runs. "
            "Every error is a problem of RFC 9457.",
        },
        "security": [{"token": []}],
        "paths": paths,
        "components": {
            "securitySchemes": {
                "token": {"type": "http", "scheme": "bearer", "description": "as authorization: Bearer TOKEN"}
            },
            "schemas": schemas,
        },
    }


def _operation(each: Operation) -> dict[str, Any]:
    as_command = f"Like `{each.command}` at the command line. " if each.command else ""
    told: dict[str, Any] = {
        "operationId": each.id,
        "summary": each.summary,
        "description": f"{as_command}Whoever may {each.permission} {'of the product ' if each.product else ''}may ask.",
        "parameters": [_part(name) for name in re.findall(r"\{(\w+)\}", each.path)] + [*each.query],
        "responses": _responses(each),
    }
    if each.body is not None:
        told["requestBody"] = {"content": {"application/json": {"schema": _schema_of(each.body)[0]}}}
        told["parameters"].append(
            {
                "name": HEADER,
                "in": "header",
                "description": "of your choice: a request that is sent again with it is done once",
                "schema": {"type": "string", "pattern": "^[!-~]{1,128}$"},
            }
        )
    return told


def _schema_of(body: type[BaseModel]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Of a body, and those that it names."""
    schema = body.model_json_schema(ref_template="#/components/schemas/{model}")
    named: dict[str, Any] = schema.pop("$defs", {})
    return schema, named


def _responses(each: Operation) -> dict[str, Any]:
    codes = _ALWAYS if each.body is None else (*_ALWAYS, *_CHANGING)
    done = "what was asked for" if each.method == "GET" else "it is written down"
    told = {str(each.status): {"description": done, "content": {"application/json": {"schema": _shape(each)}}}}
    if each.method == "GET":
        told["304"] = {"description": "nothing has changed since the answer with this ETag"}
        told["422"] = _problem("422")
    return told | {code: _problem(code) for code in codes}


def _problem(code: str) -> dict[str, Any]:
    return {
        "description": _PROBLEMS[code],
        "content": {"application/problem+json": {"schema": ref("Problem")}},
    }


def _part(name: str) -> dict[str, Any]:
    return {"name": name, "in": "path", "required": True, **_PARTS[name]}


def _shape(each: Operation) -> dict[str, Any]:
    if not each.pages:
        return ref(each.answers)
    items = {"type": "array", "items": ref(each.answers)}
    return {"type": "object", "required": ["items"], "properties": {"items": items, "next": {"type": "string"}}}
