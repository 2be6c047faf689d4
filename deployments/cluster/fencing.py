"""The token of the newest lease under which an object was written, as an annotation of the object itself.

It is compared in the write that changes the object: that names the resource version which was looked at, so that
whoever was stopped in between is sent back to look again.
"""

from collections.abc import Iterable, Mapping
from typing import Any, Final

from deployments.cluster.object_names import safe_label
from deployments.fencing import admit_token

# The product stands in the name, for a route of the user's may have rules of several.
_LEASE: Final = "seatrial.dev/lease-"
# Whoever changes the object meanwhile is let go first so often.
TRIES: Final = 10


def token_annotation(found: Iterable[Mapping[str, Any]], product: str, token: int | None) -> dict[str, str]:
    """The annotation that remembers `token`, if nobody in `found` does yet; nothing for None.

    Raises `Busy` if one of them was written under a higher one.
    """
    name = f"{_LEASE}{safe_label(product)}"
    newest = newest_token(found, product)
    return {name: str(token)} if token is not None and admit_token(product, token, newest) else {}


def newest_token(found: Iterable[Mapping[str, Any]], product: str) -> int:
    """The highest token under which one of these objects was written; 0 for none."""
    return max((_token(each, f"{_LEASE}{safe_label(product)}") for each in found), default=0)


def annotation(product: str, token: int | None, found: Mapping[str, Any] | None = None) -> dict[str, str]:
    """The annotation of an object written as a whole in place of `found`; raises as `token_annotation` does."""
    name = f"{_LEASE}{safe_label(product)}"
    newest = _token(found, name) if found is not None else 0
    return ({name: str(newest)} if newest else {}) | token_annotation((found,) if found else (), product, token)


def _token(found: Mapping[str, Any], name: str) -> int:
    text = (found["metadata"].get("annotations") or {}).get(name, "")
    return int(text) if text.isdecimal() else 0
