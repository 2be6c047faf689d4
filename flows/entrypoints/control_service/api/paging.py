"""Long lists, a page at a time: a cursor stands for where the next page begins, whatever came meanwhile."""

import base64
import binascii
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

USUAL: Final = 50
MOST: Final = 500
_LONGEST_CURSOR: Final = 1000
PARAMETERS: Final[tuple[Mapping[str, Any], ...]] = (
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
        "schema": {"type": "string", "minLength": 1, "maxLength": _LONGEST_CURSOR},
    },
)


class BadPage(Exception):
    """What was asked for is no page; says why."""


def page_of(
    query: Mapping[str, str], items: Sequence[Any], key: Callable[[Any], str], show: Callable[[Any], Any]
) -> dict[str, Any]:
    """The page that a request asks for: `items` and, unless it is the last, `next`.

    `key` is what an item is known by, whatever comes before it: the page begins behind the item whose key the cursor
    holds. Raises `BadPage` for a limit or a cursor that cannot be meant.
    """
    limit = _limit(query.get("limit"))
    start = 0
    if (cursor := query.get("cursor")) is not None:
        after = _decoded(cursor)
        start = next((number for number, item in enumerate(items, 1) if key(item) == after), 0)
        if not start:
            raise BadPage("this cursor leads nowhere any more: begin with the first page")
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
        if not cursor or len(cursor) > _LONGEST_CURSOR:
            raise ValueError(cursor)
        return base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True).decode()
    except (ValueError, binascii.Error):
        raise BadPage("this is no cursor: take the one that the page before gave as next") from None
