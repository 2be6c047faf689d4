"""One function a step. Each says what shall be true afterwards, so that doing it twice does no harm."""

import json
import math
from datetime import timedelta
from typing import Any, assert_never

from deployments.errors import NeverReady, RolloutFailed
from deployments.rollout.steps import Launch, Promote, Reinstate, Retire, Shift, Step, Verify
from deployments.spec import RolloutSection
from deployments.targets.protocol import Launch as Servers
from deployments.targets.protocol import Replica, ReplicaState
from deployments.traffic import Backend, Routing, Weights
from deployments.wiring import Doors

_POLL = timedelta(milliseconds=100)
_TOLERANCE = 1e-9


def perform(step: Step, product: str, section: RolloutSection, doors: Doors) -> str:
    """Carry out one step; returns what was seen, in a few words.

    Raises `NeverReady` or another `RolloutFailed` when it cannot be done; what it began is then for `restore` to clear.
    """
    match step:
        case Launch(version, replicas):
            return launch(product, version, replicas, section, doors)
        case Verify(version):
            return verify(product, version, doors)
        case Shift(weights):
            return shift(product, weights, doors)
        case Promote(version):
            doors.registry.promote(product, version, doors.clock.now())
            return f"v{version} is champion"
        case Reinstate(version):
            doors.registry.reinstate(product, version, doors.clock.now())
            return f"v{version} is champion again"
        case Retire(version):
            return retire(product, version, section, doors)
        case _:
            assert_never(step)


def launch(product: str, version: int, replicas: int, section: RolloutSection, doors: Doors) -> str:
    """Start servers of `version` and wait until all are ready; `NeverReady` says which one is not, and why."""
    folder = doors.registry.fetch(product, version, doors.models)
    trusted = doors.registry.get(product, version).facts.trusted_types
    doors.target.launch(Servers(product, version, folder, replicas, trusted))
    began = doors.clock.monotonic()
    while True:
        seen = doors.target.replicas(product, version)
        ready = [replica for replica in seen if replica.state is ReplicaState.READY]
        if len(ready) == len(seen) == replicas:
            return f"{replicas} ready after {doors.clock.monotonic() - began:.1f} s"
        for replica in seen:
            if replica.state is ReplicaState.FAILED:
                raise NeverReady(
                    f"{replica.name} cannot start: {replica.detail or 'see seatrial logs ' + replica.name}"
                )
        if doors.clock.monotonic() - began > section.ready_timeout.total_seconds():
            waiting = ", ".join(replica.name for replica in seen if replica not in ready) or f"v{version}"
            raise NeverReady(
                f"{waiting} not ready after {section.ready_timeout.total_seconds():g} s: "
                f"see `seatrial logs {waiting.split(',')[0]}`, or raise rollout.ready_timeout"
            )
        doors.clock.sleep(_POLL)


def verify(product: str, version: int, doors: Doors) -> str:
    """Every server of `version` must answer the held-out sample rows as training did, to within 1e-9."""
    folder = doors.registry.fetch(product, version, doors.models)
    sample = json.loads((folder / "verification.json").read_bytes())
    request = json.dumps(sample["request"]).encode()
    for replica in doors.target.replicas(product, version):
        _compare(replica, doors.target.ask(replica, "/invocations", request), sample["predictions"])
    return f"{len(sample['predictions'])} sample rows answered as in training"


def _compare(replica: Replica, answer: Any, expected: list[Any]) -> None:
    if answer.status != 200:
        raise NeverReady(
            f"{replica.name} answered {answer.status} to sample rows: {answer.body[:200].decode(errors='replace')}"
        )
    given = json.loads(answer.body)["predictions"]
    if len(given) != len(expected):
        raise NeverReady(f"{replica.name} gave {len(given)} predictions for {len(expected)} sample rows")
    for row, (got, wanted) in enumerate(zip(given, expected, strict=True)):
        if not _equal(got, wanted):
            raise NeverReady(f"{replica.name} answers sample row {row} with {got}, but training said {wanted}")


def _equal(got: Any, wanted: Any) -> bool:
    if isinstance(wanted, list):
        return isinstance(got, list) and len(got) == len(wanted) and all(map(_equal, got, wanted))
    if isinstance(wanted, float) and isinstance(got, int | float):
        return math.isclose(got, wanted, rel_tol=_TOLERANCE, abs_tol=_TOLERANCE)
    return bool(got == wanted)


def shift(product: str, weights: Weights, doors: Doors) -> str:
    """Every version with servers stays known to the router; `weights` says who is asked."""
    backends = tuple(
        Backend(version, _addresses(doors.target.replicas(product, version)))
        for version in doors.target.versions(product)
    )
    try:
        routing = Routing(tuple(backend for backend in backends if backend.addresses), weights)
    except ValueError as error:
        raise RolloutFailed(f"{product}: cannot shift to {weights}: {error}") from error
    doors.router.apply(product, routing)
    live = doors.router.read(product)
    if live is None or live.weights != weights:
        raise RolloutFailed(
            f"{product}: asked for {weights}, but the gateway reports {live.weights if live else 'no route'}"
        )
    return f"gateway confirms {weights}"


def _addresses(replicas: tuple[Replica, ...]) -> tuple[str, ...]:
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
        doors.router.apply(product, Routing(rest, live.weights))
    doors.target.retire(product, version, section.drain_timeout)
    return f"v{version} is gone"


def _drain(product: str, version: int, limit: timedelta, doors: Doors) -> None:
    began = doors.clock.monotonic()
    while doors.router.in_flight(product, version) and doors.clock.monotonic() - began < limit.total_seconds():
        doors.clock.sleep(_POLL)


def restore(product: str, section: RolloutSection, doors: Doors) -> str:
    """Make the world what the registry says: the champion has all traffic, nobody else has servers.

    The answer to every crash and every failed step. With no champion the product has no route and no servers.
    """
    champion = doors.registry.champion(product)
    if champion is None:
        doors.router.remove(product)
        for version in doors.target.versions(product):
            doors.target.retire(product, version, section.drain_timeout)
        return "no champion yet: nothing is served"
    wanted = Weights.all_to(champion.version)
    launch(product, champion.version, section.replicas, section, doors)
    live = doors.router.read(product)
    if live is None or live.weights != wanted or not _points_at_servers(live, product, doors):
        shift(product, wanted, doors)
    for version in doors.target.versions(product):
        if version != champion.version:
            retire(product, version, section, doors)
    return f"v{champion.version} has all traffic"


def _points_at_servers(live: Routing, product: str, doors: Doors) -> bool:
    return all(
        set(backend.addresses) == set(_addresses(doors.target.replicas(product, backend.version)))
        for backend in live.backends
    )
