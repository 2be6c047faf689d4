"""Long lists, a page at a time: a cursor stands for where the next page begins, whatever came meanwhile."""

import base64
import binascii
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from starlette.datastructures import QueryParams

USUAL: Final = 50
MOST: Final = 500
_PARAMETERS: Final = frozenset({"limit", "cursor"})


class BadPage(Exception):
    """What was asked for is no page; says why."""


def page_of(
    query: QueryParams, items: Sequence[Any], key: Callable[[Any], str], show: Callable[[Any], Any]
) -> dict[str, Any]:
    """The page that a request asks for: `items` and, unless it is the last, `next`.

    `key` is what an item is known by, whatever comes before it: the page begins behind the item whose key the cursor
    holds. Raises `BadPage` for parameters that cannot be meant.
    """
    if unknown := sorted(set(query) - _PARAMETERS):
        raise BadPage(f"no parameter {unknown[0]!r}: a page is asked for by limit and cursor")
    limit = _limit(query.get("limit"))
    start = 0
    if (cursor := query.get("cursor")) is not None:
        after = _decoded(cursor)
        known = [number for number, item in enumerate(items) if key(item) == after]
        if not known:
            raise BadPage("this cursor leads nowhere any more: begin with the first page")
        start = known[0] + 1
    shown = items[start : start + limit]
    told: dict[str, Any] = {"items": [show(item) for item in shown]}
    if start + limit < len(items):
        told["next"] = _encoded(key(shown[-1]))
    return told


def _limit(text: str | None) -> int:
    if text is None:
        return USUAL
    if not (text.isascii() and text.isdecimal() and len(text) <= 4 and 1 <= int(text) <= MOST):
        raise BadPage(f"limit is a number from 1 to {MOST}")
    return int(text)


def _encoded(key: str) -> str:
    return base64.urlsafe_b64encode(key.encode()).decode().rstrip("=")


def _decoded(cursor: str) -> str:
    try:
        return base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)).decode()
    except (ValueError, binascii.Error):
        raise BadPage("this is no cursor: take the one that the page before gave as next") from None


def parameters() -> list[Mapping[str, Any]]:
    """As OpenAPI has them."""
    return [
        {
            "name": "limit",
            "in": "query",
            "description": f"how many items; {USUAL} if it is left out",
            "schema": {"type": "integer", "minimum": 1, "maximum": MOST},
        },
        {
            "name": "cursor",
            "in": "query",
            "description": "the `next` of the page before",
            "schema": {"type": "string"},
        },
    ]
