"""Templates, and the headers that every page of ours has."""

import hashlib
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any, Final

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from starlette.responses import HTMLResponse, Response

from deployments.durations import in_words
from flows.entrypoints.control_service.page.wording import e_value, pieces

_HERE: Final = Path(__file__).parent
ROOT: Final = "/seatrial"
HEADERS: Final[Mapping[str, str]] = {
    "cache-control": "no-store",
    "content-security-policy": "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; "
    "connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
    "x-content-type-options": "nosniff",
    "referrer-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(), geolocation=(), microphone=()",
}
# What a browser is given beside the pages, by name, and its kind.
_KINDS: Final = {
    "page.css": "text/css; charset=utf-8",
    "page.js": "text/javascript; charset=utf-8",
    "mark.svg": "image/svg+xml",
}
_FOR_EVER: Final = "public, max-age=31536000, immutable"


def render(template: str, **known: Any) -> str:
    """HTML of a template; all that is filled in is escaped."""
    return _environment().get_template(template).render(known)


def page(template: str, status: int = 200, **known: Any) -> Response:
    """A whole page."""
    return HTMLResponse(render(template, **known), status, dict(HEADERS))


def asset(name: str) -> Response | None:
    """A file of ours; None: there is no such file. Its address changes with it, so it is kept for ever."""
    if name not in _KINDS:
        return None
    headers = {
        "cache-control": _FOR_EVER,
        "x-content-type-options": "nosniff",
        "cross-origin-resource-policy": "same-origin",
    }
    return Response(_content(name), media_type=_KINDS[name], headers=headers)


def address_of(name: str) -> str:
    """Where an asset is."""
    return f"{ROOT}/assets/{hashlib.sha256(_content(name)).hexdigest()[:12]}/{name}"


@cache
def _content(name: str) -> bytes:
    return (_HERE / "assets" / name).read_bytes()


@cache
def _environment() -> Environment:
    made = Environment(
        loader=FileSystemLoader(_HERE / "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters |= {
        "pieces": pieces,
        "utc": _utc,
        "iso": _iso,
        "short": _short,
        "e_value": e_value,
        "sentence": _sentence,
        "words": in_words,
        "percent": _percent,
    }
    made.globals |= {"root": ROOT, "asset": cache(address_of), "timedelta": timedelta}
    return made


def _utc(at: datetime) -> str:
    return at.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S UTC")


def _short(at: datetime) -> str:
    return at.astimezone(UTC).strftime("%b %-d, %H:%M UTC")


def _iso(at: datetime) -> str:
    return at.astimezone(UTC).isoformat(timespec="seconds")


def _sentence(text: str) -> str:
    """With a capital at its beginning, unless that is the name of a version."""
    return text if text[1:2].isdigit() else f"{text[:1].upper()}{text[1:]}"


def _percent(value: float) -> str:
    return f"{value:g} %"
