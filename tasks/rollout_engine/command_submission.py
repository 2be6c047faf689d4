"""Telling a rollout under way what to do, and seeing what becomes of it."""

from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final

from deployments.clock import Clock
from deployments.errors import BadInput, Busy, NotFound
from deployments.journals.protocol import Journal
from deployments.rollout.decide import NotNowError, obey
from deployments.rollout.operator_commands import Order, Verb
from deployments.rollout.state import Phase, RolloutState
from deployments.strategies.plan import Change, finale, goal_of
from tasks.rollout_engine.lease import under_way

PATIENCE: Final = timedelta(seconds=10)
_GLANCE: Final = timedelta(seconds=0.25)
# A rollout that nobody carries is picked up within a minute; what its last step waits for comes on top.
_PICKED_UP: Final = timedelta(seconds=60)


@dataclass(frozen=True, slots=True)
class Reply:
    """What became of an order: the rollout afterwards, whether its carrier dealt with it, and whether there is one."""

    order: Order
    state: RolloutState
    dealt_with: bool
    carried: bool

    def document(self) -> dict[str, Any]:
        """As JSON."""
        return {
            "product": self.state.product,
            "rollout": self.state.rollout_id,
            "candidate": self.state.candidate,
            "verb": self.order.verb.value,
            "dealt_with": self.dealt_with,
            "carried": self.carried,
            "phase": self.state.phase.value,
            "step": str(self.state.step or "finish") if self.state.live else None,
            "reason": self.state.reason,
        }

    def sentence(self) -> str:
        """For people."""
        who = f"{self.state.product} v{self.state.candidate}"
        if self.dealt_with:
            phase = self.state.phase.value.replace("_", " ")
            return f"{who}: {phase}{f' ({self.state.reason})' if self.state.reason else ''}"
        told = f"{who}: the order to {self.order.verb} is written down"
        if self.carried:
            return f"{told}; the step under way ends first: `seatrial watch {self.state.product}` shows it"
        return f"{told}; nobody carries the rollout now: it is picked up within a minute, if the platform is up"


def place_order(product: str, verb: Verb, who: str, reason: str, journal: Journal, clock: Clock) -> Reply:
    """`give_order`, and wait up to ten seconds until it was dealt with; an abort, until the traffic is back."""
    order, state = give_order(product, verb, who, reason, journal, clock)
    limit = _time_back(state) if verb is Verb.ABORT else PATIENCE
    until = clock.monotonic() + limit.total_seconds()
    while not _dealt_with(state, order) and clock.monotonic() < until:
        clock.sleep(_GLANCE)
        state = journal.rollout(product, state.rollout_id)
    _see_that_it_was_taken(order, state, journal)
    carried = journal.holder(product, clock.now()) is not None
    return Reply(order, state, _dealt_with(state, order), carried)


def give_order(
    product: str, verb: Verb, who: str, reason: str, journal: Journal, clock: Clock
) -> tuple[Order, RolloutState]:
    """Write the order down for whoever carries the rollout; returns it, and the rollout that it is for.

    Raises `NotFound` when no rollout of `product` is under way, `BadInput` when the order cannot mean anything now.
    """
    state = rollout_under_way(product, journal)
    _check(state, Order(0, state.rollout_id, verb, who, reason, clock.now()), journal)
    return journal.give(state.rollout_id, verb, who, reason, clock.now()), state


def rollout_under_way(product: str, journal: Journal) -> RolloutState:
    """The product's rollout that has not ended. Raises `NotFound` for none."""
    state = under_way(product, journal)
    if state is None and not journal.rollouts(product):
        raise NotFound(f"{product!r} was never rolled out here: `seatrial status` names the products that were")
    if state is None:
        raise NotFound(f"no rollout of {product!r} is under way: `seatrial explain {product}` shows the last one")
    return state


def _check(state: RolloutState, order: Order, journal: Journal) -> None:
    """Try the order on a copy, after those still to be dealt with; `BadInput` says what speaks against it."""
    rest = finale(Change(goal_of(state.steps), state.candidate, state.former, ()), state.section)
    for pending in (*journal.orders(state.rollout_id, state.orders_done), order):
        try:
            state = obey(state, pending, rest, order.at)
        except NotNowError as error:
            if pending is order:
                raise BadInput(f"{state.product} v{state.candidate}: cannot {order.verb} now: {error}") from None


def _dealt_with(state: RolloutState, order: Order) -> bool:
    if order.verb is Verb.ABORT:
        return not state.live
    return state.orders_done >= order.number or not state.live


def _time_back(state: RolloutState) -> timedelta:
    """An abort waits for the step under way, for servers of the champion, and for the candidate's last answers."""
    return _PICKED_UP + 2 * (state.section.ready_timeout + state.section.drain_timeout)


def _see_that_it_was_taken(order: Order, state: RolloutState, journal: Journal) -> None:
    """The state may have changed between the trial and the order. Raises `BadInput` with the carrier's own answer."""
    for event in journal.events(state.product):
        mine = event.run == order.rollout_id and event.at >= order.at and event.kind == "order.declined"
        if mine and event.detail.get("who") == order.who and str(event.detail.get("why", "")).startswith(order.verb):
            raise BadInput(f"{state.product} v{state.candidate}: cannot {event.detail['why']}")


def abort_under_way(product: str, who: str, reason: str, journal: Journal, clock: Clock) -> RolloutState | None:
    """End the rollout under way, if there is one, and return it as it ended; None if there was none.

    One that nobody carries is returned as it is: whoever takes the product's lease next puts the champion back. Raises
    `Busy` when its carrier does not come to its end.
    """
    state = under_way(product, journal)
    if state is None or journal.holder(product, clock.now()) is None:
        return state
    if state.phase is not Phase.RESTORING:
        journal.give(state.rollout_id, Verb.ABORT, who, reason, clock.now())
    until = clock.monotonic() + _time_back(state).total_seconds()
    while state.live and journal.holder(product, clock.now()) is not None:
        if clock.monotonic() >= until:
            raise Busy(f"{product}: the rollout of v{state.candidate} does not end: `seatrial watch {product}`")
        clock.sleep(_GLANCE)
        state = journal.rollout(product, state.rollout_id)
    return state
