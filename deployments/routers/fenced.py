"""A router as the holder of a lease sees it: each of its writes carries the lease's token."""

from collections.abc import Mapping
from dataclasses import dataclass

from deployments.analysis.counter_deltas import Source
from deployments.analysis.evidence import Counts
from deployments.routers.protocol import Router
from deployments.routers.rollback_routing import Retreat
from deployments.traffic import Routing


@dataclass(frozen=True, slots=True)
class FencedRouter:
    """`router`, written to under `held`: the number of a lease. A token that is given to a write goes before it."""

    router: Router
    held: int

    @classmethod
    def of(cls, router: Router, held: int) -> "FencedRouter":
        """The router under this lease, and no other."""
        return cls(router.router if isinstance(router, cls) else router, held)

    @property
    def shortfall(self) -> float | None:
        """See `Router.shortfall`."""
        return self.router.shortfall

    def read(self, product: str) -> Routing | None:
        """See `Router.read`."""
        return self.router.read(product)

    def apply(self, product: str, routing: Routing, token: int | None = None) -> None:
        """See `Router.apply`."""
        self.router.apply(product, routing, token=self.held if token is None else token)

    def retreat(self, product: str, version: int, note: Retreat, token: int | None = None) -> None:
        """See `Router.retreat`."""
        self.router.retreat(product, version, note, token=self.held if token is None else token)

    def retreated(self, product: str) -> Retreat | None:
        """See `Router.retreated`."""
        return self.router.retreated(product)

    def newest_token(self, product: str) -> int:
        """See `Router.newest_token`."""
        return self.router.newest_token(product)

    def in_flight(self, product: str, version: int) -> int:
        """See `Router.in_flight`."""
        return self.router.in_flight(product, version)

    def tallies(self, product: str) -> Mapping[Source, Counts]:
        """See `Router.tallies`."""
        return self.router.tallies(product)

    def copies(self, product: str) -> Mapping[Source, Counts]:
        """See `Router.copies`."""
        return self.router.copies(product)

    def remove(self, product: str, token: int | None = None) -> None:
        """See `Router.remove`."""
        self.router.remove(product, token=self.held if token is None else token)
