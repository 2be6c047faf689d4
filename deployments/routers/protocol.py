"""The door to whatever splits traffic."""

from typing import Protocol

from deployments.traffic import Routing


class Router(Protocol):
    """Splits the requests of each product over its versions. Every method is idempotent.

    All raise `RouterUnreachable` when the gateway does not answer.
    """

    def read(self, product: str) -> Routing | None:
        """The routing that is live now, as the gateway itself reports it; None: the product has no route."""
        ...

    def apply(self, product: str, routing: Routing) -> None:
        """Make `routing` live; returns once the gateway confirmed it. No request is lost on the way.

        Raises `RouterRefused` if the gateway does not take it; the former routing is then still live.
        """
        ...

    def in_flight(self, product: str, version: int) -> int:
        """Requests that this version is answering right now; 0 for one the gateway does not know."""
        ...

    def remove(self, product: str) -> None:
        """Forget the product; its requests get 404 from then on."""
        ...
