"""One suite for every router: whoever lost its lease in the middle of a write changes nothing any more."""

import fcntl
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from deployments.clock import SystemClock
from deployments.cluster import Cluster
from deployments.errors import Busy, RouterUnreachable
from deployments.routers.envoy import EnvoyRouter, Patience
from deployments.routers.fenced import FencedRouter
from deployments.routers.rollback_routing import Retreat
from deployments.traffic import Backend, Routing, Weights
from tests.contracts.routers.cluster_worlds import GatewayApiWorld, PodWorld, ServiceWorld
from tests.contracts.routers.gateway import eventually
from tests.contracts.routers.worlds import EnvoyWorld, World, one, two
from tests.fakes.kubernetes import FakeKubernetes
from tests.unit.deployments.journals.runners import NOW, Watched
from tests.unit.deployments.test_file_lock import holder_of, stopped


def test_a_write_under_a_former_lease_is_refused_and_the_routing_stays(world: World, product: str) -> None:
    first, second = one(1, world.server(1)), one(2, world.server(2))
    world.router.apply(product, first, 5)
    world.router.apply(product, second, 7)
    for write in (lambda: world.router.apply(product, first, 6), lambda: world.router.remove(product, 6)):
        with pytest.raises(Busy, match="lease 6 is over, 7 has been at work since"):
            write()
    assert world.router.read(product) == second
    assert set(world.ask(product, 20)) == {2}


def test_the_same_lease_writes_again_and_so_does_a_later_one(world: World, product: str) -> None:
    first, second = one(1, world.server(1)), one(2, world.server(2))
    for routing, token in ((first, 5), (first, 5), (second, 5), (first, 9), (second, 9)):
        world.router.apply(product, routing, token)
        assert world.router.read(product) == routing
    world.router.remove(product, 9)
    assert world.router.read(product) is None


def test_a_lease_that_changes_nothing_is_remembered_all_the_same(world: World, product: str) -> None:
    """A successor finds the routing as it wants it; its predecessor has still something to write."""
    wanted = one(1, world.server(1))
    world.router.apply(product, wanted, 5)
    world.router.apply(product, wanted, 6)
    with pytest.raises(Busy):
        world.router.apply(product, one(2, world.server(2)), 5)
    assert world.router.read(product) == wanted


def test_whoever_begins_anew_can_ask_for_the_highest_token_that_was_shown(world: World, product: str) -> None:
    assert world.router.newest_token(product) == 0
    world.router.apply(product, one(1, world.server(1)), 5)
    world.router.apply(product, one(1, world.server(1)), 9)
    with pytest.raises(Busy):
        world.router.apply(product, one(1, world.server(1)), 7)
    assert world.router.newest_token(product) == 9
    assert FencedRouter.of(world.router, 3).newest_token(product) == 9
    assert world.router.newest_token(f"{product}-other") == 0


def test_a_persons_tool_is_let_in_and_lets_nobody_else_in(world: World, product: str) -> None:
    first, second = one(1, world.server(1)), one(2, world.server(2))
    world.router.apply(product, first)
    world.router.apply(product, first, 7)
    world.router.apply(product, second)
    assert world.router.read(product) == second
    with pytest.raises(Busy):
        world.router.apply(product, first, 6)
    world.router.remove(product)
    assert world.router.read(product) is None


def test_a_split_is_fenced_like_everything_else(splitting: World, product: str) -> None:
    first, second = splitting.server(1), splitting.server(2)
    splitting.router.apply(product, two(first, second, 10), 5)
    with pytest.raises(Busy):
        splitting.router.retreat(product, 1, Retreat("r1", "harm", NOW), 4)
    assert splitting.router.retreated(product) is None
    splitting.router.apply(product, Routing((Backend(1, (first,)), Backend(2, (second,))), Weights.all_to(1)), 6)
    with pytest.raises(Busy):
        splitting.router.apply(product, two(first, second, 50), 5)
    assert set(splitting.ask(product, 50)) == {1}


def test_a_retreat_is_remembered_like_every_write(world: World, product: str) -> None:
    """Whoever gave the users back, be it without a journal, is not undone by a former holder."""
    first, second = world.server(1), world.server(2)
    both = Routing((Backend(1, (first,)), Backend(2, (second,))), Weights.all_to(2))
    world.router.apply(product, both, 5)
    world.router.retreat(product, 1, Retreat("r1", "harm", NOW), 6)
    with pytest.raises(Busy):
        world.router.apply(product, both, 5)
    eventually(lambda: (live := world.router.read(product)) is not None and live.weights == Weights.all_to(1))
    assert set(world.ask(product, 20)) == {1}


def test_products_are_fenced_one_by_one(world: World, product: str) -> None:
    world.router.apply(product, one(1, world.server(1)), 7)
    other = f"{product}-other"
    world.router.apply(other, one(1, world.server(1)), 1)
    world.router.remove(other, 1)


def test_a_product_that_was_taken_away_is_still_fenced(keeping: World, product: str) -> None:
    """In a cluster the token goes with the object that has it."""
    world, wanted = keeping, one(1, keeping.server(1))
    world.router.apply(product, wanted, 5)
    world.router.remove(product, 7)
    with pytest.raises(Busy):
        world.router.apply(product, wanted, 5)
    assert world.router.read(product) is None


def test_a_fenced_router_writes_under_its_lease_and_under_no_former_one(world: World, product: str) -> None:
    first, second = one(1, world.server(1)), one(2, world.server(2))
    late = FencedRouter.of(world.router, 5)
    late.apply(product, first)
    FencedRouter.of(late, 7).apply(product, second)
    for write in (lambda: late.apply(product, first), lambda: late.remove(product)):
        with pytest.raises(Busy):
            write()
    assert (late.read(product), late.in_flight(product, 2)) == (second, 0)


def test_whoever_was_stopped_with_the_gateways_lock_in_hand_moves_nothing_when_it_goes_on(
    real: EnvoyWorld, product: str
) -> None:
    """It waits for a server, and sleeps; its successor cannot even write, and is known to have come all the same."""
    first, late = one(1, real.server(1)), real.dead()
    real.router.apply(product, first, 5)
    patient, impatient = (router_of(real, each) for each in (Patience(), Patience(lock=timedelta(0))))
    with ThreadPoolExecutor(1) as stopped:
        going_on = stopped.submit(patient.apply, product, one(2, late), 5)
        eventually(lambda: is_locked(real.gateway.folder / "lock"))
        with pytest.raises(RouterUnreachable, match=r"has been held by process \d+"):
            impatient.apply(product, first, 6)
        assert not going_on.done()
        real.servers.start(2, late)
        with pytest.raises(Busy, match="lease 5 is over, 6 has been at work since"):
            going_on.result(timeout=60)
    live = real.router.read(product)
    assert live is not None
    assert live.weights == first.weights
    assert set(real.ask(product, 20)) == {1}
    real.router.apply(product, first, 6)
    assert real.router.read(product) == first


def test_a_process_that_is_stopped_with_the_gateways_lock_keeps_nobody_from_going_back(
    real: EnvoyWorld, product: str
) -> None:
    """Users go back at once; whoever wants to change more is told who is in the way, and what its advice does."""
    first, second = real.server(1), real.server(2)
    both = (Backend(1, (first,)), Backend(2, (second,)))
    real.router.apply(product, Routing(both, Weights.all_to(2)), 5)
    with holder_of(real.gateway.folder / "lock") as holder:
        with stopped(holder):
            real.router.retreat(product, 1, Retreat("r1", "harm", NOW), 6)
            with pytest.raises(RouterUnreachable, match=rf"held by process {holder.pid} .*, which is stopped: `kill"):
                real.router.apply(product, Routing(both, Weights.all_to(1)), 6)
        holder.kill()  # as advised
        holder.wait()
        real.router.apply(product, Routing(both, Weights.all_to(1)), 6)
    assert set(real.ask(product, 20)) == {1}


def router_of(world: EnvoyWorld, patience: Patience) -> EnvoyRouter:
    gateway = world.gateway
    return EnvoyRouter(gateway.folder, gateway.run_folder, SystemClock(), patience=patience)


def is_locked(path: Path) -> bool:
    with path.open() as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False


class Stopped(Watched):
    """A cluster whose caller is stopped before each of its writes, until somebody else has written."""

    def merge(self, kind: Any, name: str, patch: Any) -> dict[str, Any]:
        return self._watched(lambda: super(Watched, self).merge(kind, name, patch))


@pytest.mark.parametrize("kind", [GatewayApiWorld, ServiceWorld])
@pytest.mark.parametrize("write", ["apply", "remove"])
def test_whoever_was_stopped_between_its_look_and_its_write_is_sent_back(
    api: FakeKubernetes, tmp_path: Path, product: str, kind: type[PodWorld], write: str
) -> None:
    world, theirs = kind(api, tmp_path), kind(api, tmp_path)
    first, second = one(1, world.server(1)), one(2, world.server(2))
    theirs.servers = world.servers
    world.router.apply(product, first, 5)
    world.router.apply(product, second, 5)
    world.router.apply(product, first, 5)
    late = Stopped.of(kubeconfig=api.kubeconfig(tmp_path / "late"))
    router = stopped_router(world, late)
    late.before = lambda number: theirs.router.apply(product, first, 6) if number == 1 else None
    with pytest.raises(Busy):
        router.apply(product, second, 5) if write == "apply" else router.remove(product, 5)
    assert late.writes >= 1
    assert world.router.read(product) == first
    assert set(world.ask(product, 20)) == {1}


def stopped_router(world: PodWorld, cluster: Cluster) -> Any:
    own, world.cluster = world.cluster, cluster
    try:
        return world._router()
    finally:
        world.cluster = own


def test_whoever_was_stopped_between_two_pods_marks_no_more_of_them(
    api: FakeKubernetes, tmp_path: Path, product: str
) -> None:
    """A share of whole pods is made pod by pod."""
    world, theirs = ServiceWorld(api, tmp_path), ServiceWorld(api, tmp_path)
    theirs.servers = world.servers
    old, new = [world.server(1), world.server(1)], [world.server(2), world.server(2)]
    both = (Backend(1, tuple(old)), Backend(2, tuple(new)))
    world.router.apply(product, Routing(both, Weights.all_to(1)), 5)
    late = Stopped.of(kubeconfig=api.kubeconfig(tmp_path / "late"))
    late.before = lambda number: (
        theirs.router.apply(product, Routing(both, Weights.all_to(1)), 6) if number == 2 else None
    )
    with pytest.raises(Busy):
        stopped_router(world, late).apply(product, Routing(both, Weights({1: 50, 2: 50})), 5)
    live = world.router.read(product)
    assert live is not None
    assert live.weights == Weights.all_to(1)
    marked = [pod for pod in api.objects("Pod") if "seatrial.dev/serving" in pod["metadata"]["labels"]]
    assert len(marked) <= 2
    assert set(world.ask(product, 20)) == {1}
