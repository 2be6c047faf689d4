"""A router without a gateway: the same promises in plain Python, for tests, examples and dry runs."""

import contextlib
import hashlib
import itertools
import random
from bisect import bisect_left
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from types import MappingProxyType

from deployments.analysis.evidence import LATENCY_BOUNDS_MS, Counts
from deployments.analysis.readings import Source
from deployments.errors import NotFound, RouterRefused
from deployments.routers.accepted import accepted
from deployments.routers.readiness import servers_missing
from deployments.traffic import DEFAULT_KEY, PARTS, Match, Routing, StickyKey

_VERSION_HEADER = "x-seatrial-version"
_NONE: Mapping[str, str] = MappingProxyType({})
_starts = itertools.count(1)


def _every_address_answers(_address: str) -> bool:
    return True


def _nobody_listens(_product: str, _version: int) -> None:
    return None


class InMemoryRouter:
    """Keeps routings in a dict; requests are sent through it with `request`.

    `answers(address)` says whether a server is ready there, as the gateway's health check would; without it all are.
    `seed` decides where requests without a key go, and which are mirrored. `mirrored(product, version)` is called for
    each mirrored copy; an exception in it reaches nobody.
    """

    def __init__(
        self,
        answers: Callable[[str], bool] = _every_address_answers,
        seed: int = 0,
        mirrored: Callable[[str, int], None] = _nobody_listens,
    ) -> None:
        self._answers = answers
        self._mirrored = mirrored
        self._random = random.Random(seed)  # noqa: S311 - splits traffic, keeps no secret
        self._routings: dict[str, Routing] = {}
        self._in_flight: Counter[tuple[str, int]] = Counter()
        self._counts: dict[tuple[str, int], Counts] = {}
        self._epoch = _new_epoch()

    def read(self, product: str) -> Routing | None:
        """The routing that is live; None: the product has no route."""
        return self._routings.get(product)

    def apply(self, product: str, routing: Routing) -> None:
        """Make `routing` live at once. Raises `RouterRefused` if a server that it needs is not ready."""
        wanted = accepted(product, routing)
        missing = servers_missing(self._routings.get(product), wanted, lambda _, address: self._answers(address))
        if missing:
            raise RouterRefused(
                f"{product}: {', '.join(missing)} is not ready: start it, then apply again; "
                "the former routing is still live"
            )
        self._routings[product] = wanted

    def edit(self, product: str, routing: Routing | None) -> None:
        """Change the routing as somebody does by hand, past every check; None: the route is gone."""
        if routing is None:
            self._routings.pop(product, None)
        else:
            self._routings[product] = routing

    def restart(self) -> None:
        """Begin again as a gateway does: the routings stay, everything counts from zero in a new epoch."""
        self._counts.clear()
        self._epoch = _new_epoch()

    def in_flight(self, product: str, version: int) -> int:
        """Requests entered with `request` that are not finished."""
        return self._in_flight[product, version]

    def remove(self, product: str) -> None:
        """Forget the product; `request` raises `NotFound` from then on."""
        self._routings.pop(product, None)

    def tallies(self, product: str) -> Mapping[Source, Counts]:
        """See `Router.tallies`. Latencies are those that were given to `request`."""
        return {
            Source(version, self._epoch): counts
            for (owner, version), counts in sorted(self._counts.items())
            if owner == product
        }

    @contextlib.contextmanager
    def request(
        self,
        product: str,
        key: str | None = None,
        headers: Mapping[str, str] = _NONE,
        cookies: Mapping[str, str] = _NONE,
        latency_ms: float | None = None,
    ) -> Iterator[int]:
        """The version that answers one request, which lasts as long as the block; an exception in it counts as a 500.

        `key` stands for the value of the sticky header or cookie, whatever its name. The header x-seatrial-version
        asks for one version, uncounted. `headers` are in lower case. Raises `NotFound` for a product without a route,
        and for a version that it does not have.
        """
        routing = self._routings.get(product)
        if routing is None:
            raise NotFound(f"no product {product!r} in the router: apply a routing first")
        pinned = headers.get(_VERSION_HEADER)
        if pinned is not None:
            with self._answering(product, _pinned(product, routing, pinned)) as version:
                yield version
            return
        matched = _matched(routing, headers, cookies)
        if matched is None:
            key = key if key is not None else _key(routing.key, headers, cookies)
            version = self._split(product, routing, key)
            self._mirror(product, routing)
        else:
            version = matched
        with self._counted(product, version, latency_ms), self._answering(product, version):
            yield version

    @contextlib.contextmanager
    def _answering(self, product: str, version: int) -> Iterator[int]:
        self._in_flight[product, version] += 1
        try:
            yield version
        finally:
            self._in_flight[product, version] -= 1

    @contextlib.contextmanager
    def _counted(self, product: str, version: int, latency_ms: float | None) -> Iterator[None]:
        errors = 1
        try:
            yield
            errors = 0
        finally:
            counts = Counts(requests=1, errors=errors, latency=_bucket(latency_ms))
            self._counts[product, version] = self._counts.get((product, version), Counts()) + counts

    def _split(self, product: str, routing: Routing, key: str | None) -> int:
        point = self._random.randrange(PARTS) if key is None else _place(product, key)
        for version, part in routing.weights.parts.items():
            point -= part
            if point < 0:
                return version
        raise AssertionError("weights add up to 100")

    def _mirror(self, product: str, routing: Routing) -> None:
        if routing.mirror is not None and self._random.randrange(PARTS) < routing.mirror.parts:
            with contextlib.suppress(Exception):
                self._mirrored(product, routing.mirror.version)


def _pinned(product: str, routing: Routing, asked: str) -> int:
    for backend in routing.backends:
        if str(backend.version) == asked:
            return backend.version
    raise NotFound(f"no version {asked!r} of {product} in the router")


def _matched(routing: Routing, headers: Mapping[str, str], cookies: Mapping[str, str]) -> int | None:
    return next((match.version for match in routing.matches if _fits(match, headers, cookies)), None)


def _fits(match: Match, headers: Mapping[str, str], cookies: Mapping[str, str]) -> bool:
    found = headers.get(match.header) if match.header is not None else cookies.get(match.cookie or "")
    return found == match.value


def _key(key: StickyKey | None, headers: Mapping[str, str], cookies: Mapping[str, str]) -> str | None:
    if key is not None and key.cookie is not None:
        return cookies.get(key.cookie)
    return headers.get(key.header if key and key.header else DEFAULT_KEY)


def _place(product: str, key: str) -> int:
    digest = hashlib.blake2b(f"{product}:{key}".encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") % PARTS


def _bucket(latency_ms: float | None) -> tuple[int, ...]:
    if latency_ms is None:
        return ()
    hit = bisect_left(LATENCY_BOUNDS_MS, latency_ms)
    return tuple(int(place == hit) for place in range(len(LATENCY_BOUNDS_MS) + 1))


def _new_epoch() -> str:
    return f"in-memory-{next(_starts)}"
