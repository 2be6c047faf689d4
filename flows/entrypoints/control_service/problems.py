"""Errors as problem documents (RFC 9457)."""

from collections.abc import Mapping
from http import HTTPStatus
from typing import Final

import orjson
from starlette.responses import Response

MEDIA_TYPE: Final = "application/problem+json"


def problem(status: int, detail: str, headers: Mapping[str, str] | None = None, **further: object) -> Response:
    """One error: `detail` names the thing, the value and the next step; `further` are members of its own."""
    document = {"type": "about:blank", "title": HTTPStatus(status).phrase, "status": status, "detail": detail}
    told = {"cache-control": "no-store"} | dict(headers or {})
    return Response(orjson.dumps(document | further), status, media_type=MEDIA_TYPE, headers=told)
