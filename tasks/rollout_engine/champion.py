"""Who serves a product: by the journal, then by the traffic that flows, and only last by the registry."""

from contextlib import suppress

from deployments.errors import SeatrialError
from deployments.rollout.state import Phase, RolloutState
from deployments.rollout.steps import Promote, Reinstate
from deployments.traffic import Routing
from deployments.wiring import Doors


def who_serves(product: str, doors: Doors) -> int | None:
    """The version that all users of `product` are to be answered by; None: nobody serves yet.

    The newest rollout in the journal tells. Where it names nobody (there is none, or it was to bring the first version)
    it is whoever is alone in the traffic; of several that have servers there (the journal was lost in the middle of a
    rollout) the registry's champion, else the one with most of the traffic; and where there is no traffic the
    registry's champion. What a person wrote into the registry by hand therefore never takes a product off the air.
    Raises what the journal raises; a router or a registry that does not answer is asked for its word only where it is
    needed, and then raises, too, unless the traffic tells enough.
    """
    newest = next(iter(doors.journal.rollouts(product)), None)
    by_journal = None if newest is None else champion_by(newest)
    if by_journal is not None:
        return by_journal
    live = doors.router.read(product)
    if live is not None:
        return _among(live, product, doors)
    champion = doors.registry.champion(product)
    return None if champion is None else champion.version


def champion_by(state: RolloutState) -> int | None:
    """Who is champion by a rollout: its candidate once promoted and not taken back, else the one before it."""
    if promoted(state) and (state.former is None or state.phase not in {Phase.RESTORING, Phase.ROLLED_BACK}):
        return state.candidate
    return state.former


def promoted(state: RolloutState) -> bool:
    """Whether the candidate was made champion, as far as the plan was carried."""
    return any(isinstance(step, Promote | Reinstate) for step in state.steps[: state.done])


def most_served(live: Routing) -> int:
    """Who has the greatest share of the traffic, the older of two equals."""
    return max(sorted(live.weights.percents), key=live.weights.of)


def _among(live: Routing, product: str, doors: Doors) -> int:
    """Who is champion of those that the router knows: a candidate may have most of the traffic, or all of it."""
    known = {backend.version for backend in live.backends}
    if len(known) > 1:
        with suppress(SeatrialError):
            champion = doors.registry.champion(product)
            if champion is not None and champion.version in known:
                return champion.version
    return most_served(live)
