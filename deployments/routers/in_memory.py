"""A router without a gateway: the same promises in plain Python, for tests, examples and dry runs."""

import contextlib
import hashlib
import random
from collections import Counter
from collections.abc import Callable, Iterator, Mapping

from deployments.errors import NotFound, RouterRefused
from deployments.routers.accepted import accepted
from deployments.traffic import Routing

_PARTS = 10_000


def _every_address_answers(_address: str) -> bool:
    return True


class InMemoryRouter:
    """Keeps routings in a dict; requests are sent through it with `request`.

    `answers(address)` says whether a server is ready there, as the gateway's health check would; without it all are.
    `seed` decides where requests without a key go.
    """

    def __init__(self, answers: Callable[[str], bool] = _every_address_answers, seed: int = 0) -> None:
        self._answers = answers
        self._random = random.Random(seed)  # noqa: S311 - splits traffic, keeps no secret
        self._routings: dict[str, Routing] = {}
        self._in_flight: Counter[tuple[str, int]] = Counter()
        self._counts: Counter[tuple[str, int, int]] = Counter()

    def read(self, product: str) -> Routing | None:
        """The routing that was applied last; None: the product has no route."""
        return self._routings.get(product)

    def apply(self, product: str, routing: Routing) -> None:
        """Make `routing` live at once. Raises `RouterRefused` if a server that it brings in is not ready."""
        wanted = accepted(product, routing)
        self._refuse_servers_that_are_not_ready(product, wanted)
        self._routings[product] = wanted

    def in_flight(self, product: str, version: int) -> int:
        """Requests entered with `request` that are not finished."""
        return self._in_flight[product, version]

    def remove(self, product: str) -> None:
        """Forget the product; `request` raises `NotFound` from then on."""
        self._routings.pop(product, None)

    def counts(self, product: str) -> Mapping[int, Mapping[int, int]]:
        """Finished requests by version and HTTP code since this router was made."""
        found: dict[int, dict[int, int]] = {}
        for (owner, version, code), count in sorted(self._counts.items()):
            if owner == product:
                found.setdefault(version, {})[code] = count
        return found

    @contextlib.contextmanager
    def request(self, product: str, key: str | None = None) -> Iterator[int]:
        """The version that answers one request, which lasts as long as the block; an exception in it counts as a 500.

        The same `key` gets the same version while the weights stand, and leaves a version only when that one shrinks.
        Raises `NotFound` for a product without a route.
        """
        version = self._pick(product, key)
        self._in_flight[product, version] += 1
        code = 500
        try:
            yield version
            code = 200
        finally:
            self._in_flight[product, version] -= 1
            self._counts[product, version, code] += 1

    def _pick(self, product: str, key: str | None) -> int:
        routing = self._routings.get(product)
        if routing is None:
            raise NotFound(f"no product {product!r} in the router: apply a routing first")
        point = self._random.randrange(_PARTS) if key is None else _bucket(product, key)
        for version, percent in sorted(routing.weights.percents.items()):
            point -= percent * (_PARTS // 100)
            if point < 0:
                return version
        raise AssertionError("weights add up to 100")

    def _refuse_servers_that_are_not_ready(self, product: str, wanted: Routing) -> None:
        former = self._routings.get(product)
        for backend in wanted.backends:
            known = former.backend(backend.version) if former else None
            for address in backend.addresses:
                if (known is None or address not in known.addresses) and not self._answers(address):
                    raise RouterRefused(
                        f"{product} v{backend.version} is not ready at {address}: start it, then apply again"
                    )


def _bucket(product: str, key: str) -> int:
    digest = hashlib.blake2b(f"{product}:{key}".encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") % _PARTS
