"""What was predicted for users with a key: servers know the prediction, the gateway knows whose request it was."""

import threading
from collections import OrderedDict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Final

from deployments.analysis.counter_deltas import Heard
from deployments.errors import MetricsUnreachable
from deployments.metrics.model_servers import Ask, KeyedAnswers, Servers, ask_directly, keyed_answers_of

Predicted = Mapping[str, float]

_PAGE, _MOST_PAGES = 2_000, 10
_MOST_WAITING: Final = 20_000


@dataclass(slots=True)
class _Joining:
    """`places`: by server, its epoch and how far its answers were read. `waiting`: predictions by request."""

    places: dict[str, tuple[str, int]] = field(default_factory=dict)
    waiting: OrderedDict[str, Predicted] = field(default_factory=OrderedDict)


class KeyedPredictions:
    """Joins what servers predicted to what the gateway's log tells, by the request's id; in memory, and bounded.

    A prediction that a server has forgotten already is not known, whatever it was. Safe for several threads.
    """

    def __init__(self, servers: Servers, ask: Ask = ask_directly) -> None:
        self._servers, self._ask = servers, ask
        self._joining: dict[str, _Joining] = {}
        self._lock = threading.Lock()

    def begin(self, product: str) -> None:
        """What was answered before does not matter. Raises whatever `servers` raises."""
        with self._lock:
            self._joining.pop(product, None)
            self._read(product)

    def complete(self, product: str, heard: Heard) -> Heard:
        """`heard` with what was predicted; who does not answer is left out. Raises whatever `servers` does."""
        if not heard.outcomes:
            return heard
        with self._lock:
            waiting = self._read(product).waiting
            outcomes = tuple(
                replace(outcome, predicted=waiting.pop(request, {}))
                for outcome, request in zip(heard.outcomes, heard.requests, strict=True)
            )
        return replace(heard, outcomes=outcomes)

    def _read(self, product: str) -> _Joining:
        joining = self._joining.setdefault(product, _Joining())
        servers = [address for known in self._servers(product).values() for address in known]
        joining.places = {address: place for address, place in joining.places.items() if address in servers}
        for address in servers:
            for request, predicted in self._fresh(address, joining.places):
                joining.waiting[request] = predicted
                if len(joining.waiting) > _MOST_WAITING:
                    joining.waiting.popitem(last=False)
        return joining

    def _fresh(self, address: str, places: dict[str, tuple[str, int]]) -> Iterator[tuple[str, Predicted]]:
        """Predictions of one server since the look before; none at the first look at it."""
        try:
            if address not in places:
                first = self._page(address, 0, 0)
                places[address] = (first.epoch, first.last)
                return
            for _ in range(_MOST_PAGES):
                epoch, after = places[address]
                page = self._page(address, after, _PAGE)
                if page.epoch != epoch:
                    page = self._page(address, 0, _PAGE)
                places[address] = (page.epoch, page.next)
                yield from ((each.request_id, each.predicted) for each in page.answers)
                if page.next >= page.last:
                    return
        except MetricsUnreachable:
            return

    def _page(self, address: str, after: int, limit: int) -> KeyedAnswers:
        # Whose they were the gateway tells: nobody looks at these users, so that they need no salt.
        return keyed_answers_of(address, after, limit, "", self._ask)
