"""A journal that lives as long as its process: tests and dry runs."""

from datetime import datetime, timedelta

from deployments.errors import Busy
from deployments.journals.protocol import Event, Lease
from deployments.owner import Owner
from deployments.rollout.state import RolloutState


class InMemoryJournal:
    """The contract of `Journal` in plain dictionaries."""

    def __init__(self) -> None:
        self._rollouts: dict[str, RolloutState] = {}
        self._events: list[Event] = []
        self._leases: dict[str, tuple[Lease, datetime]] = {}
        self._tokens: dict[str, int] = {}

    def acquire(self, product: str, holder: Owner, now: datetime, ttl: timedelta) -> Lease:
        """See `Journal.acquire`."""
        held = self._leases.get(product)
        if held is not None and held[0].holder == holder:
            self._leases[product] = (held[0], now + ttl)
            return held[0]
        if held is not None and now < held[1] and not held[0].holder.is_gone():
            raise Busy(f"{product}: {held[0].holder} is changing its traffic: wait for it to end, or end it")
        self._tokens[product] = self._tokens.get(product, 0) + 1
        lease = Lease(product, holder, self._tokens[product])
        self._leases[product] = (lease, now + ttl)
        return lease

    def release(self, lease: Lease) -> None:
        """See `Journal.release`."""
        if self._holds(lease):
            del self._leases[lease.product]

    def save(self, state: RolloutState, lease: Lease) -> None:
        """See `Journal.save`."""
        if not self._holds(lease):
            raise Busy(
                f"{lease.product}: the lease {lease.token} of {lease.holder} was taken over; nothing was written"
            )
        self._rollouts[state.rollout_id] = state

    def rollouts(self, product: str) -> tuple[RolloutState, ...]:
        """See `Journal.rollouts`."""
        mine = [state for state in self._rollouts.values() if state.product == product]
        return tuple(sorted(mine, key=lambda state: state.started_at, reverse=True))

    def record(self, event: Event) -> None:
        """See `Journal.record`."""
        self._events.append(event)

    def events(self, product: str | None = None) -> tuple[Event, ...]:
        """See `Journal.events`."""
        return tuple(event for event in self._events if product in (None, event.product))

    def _holds(self, lease: Lease) -> bool:
        held = self._leases.get(lease.product)
        return held is not None and held[0].token == lease.token
