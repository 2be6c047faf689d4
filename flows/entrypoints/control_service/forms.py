"""Forms that pages of ours send: small, and read once."""

import asyncio
from collections.abc import Mapping
from typing import Final
from urllib.parse import parse_qsl

from starlette.requests import ClientDisconnect, Request

_LONGEST: Final = 16 * 1024
_MOST_FIELDS: Final = 50
_SLOWEST_SECONDS: Final = 10.0
_KIND: Final = "application/x-www-form-urlencoded"


class BadForm(Exception):
    """What was sent is no form of ours; says why."""


async def read_form(request: Request) -> Mapping[str, str]:
    """The fields of a form, the last one of each name. Raises `BadForm` for a long, slow or garbled one."""
    if not hasattr(request.state, "form"):
        if request.headers.get("content-type", "").partition(";")[0].strip().lower() != _KIND:
            raise BadForm(f"a form is sent as {_KIND}")
        request.state.form = await _read(request)
    form: Mapping[str, str] = request.state.form
    return form


async def _read(request: Request) -> Mapping[str, str]:
    body = bytearray()
    try:
        async with asyncio.timeout(_SLOWEST_SECONDS):
            async for chunk in request.stream():
                body += chunk
                if len(body) > _LONGEST:
                    raise BadForm("the form is too long")
    except TimeoutError:
        raise BadForm(f"the form took longer than {_SLOWEST_SECONDS:g} s") from None
    except ClientDisconnect:
        raise BadForm("the form has no end") from None
    try:
        return dict(parse_qsl(body.decode("ascii"), keep_blank_values=True, max_num_fields=_MOST_FIELDS))
    except ValueError:
        raise BadForm("the form cannot be read") from None
