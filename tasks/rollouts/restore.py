"""The way back: the champion has all traffic, nobody else has servers."""

from contextlib import suppress

from deployments.errors import NeverReady, RouterRefused, SeatrialError
from deployments.registry import DeploymentStatus
from deployments.rollout.state import Phase, RolloutState
from deployments.rollout.steps import Shift
from deployments.spec import RolloutSection
from deployments.traffic import Routing, Weights
from deployments.wiring import Doors
from tasks.rollouts.champion import promoted, who_serves
from tasks.rollouts.keeping import hold, not_retired, patiently
from tasks.rollouts.perform import dismiss
from tasks.rollouts.servers import await_ready, start
from tasks.rollouts.traffic import addresses, flows_as, retire, shift


def put_back(state: RolloutState, doors: Doors) -> str:
    """End the rollout in the world: a promotion that took place is taken back, and `restore` does the rest.

    Only what had arrived (see `arrived`) stays. Returns what was seen. Safe to repeat.
    """
    stays = arrived(state, doors)
    if not stays:
        _undo_promotion(state, doors)
    seen = restore(state.product, state.section, doors)
    if not stays:
        dismiss(state.product, state.candidate, DeploymentStatus.REFUSED, doors)
    return seen


def arrived(state: RolloutState, doors: Doors) -> bool:
    """Whether the candidate is champion, and nobody wants it otherwise or could take its place."""
    wanted = state.phase is not Phase.RESTORING or state.former is None
    return wanted and promoted(state)


def _undo_promotion(state: RolloutState, doors: Doors) -> None:
    champion = doors.registry.champion(state.product)
    if state.former is not None and champion is not None and champion.version == state.candidate != state.former:
        doors.registry.reinstate(state.product, state.former, doors.clock.now(), state.candidate)


def restore(product: str, section: RolloutSection, doors: Doors) -> str:
    """Make the world what `who_serves` says: the champion has all traffic, nobody else has servers.

    The answer to every failed step and to harm: the first thing that happens is that the champion's servers get all
    traffic, as soon as one of them is ready. Its reserve comes last: servers of the champion that do not come up, and
    others that do not go, are told of and no obstacle. With no champion the product has no route and no servers.
    """
    champion = who_serves(product, doors)
    if champion is None:
        doors.router.remove(product)
        for version in doors.target.versions(product):
            doors.target.retire(product, version, section.drain_timeout)
        return "no champion yet: nothing is served"
    if addresses(doors.target.replicas(product, champion)):
        # What the router misses of the champion may be what is started next.
        with suppress(RouterRefused):
            _route(product, champion, doors)
    start(product, champion, section.replicas, section, doors)
    await_ready(product, champion, 1, section, doors)
    _route(product, champion, doors)
    others = [version for version in doors.target.versions(product) if version != champion]
    amiss = [_retired(product, version, section, doors) for version in others]
    amiss.append(_reserve(product, champion, section, doors))
    _route(product, champion, doors)
    return "; ".join((f"v{champion} has all traffic", *filter(None, amiss)))


def _retired(product: str, version: int, section: RolloutSection, doors: Doors) -> str:
    """Why servers that have no traffic did not go (on a node that is gone, say); empty if they went."""
    hold(product, doors, section)  # each may drain for long; `Busy` stops whoever lost the lease meanwhile
    try:
        patiently(lambda: retire(product, version, section, doors), doors)
    except SeatrialError as error:
        return not_retired(version, error)
    return ""


def _reserve(product: str, champion: int, section: RolloutSection, doors: Doors) -> str:
    """Why not all of the champion's servers came up; empty if they did."""
    if len(addresses(doors.target.replicas(product, champion))) >= section.replicas:
        return ""
    hold(product, doors, section)
    try:
        await_ready(product, champion, section.replicas, section, doors)
    except NeverReady as error:
        return str(error)
    return ""


def at_rest(product: str, doors: Doors) -> bool:
    """Whether the world is as `restore` makes it, as far as servers and routes go."""
    champion, live = who_serves(product, doors), doors.router.read(product)
    if champion is None:
        return live is None and not doors.target.versions(product)
    alone = doors.target.versions(product) == (champion,)
    return alone and live is not None and flows_as(Shift(Weights.all_to(champion)), live)


def _route(product: str, champion: int, doors: Doors) -> None:
    """All traffic to the champion; if need be the router forgets others, of which it may find something amiss."""
    wanted, live = Shift(Weights.all_to(champion)), doors.router.read(product)
    if live is not None and flows_as(wanted, live) and _points_at_servers(live, product, doors):
        return
    try:
        shift(product, wanted, doors)
    except RouterRefused:
        shift(product, wanted, doors, versions=(champion,))


def _points_at_servers(live: Routing, product: str, doors: Doors) -> bool:
    return all(
        set(backend.addresses) == set(addresses(doors.target.replicas(product, backend.version)))
        for backend in live.backends
    )
