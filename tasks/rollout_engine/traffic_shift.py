"""Who is asked: shifting traffic, reading back that it moved, and taking a version out of it."""

from datetime import timedelta

from deployments.errors import RolloutFailed
from deployments.rollout.steps import Shift
from deployments.spec import RolloutSection
from deployments.targets.protocol import Replica, ReplicaState
from deployments.traffic import DEFAULT_KEY, Backend, Routing, StickyKey, Weights
from deployments.wiring import Doors

_POLL, _LONGEST_POLL = timedelta(milliseconds=100), timedelta(seconds=1)
_OWN_KEY = StickyKey(header=DEFAULT_KEY)


def shift(product: str, wanted: Shift, doors: Doors, versions: tuple[int, ...] = ()) -> str:
    """Every version with servers stays known to the router, or of them only `versions`; `wanted` says who is asked."""
    before = doors.router.read(product)
    known = versions or doors.target.versions(product)
    backends = tuple(_backend(product, version, before, doors) for version in known)
    try:
        there = tuple(backend for backend in backends if backend.addresses)
        routing = Routing(there, wanted.weights, wanted.matches, wanted.mirror, wanted.key)
    except ValueError as error:
        raise RolloutFailed(f"{product}: cannot {wanted}: {error}") from error
    doors.router.apply(product, routing)
    live = doors.router.read(product)
    if live is None or not is_routed_as(wanted, live):
        raise RolloutFailed(
            f"{product}: asked for {wanted.weights}, but the gateway reports {live.weights if live else 'no route'}"
        )
    return f"gateway confirms {wanted.weights}"


def reapply_routing(product: str, wanted: Shift | None, doors: Doors) -> None:
    """See that traffic still flows as `wanted` (None: nothing was wanted yet); what other hands changed is put right.

    Asked before something is built on it that cannot be taken back at once: a promotion, servers that end.
    """
    if wanted is None:
        return
    live = doors.router.read(product)
    if live is None or not is_routed_as(wanted, live):
        shift(product, wanted, doors)


def _backend(product: str, version: int, live: Routing | None, doors: Doors) -> Backend:
    """The servers that are ready, and those in use that are only too busy to say so: the gateway knows better."""
    former = live.backend(version) if live else None
    in_use = former.addresses if former else ()
    replicas = doors.target.replicas(product, version)
    busy = (each for each in replicas if each.state is ReplicaState.STARTING and each.address in in_use)
    return Backend(version, (*addresses(replicas), *(each.address for each in busy)))


def is_routed_as(wanted: Shift, live: Routing) -> bool:
    """Whether the live routing splits, matches and mirrors as `wanted`, and keeps users by the same key.

    Versions without traffic do not count, nor does the key where one version has all.
    """
    return (
        _shares(live.weights) == _shares(wanted.weights)
        and set(live.matches) == set(wanted.matches)
        and live.mirror == wanted.mirror
        and (len(_shares(wanted.weights)) == 1 or (live.key or _OWN_KEY) == (wanted.key or _OWN_KEY))
    )


def _shares(weights: Weights) -> dict[int, float]:
    return {version: percent for version, percent in weights.percents.items() if percent}


def addresses(replicas: tuple[Replica, ...]) -> tuple[str, ...]:
    """Where the ready ones listen."""
    return tuple(replica.address for replica in replicas if replica.state is ReplicaState.READY)


def retire(product: str, version: int, section: RolloutSection, doors: Doors) -> str:
    """Take `version` out of the routing, let it finish what it is answering, stop its servers."""
    live = doors.router.read(product)
    if live is not None and live.backend(version) is not None:
        if live.weights.of(version):
            raise RolloutFailed(
                f"{product}: v{version} still has {live.weights.of(version)} % of the traffic: shift it away first"
            )
        rest = tuple(backend for backend in live.backends if backend.version != version)
        _drain(product, version, section.drain_timeout, doors)
        doors.router.apply(product, Routing(rest, live.weights, key=live.key))
    doors.target.retire(product, version, section.drain_timeout)
    return f"v{version} is gone"


def _drain(product: str, version: int, limit: timedelta, doors: Doors) -> None:
    began, pause = doors.clock.monotonic(), _POLL
    while doors.router.in_flight(product, version) and doors.clock.monotonic() - began < limit.total_seconds():
        doors.clock.sleep(pause)
        pause = min(2 * pause, _LONGEST_POLL)  # on a cluster every pod is asked
