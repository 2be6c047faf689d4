"""A journal that lives as long as its process: tests and dry runs."""

from datetime import datetime, timedelta

from deployments.analysis.evidence import Block
from deployments.fencing import next_token
from deployments.journals.protocol import Event, Lease, Recorded
from deployments.journals.refusals import held_by, is_over, is_unknown
from deployments.process_identity import Owner
from deployments.rollout.operator_commands import Order, Verb
from deployments.rollout.state import RolloutState


class InMemoryJournal:
    """The contract of `Journal` in plain dictionaries."""

    orders_every = timedelta(0)

    def __init__(self) -> None:
        self._rollouts: dict[str, RolloutState] = {}
        self._events: list[Event] = []
        self._leases: dict[str, tuple[Lease, datetime]] = {}
        self._tokens: dict[str, int] = {}
        self._blocks: dict[str, list[Block]] = {}
        self._orders: list[Order] = []

    def acquire(self, product: str, holder: Owner, now: datetime, ttl: timedelta, above: int = 0) -> Lease:
        """See `Journal.acquire`."""
        held = self._leases.get(product)
        ours = held is not None and held[0].holder == holder
        if held is not None and ours and held[0].token > above:
            self._leases[product] = (held[0], now + ttl)
            return held[0]
        if held is not None and not ours and held[0].holder.keeps(held[1], now):
            raise held_by(product, held[0].holder)
        self._tokens[product] = next_token(max(self._tokens.get(product, 0), above), now)
        lease = Lease(product, holder, self._tokens[product])
        self._leases[product] = (lease, now + ttl)
        return lease

    def renew(self, lease: Lease, now: datetime, ttl: timedelta) -> None:
        """See `Journal.renew`."""
        self._check(lease)
        self._leases[lease.product] = (lease, now + ttl)

    def release(self, lease: Lease) -> None:
        """See `Journal.release`."""
        if self._holds(lease):
            del self._leases[lease.product]

    def save(self, state: RolloutState, lease: Lease, block: Block | None = None) -> None:
        """See `Journal.save`."""
        self._check(lease)
        self._rollouts[state.rollout_id] = state
        if block is not None:
            self._blocks.setdefault(state.rollout_id, []).append(block)

    def rollout(self, product: str, rollout_id: str) -> RolloutState:
        """See `Journal.rollout`."""
        found = self._rollouts.get(rollout_id)
        if found is None or found.product != product:
            raise is_unknown(product, rollout_id)
        return found

    def rollouts(self, product: str, newest: int | None = None) -> tuple[RolloutState, ...]:
        """See `Journal.rollouts`."""
        mine = [state for state in reversed(self._rollouts.values()) if state.product == product]
        return tuple(sorted(mine, key=lambda state: state.started_at, reverse=True)[:newest])

    def holder(self, product: str, now: datetime) -> Owner | None:
        """See `Journal.holder`."""
        held = self._leases.get(product)
        return held[0].holder if held and held[0].holder.keeps(held[1], now) else None

    def under_way(self) -> tuple[RolloutState, ...]:
        """See `Journal.under_way`."""
        live = [state for state in self._rollouts.values() if state.live]
        return tuple(sorted(live, key=lambda state: state.started_at))

    def newest(self) -> tuple[RolloutState, ...]:
        """See `Journal.newest`."""
        return tuple(self.rollouts(name)[0] for name in sorted({state.product for state in self._rollouts.values()}))

    def evidence(self, rollout_id: str, skip: int = 0) -> tuple[Block, ...]:
        """See `Journal.evidence`."""
        return tuple(self._blocks.get(rollout_id, ())[skip:])

    def give(self, rollout_id: str, verb: Verb, who: str, reason: str, at: datetime) -> Order:
        """See `Journal.give`."""
        order = Order(len(self._orders) + 1, rollout_id, verb, who, reason, at)
        self._orders.append(order)
        return order

    def orders(self, rollout_id: str, after: int = 0) -> tuple[Order, ...]:
        """See `Journal.orders`."""
        return tuple(order for order in self._orders if order.rollout_id == rollout_id and order.number > after)

    def record(self, event: Event) -> None:
        """See `Journal.record`."""
        self._events.append(event)

    def events(self, product: str | None = None, newest: int | None = None) -> tuple[Event, ...]:
        """See `Journal.events`."""
        found = [event for event in self._events if product in (None, event.product)]
        return tuple(found if newest is None else found[max(0, len(found) - newest) :])

    def events_after(self, position: str | None) -> tuple[tuple[Recorded, ...], str]:
        """See `Journal.events_after`."""
        end = len(self._events)
        start = end if position is None else int(position) if position.isdecimal() else 0
        start = start if start <= end else 0
        return tuple(Recorded(str(number), self._events[number]) for number in range(start, end)), str(end)

    def _check(self, lease: Lease) -> None:
        if not self._holds(lease):
            raise is_over(lease)

    def _holds(self, lease: Lease) -> bool:
        held = self._leases.get(lease.product)
        return held is not None and held[0].token == lease.token
