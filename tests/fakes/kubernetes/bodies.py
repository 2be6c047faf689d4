"""Requests and answers as bytes: what is read from the one and written to the other."""

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import yaml

from .faults import Request
from .kinds import Json
from .refusals import bad_request


@dataclass(frozen=True, slots=True)
class Answer:
    """What goes back: a body at once, or `stream`, line by line."""

    code: int
    body: bytes = b""
    content_type: str = "application/json"
    headers: dict[str, str] = field(default_factory=dict)
    stream: Iterator[bytes] | None = None


def parsed(body: bytes) -> Any:
    """What a body says, in JSON or YAML. Raises `Refused` (400)."""
    try:
        return json.loads(body)
    except ValueError:
        pass
    try:
        return yaml.safe_load(body)
    except yaml.YAMLError as error:
        raise bad_request(f"the object provided is unrecognized: {error}") from error


def object_in(body: bytes) -> Json:
    """The object in a body. Raises `Refused` (400) if there is something else in it."""
    found = parsed(body)
    if not isinstance(found, dict):
        raise bad_request("the object provided is unrecognized (must be of type struct)")
    return found


def as_json(code: int, body: Json, headers: dict[str, str] | None = None) -> Answer:
    return Answer(code, encoded(body), headers=headers or {})


def encoded(body: Json) -> bytes:
    return json.dumps(body, separators=(",", ":")).encode()


def is_dry(request: Request) -> bool:
    return request.query.get("dryRun") == "All"


def is_watch(request: Request) -> bool:
    return says_true(request.query.get("watch"))


def says_true(text: str | None) -> bool:
    return text is not None and text.lower() in ("1", "true")
