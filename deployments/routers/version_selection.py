"""Which version answers a request: the rules that every gateway keeps, in plain Python.

They are tried in this order: the preview address of a version, the matches, the split.
"""

import hashlib
from collections.abc import Mapping

from deployments.errors import NotFound
from deployments.traffic import DEFAULT_KEY, PARTS, Match, Routing, StickyKey, Weights

VERSION_HEADER = "x-seatrial-version"


def previewed_version(product: str, routing: Routing, headers: Mapping[str, str]) -> int | None:
    """The version that the request asks for by name; None: it asks for none.

    Raises `NotFound` for one that has no back end: who asks for a version must not be answered by another.
    """
    asked = headers.get(VERSION_HEADER)
    if asked is None:
        return None
    for backend in routing.backends:
        if str(backend.version) == asked:
            return backend.version
    raise NotFound(
        f"no version {asked!r} of {product} in the router: it has {[each.version for each in routing.backends]}"
    )


def matched(routing: Routing, headers: Mapping[str, str], cookies: Mapping[str, str]) -> int | None:
    """The version of the first match that fits; None: the split decides."""
    return next((match.version for match in routing.matches if _fits(match, headers, cookies)), None)


def sticky_value(routing: Routing, headers: Mapping[str, str], cookies: Mapping[str, str]) -> str | None:
    """What keeps this user with one version; None: nothing, chance decides."""
    key = routing.key or StickyKey(header=DEFAULT_KEY)
    return (headers.get(key.header) if key.header is not None else cookies.get(key.cookie or "")) or None


def hash_bucket(product: str, value: str) -> int:
    """Where a sticky value stands among the 10,000 parts of a split, for good; in each product elsewhere."""
    digest = hashlib.blake2b(f"{product}:{value}".encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") % PARTS


def version_at(point: int, weights: Weights) -> int:
    """Versions lie side by side in ascending order: places never move, only the borders between versions do."""
    for version, part in weights.parts.items():
        point -= part
        if point < 0:
            return version
    raise ValueError("a point of a split lies below 10,000")


def _fits(match: Match, headers: Mapping[str, str], cookies: Mapping[str, str]) -> bool:
    found = headers.get(match.header) if match.header is not None else cookies.get(match.cookie or "")
    return found == match.value
