"""A router without a gateway: the same promises in plain Python, for tests, examples and dry runs."""

import contextlib
import itertools
import random
from bisect import bisect_left, bisect_right
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from deployments.analysis.counter_deltas import Source
from deployments.analysis.evidence import LATENCY_BOUNDS_MS, Counts
from deployments.errors import NotFound, RouterRefused
from deployments.fencing import Tokens
from deployments.routers.canonical_routing import accepted
from deployments.routers.required_servers import servers_missing
from deployments.routers.rollback_routing import Retreat, everything_to, has_everything, unknown
from deployments.routers.version_selection import hash_bucket, matched, previewed_version, sticky_value, version_at
from deployments.traffic import PARTS, Routing

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

    # What fails is counted.
    shortfall: float | None = None

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
        self._tokens = Tokens()
        self._retreats: dict[str, Retreat] = {}
        self._in_flight: Counter[tuple[str, int]] = Counter()
        self._tallies: dict[tuple[str, int, bool], _Tally] = {}
        self._copies: dict[tuple[str, int], _Tally] = {}
        self._epoch = _new_epoch()

    def read(self, product: str) -> Routing | None:
        """The routing that is live; None: the product has no route."""
        return self._routings.get(product)

    def apply(self, product: str, routing: Routing, token: int | None = None) -> None:
        """Make `routing` live at once. Raises `RouterRefused` if a server that it needs is not ready."""
        self._tokens.admit(product, token)
        wanted = accepted(product, routing)
        missing = servers_missing(self._routings.get(product), wanted, lambda _, address: self._answers(address))
        if missing:
            raise RouterRefused(
                f"{product}: {', '.join(missing)} is not ready: start it, then apply again; "
                "the former routing is still live"
            )
        self._routings[product] = wanted
        self._retreats.pop(product, None)

    def retreat(self, product: str, version: int, note: Retreat, token: int | None = None) -> None:
        """See `Router.retreat`."""
        self._tokens.admit(product, token)
        live = self._routings.get(product)
        if has_everything(version, live):
            return
        routing = everything_to(product, version, live.backends if live else ())
        if not any(self._answers(address) for address in _addresses_of(version, routing)):
            raise unknown(product, version)
        self._routings[product] = routing
        self._retreats[product] = note

    def retreated(self, product: str) -> Retreat | None:
        """See `Router.retreated`."""
        return self._retreats.get(product)

    def edit(self, product: str, routing: Routing | None) -> None:
        """Change the routing as somebody does by hand, past every check; None: the route is gone."""
        if routing is None:
            self._routings.pop(product, None)
        else:
            self._routings[product] = routing

    def restart(self) -> None:
        """Begin again as a gateway does: the routings stay, everything counts from zero in a new epoch."""
        self._tallies.clear()
        self._copies.clear()
        self._epoch = _new_epoch()

    def newest_token(self, product: str) -> int:
        """See `Router.newest_token`."""
        return self._tokens.newest(product)

    def in_flight(self, product: str, version: int) -> int:
        """Requests entered with `request` that are not finished."""
        return self._in_flight[product, version]

    def remove(self, product: str, token: int | None = None) -> None:
        """Forget the product; `request` raises `NotFound` from then on."""
        self._tokens.admit(product, token)
        self._routings.pop(product, None)
        self._retreats.pop(product, None)

    def tallies(self, product: str) -> Mapping[Source, Counts]:
        """See `Router.tallies`. Latencies and ages are those that were given to `request`."""
        return {
            Source(version, self._epoch, keyed=keyed): self._tallies[owner, version, keyed].counts()
            for owner, version, keyed in sorted(self._tallies)
            if owner == product
        }

    def copies(self, product: str) -> Mapping[Source, Counts]:
        """See `Router.copies`; an exception of `mirrored` is an error."""
        return {
            Source(version, self._epoch, mirrored=True): tally.counts()
            for (owner, version), tally in sorted(self._copies.items(), key=lambda each: each[0])
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
        given_up_ms: float | None = None,
    ) -> Iterator[int]:
        """The version that answers one request, which lasts as long as the block; an exception in it counts as a 500.

        `key` stands for the value of the sticky header or cookie, whatever its name. The header x-seatrial-version
        asks for one version, uncounted. `given_up_ms` is the request's age when its client left, None for one that
        stayed. Raises `NotFound` for a product without a route,
        and for a version that it does not have.
        """
        routing = self._routings.get(product)
        if routing is None:
            raise NotFound(f"no product {product!r} in the router: apply a routing first")
        headers = {name.lower(): value for name, value in headers.items()}
        pinned = previewed_version(product, routing, headers)
        if pinned is not None:
            with self._answering(product, pinned):
                yield pinned
            return
        version, user = matched(routing, headers, cookies), None
        if version is None:
            user = key if key is not None else sticky_value(routing, headers, cookies)
            version = self._split(product, routing, user)
            self._mirror(product, routing)
        told = _Told(latency_ms, given_up_ms, user)
        with self._counted(product, version, told), self._answering(product, version):
            yield version

    @contextlib.contextmanager
    def _answering(self, product: str, version: int) -> Iterator[None]:
        self._in_flight[product, version] += 1
        try:
            yield
        finally:
            self._in_flight[product, version] -= 1

    @contextlib.contextmanager
    def _counted(self, product: str, version: int, told: "_Told") -> Iterator[None]:
        failed = True
        try:
            yield
            failed = False
        finally:
            tally = self._tallies.setdefault((product, version, told.user is not None), _Tally())
            tally.add(failed, told.latency_ms, told.given_up_ms)

    def _split(self, product: str, routing: Routing, value: str | None) -> int:
        point = self._random.randrange(PARTS) if value is None else hash_bucket(product, value)
        return version_at(point, routing.weights)

    def _mirror(self, product: str, routing: Routing) -> None:
        if routing.mirror is not None and self._random.randrange(PARTS) < routing.mirror.parts:
            failed = True
            with contextlib.suppress(Exception):
                self._mirrored(product, routing.mirror.version)
                failed = False
            self._copies.setdefault((product, routing.mirror.version), _Tally()).add(failed, None)


@dataclass(frozen=True, slots=True)
class _Told:
    """What the caller of `request` said of it."""

    latency_ms: float | None
    given_up_ms: float | None
    user: str | None


@dataclass(slots=True)
class _Tally:
    """Counts of one version, changed in place: simulations send millions of requests."""

    requests: int = 0
    errors: int = 0
    latency: list[int] = field(default_factory=lambda: [0] * (len(LATENCY_BOUNDS_MS) + 1))
    given_up: list[int] = field(default_factory=lambda: [0] * (len(LATENCY_BOUNDS_MS) + 1))

    def add(self, failed: bool, latency_ms: float | None, given_up_ms: float | None = None) -> None:
        self.requests += 1
        if given_up_ms is not None:
            self.given_up[bisect_right(LATENCY_BOUNDS_MS, given_up_ms)] += 1
            return
        self.errors += failed
        if latency_ms is not None:
            self.latency[bisect_left(LATENCY_BOUNDS_MS, latency_ms)] += 1

    def counts(self) -> Counts:
        latency, given_up = (tuple(each) if any(each) else () for each in (self.latency, self.given_up))
        return Counts(self.requests, self.errors, latency, given_up=given_up)


def _addresses_of(version: int, routing: Routing) -> tuple[str, ...]:
    backend = routing.backend(version)
    return backend.addresses if backend else ()


def _new_epoch() -> str:
    return f"in-memory-{next(_starts)}"
