"""The way back: the champion has all traffic, nobody else has servers."""

from contextlib import suppress

from deployments.errors import NeverReady, NotFound, RouterRefused, SeatrialError
from deployments.registry import DeploymentStatus
from deployments.rollout.state import Phase, RolloutState
from deployments.rollout.steps import Promote, Reinstate, Shift
from deployments.spec import RolloutSection
from deployments.traffic import Routing, Weights
from deployments.wiring import Doors
from tasks.rollout_engine.champion import promoted, who_serves
from tasks.rollout_engine.emergency_rollback import give_back
from tasks.rollout_engine.lease import hold
from tasks.rollout_engine.patience import retried_for_a_minute
from tasks.rollout_engine.reasons import not_retired
from tasks.rollout_engine.server_launch import await_ready, start_again
from tasks.rollout_engine.step_actions import dismiss_challenger
from tasks.rollout_engine.traffic_shift import addresses, is_routed_as, retire, shift


def put_champion_back(state: RolloutState, doors: Doors) -> str:
    """End the rollout in the world: users first, then the servers, and last what the registry says of it.

    Only a candidate that `is_crowned` stays. The rollout's state tells who is put back, never the registry.
    Returns what was seen. Safe to repeat.
    """
    if is_crowned(state, doors):
        return _restored(state.product, state.candidate, state.section, doors)
    seen = move_users_back(state, doors)
    restore_registry(state, doors)
    return seen


def move_users_back(state: RolloutState, doors: Doors) -> str:
    """The part of `put_champion_back` that needs no registry, for a rollout that has not arrived."""
    give_back(state, doors)
    return _restored(state.product, state.former, state.section, doors)


def is_crowned(state: RolloutState, doors: Doors) -> bool:
    """Whether the candidate is champion, and nobody wants it otherwise or could take its place.

    The registry is asked only where the journal cannot know: when the rollout was about to promote.
    """
    if state.phase is Phase.RESTORING and state.former is not None:
        return False
    if promoted(state):
        return True
    if not isinstance(state.step, Promote | Reinstate):
        return False
    champion = doors.registry.champion(state.product)
    return champion is not None and champion.version == state.candidate


def restore_registry(state: RolloutState, doors: Doors) -> None:
    """The registry says what is true again: the former one is champion, and the candidate was refused.

    A version that the registry has lost meanwhile keeps nobody from ending.
    """
    with suppress(NotFound):
        champion = doors.registry.champion(state.product)
        crowned = champion is not None and champion.version == state.candidate
        lost = champion is None and promoted(state)
        if state.former is not None and state.candidate != state.former and (crowned or lost):
            doors.registry.reinstate(state.product, state.former, doors.clock.now(), state.candidate)
    with suppress(NotFound):
        dismiss_challenger(state.product, state.candidate, DeploymentStatus.REFUSED, doors)


def restore(product: str, section: RolloutSection, doors: Doors) -> str:
    """Make the world as it should be: who serves (see `who_serves`) has all traffic, nobody else has servers.

    The first thing that happens is that the champion's servers get all traffic, as soon as one of them is ready. Its
    reserve comes last: servers of the champion that do not come up, and others that do not go, are told of and no
    obstacle. With no champion the product has no route and no servers.
    """
    return _restored(product, who_serves(product, doors), section, doors)


def _restored(product: str, champion: int | None, section: RolloutSection, doors: Doors) -> str:
    if champion is None:
        doors.router.remove(product)
        for version in doors.target.versions(product):
            doors.target.retire(product, version, section.drain_timeout)
        return "no champion yet: nothing is served"
    give_all_traffic(product, champion, section, doors)
    others = [version for version in doors.target.versions(product) if version != champion]
    amiss = [_retired(product, version, section, doors) for version in others]
    amiss.append(_reserve(product, champion, section, doors))
    _route(product, champion, doors)
    return "; ".join((f"v{champion} has all traffic", *filter(None, amiss)))


def give_all_traffic(product: str, champion: int, section: RolloutSection, doors: Doors) -> None:
    """All traffic to `champion`, whose servers are started if they are not there; needs neither journal nor registry.

    The registry is asked for a version that never ran on this machine.
    """
    if addresses(doors.target.replicas(product, champion)):
        # What the router misses of the champion may be what is started next.
        with suppress(RouterRefused):
            _route(product, champion, doors)
    start_again(product, champion, section.replicas, section, doors)
    await_ready(product, champion, 1, section, doors)
    _route(product, champion, doors)


def _retired(product: str, version: int, section: RolloutSection, doors: Doors) -> str:
    """Why servers that have no traffic did not go (on a node that is gone, say); empty if they went."""
    hold(product, doors, section)  # each may drain for long; `Busy` stops whoever lost the lease meanwhile
    try:
        retried_for_a_minute(lambda: retire(product, version, section, doors), doors)
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


def is_restored(product: str, doors: Doors) -> bool:
    """Whether the world is as `restore` makes it, as far as servers and routes go."""
    champion, live = who_serves(product, doors), doors.router.read(product)
    if champion is None:
        return live is None and not doors.target.versions(product)
    alone = doors.target.versions(product) == (champion,)
    return alone and live is not None and is_routed_as(Shift(Weights.all_to(champion)), live)


def _route(product: str, champion: int, doors: Doors) -> None:
    """All traffic to the champion; if need be the router forgets others, of which it may find something amiss."""
    wanted, live = Shift(Weights.all_to(champion)), doors.router.read(product)
    if live is not None and is_routed_as(wanted, live) and _points_at_servers(live, product, doors):
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
