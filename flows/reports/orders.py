"""What people told a rollout to do, and what became of it, as JSON."""

from typing import Any

from deployments.journals.protocol import Event, Journal
from deployments.rollout.operator_commands import Order
from deployments.rollout.state import RolloutState


def orders_report(state: RolloutState, journal: Journal) -> list[dict[str, Any]]:
    """Every order to a rollout, in the order in which they were given.

    `became` is `waits` (whoever carries the rollout has not come to it), `done`, or `declined`, with the reason in
    `why`: when two people order opposite things, the one who came second learns it here.
    """
    orders = journal.orders(state.rollout_id)
    events = journal.events(state.product) if orders else ()
    declined = [event for event in events if event.run == state.rollout_id and event.kind == "order.declined"]
    return [_report(order, state, declined) for order in orders]


def _report(order: Order, state: RolloutState, declined: list[Event]) -> dict[str, Any]:
    no = next((event for event in declined if _is_about(event, order)), None)
    if no is not None:
        declined.remove(no)
    waits = order.number > state.orders_done and state.live
    return {
        "number": order.number,
        "at": order.at,
        "verb": order.verb.value,
        "who": order.who,
        "reason": order.reason,
        "became": "declined" if no else "waits" if waits else "done",
        "why": str(no.detail["why"]) if no else "",
    }


def _is_about(event: Event, order: Order) -> bool:
    same = event.detail.get("who") == order.who and str(event.detail.get("why", "")).startswith(f"{order.verb}: ")
    return same and event.at >= order.at
