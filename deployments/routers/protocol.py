"""The door to whatever splits traffic."""

from collections.abc import Mapping
from typing import Protocol

from deployments.analysis.counter_deltas import Source
from deployments.analysis.evidence import Counts
from deployments.routers.rollback_routing import Retreat
from deployments.traffic import Routing


class Router(Protocol):
    """Splits the requests of each product over its versions. Every method is idempotent.

    What writes takes the `token` of the lease under which it was begun; None: a person's tool, which is let in. Raises
    `Busy`, and changes nothing, once it was shown a higher one of that product: somebody else holds the lease by then.
    It is looked at once more right before traffic moves, for whoever was stopped in between.

    All raise `RouterUnreachable` when the gateway does not answer, those that count another `TryAgain` (such as
    `MetricsUnreachable`) when who counts in its stead does not, and in a cluster `ClusterRefused` for a missing right.
    """

    @property
    def shortfall(self) -> float | None:
        """How far the odds that an answer is a version's may lie below those configured before users go unanswered.

        Relatively; see `deployments.analysis.response_shortfall`. None where too few answers tell nothing of that: what
        the gateway says itself is counted (see `tallies`), or requests come in lumps of a user or of a connection.
        """
        ...

    def read(self, product: str) -> Routing | None:
        """The routing that is live now, as the gateway itself reports it; None: the product has no route."""
        ...

    def apply(self, product: str, routing: Routing, token: int | None = None) -> None:
        """Make `routing` live; returns once the gateway confirmed it. No request is lost on the way.

        Raises `RouterRefused` if the gateway does not take it; the former routing is then still live.
        """
        ...

    def retreat(self, product: str, version: int, note: Retreat, token: int | None = None) -> None:
        """Give all traffic to `version` on the servers that are known of it: at once, and needing as little as can be.

        Nobody is waited for, nothing is started, and the gateway's own word that it has happened may be still to come
        (`read` tells). `note` is kept until the next `apply` or `remove`. Nothing happens, and no note is kept, where
        `version` has all traffic already. Raises `RouterRefused` where no server of it is known, or none is ready as
        far as that can be told at once; the former routing is then still live.
        """
        ...

    def retreated(self, product: str) -> Retreat | None:
        """The note of the retreat that the present routing comes from; None: it was applied."""
        ...

    def newest_token(self, product: str) -> int:
        """The highest token of a lease that was shown for this product; 0 where none is known any more."""
        ...

    def in_flight(self, product: str, version: int) -> int:
        """Requests that this version is answering right now; 0 for one the gateway does not know."""
        ...

    def tallies(self, product: str) -> Mapping[Source, Counts]:
        """What users met in each version since this gateway started, by version, start and whether with a key.

        Counted is what came through the split or a match, and reached the version; not what was asked at a preview
        address, nor mirrored copies. `errors` are requests that got 5xx, of whomever, or an answer that broke off, and
        those that an attempt had failed in the midst of an answer before another one succeeded. A connection that was
        refused before anything was sent, and then repeated, is none. Requests whose client went away are `given_up`.
        """
        ...

    def copies(self, product: str) -> Mapping[Source, Counts]:
        """What became of the copies that were mirrored to each version since this gateway started.

        `errors` are copies that ended with 5xx or found no server. What is under way is not counted, and what was
        dropped because too much was under way neither: that says nothing of the version.
        """
        ...

    def remove(self, product: str, token: int | None = None) -> None:
        """Forget the product; its requests are answered by none of its servers from then on (404 by a gateway)."""
        ...
