"""One suite for every router: what is applied, read and refused."""

from collections import Counter

import pytest

from deployments.errors import RouterRefused
from deployments.traffic import Backend, Routing, Weights
from tests.contracts.routers.gateway import eventually
from tests.contracts.routers.worlds import World, one, two, users


def test_a_product_that_was_never_applied_has_no_route(world: World, product: str) -> None:
    assert world.router.read(product) is None
    assert world.router.in_flight(product, 1) == 0
    assert world.router.tallies(product) == {}
    assert set(world.ask(product, 3)) == {-404}


def test_what_is_applied_is_what_is_read(splitting: World, product: str) -> None:
    backends = (
        Backend(1, (splitting.server(1),)),
        Backend(2, (splitting.server(2), splitting.server(2))),
        Backend(3, (splitting.server(3),)),
    )
    routing = Routing(backends, Weights({1: 67, 2: 33, 3: 0}))
    splitting.router.apply(product, routing)
    assert splitting.router.read(product) == routing
    splitting.router.apply(product, routing)
    assert splitting.router.read(product) == routing


def test_back_ends_come_back_in_ascending_order_and_without_empty_ones(world: World, product: str) -> None:
    first, second = Backend(1, (world.server(1),)), Backend(2, (world.server(2),))
    world.router.apply(product, Routing((second, Backend(3, ()), first), Weights({2: 100, 3: 0})))
    assert world.router.read(product) == Routing((first, second), Weights({2: 100}))


@pytest.mark.parametrize("percent", [10, 75])
def test_weights_are_honoured(splitting: World, product: str, percent: int) -> None:
    splitting.router.apply(product, two(splitting.server(1), splitting.server(2), percent))
    count = 1000
    got = Counter(splitting.ask(product, count))
    # Four standard deviations of a binomial: one false alarm in 16,000 runs.
    allowed = 4 * (count * percent * (100 - percent)) ** 0.5 / 100
    assert set(got) == {1, 2}
    assert abs(got[2] - count * percent / 100) < allowed


def test_a_version_of_weight_0_gets_nothing(world: World, product: str) -> None:
    world.router.apply(product, two(world.server(1), world.server(2), 0))
    assert Counter(world.ask(product, 300)) == {1: 300}


def test_moving_all_traffic_moves_the_very_next_request(world: World, product: str) -> None:
    first, second = world.server(1), world.server(2)
    world.router.apply(product, one(1, first))
    assert set(world.ask(product, 20)) == {1}
    world.router.apply(product, one(2, second))
    assert set(world.ask(product, 20)) == {2}
    assert world.router.read(product) == one(2, second)


def test_a_key_keeps_its_version_and_only_joins_the_one_that_grows(keeping: World, product: str) -> None:
    first, second = keeping.server(1), keeping.server(2)

    def versions(percent: int) -> list[int]:
        keeping.router.apply(product, two(first, second, percent))
        return keeping.ask(product, 300, users)

    few, again, many = versions(20), versions(20), versions(50)
    assert few == again
    assert 30 < few.count(2) < 95
    assert 110 < many.count(2) < 190
    assert all(later == 2 for earlier, later in zip(few, many, strict=True) if earlier == 2)


def test_a_server_that_is_not_there_is_refused_and_the_former_routing_stays(world: World, product: str) -> None:
    first, dead = world.server(1), world.dead()
    world.router.apply(product, one(1, first))
    with pytest.raises(RouterRefused, match=f"{product}.*v2.*{dead}"):
        world.router.apply(product, two(first, dead, 10))
    assert world.router.read(product) == one(1, first)
    assert set(world.ask(product, 50)) == {1}


def test_a_first_routing_that_is_refused_leaves_no_route(world: World, product: str) -> None:
    with pytest.raises(RouterRefused):
        world.router.apply(product, one(1, world.dead()))
    assert world.router.read(product) is None
    assert set(world.ask(product, 3)) == {-404}


@pytest.mark.parametrize(
    "address", ["relative/x.sock", "nonsense", "127.0.0.1:0", "127.0.0.1:99999", f"/{'long' * 30}.sock"]
)
def test_an_address_that_can_be_none_is_refused(world: World, product: str, address: str) -> None:
    with pytest.raises(RouterRefused, match="v1"):
        world.router.apply(product, one(1, address))


@pytest.mark.parametrize("name", ["v2", "seatrial", "Flights", "a.b", "../a", "a" * 41, ""])
def test_a_name_that_can_be_no_path_is_refused(world: World, name: str) -> None:
    with pytest.raises(RouterRefused):
        world.router.apply(name, one(1, world.server(1)))
    assert world.router.read(name) is None


@pytest.mark.parametrize("name", ["z" * 40, "a-1" * 13, "control", "feedback", "no-product"])
def test_every_name_that_a_spec_may_have_is_served(world: World, name: str) -> None:
    served_by_that_name(world, name)


def test_a_name_that_no_label_of_a_cluster_may_have_is_served_all_the_same(keeping: World) -> None:
    served_by_that_name(keeping, "a-1-" * 10)


def served_by_that_name(world: World, name: str) -> None:
    world.router.apply(name, one(7, world.server(7)))
    assert set(world.ask(name, 3)) == {7}
    world.router.remove(name)


def test_products_do_not_disturb_each_other(world: World, product: str) -> None:
    other = f"{product}-too"
    mine, theirs = one(1, world.server(1)), one(7, world.server(7))
    world.router.apply(product, mine)
    world.router.apply(other, theirs)
    world.router.apply(product, one(2, world.server(2)))
    assert world.router.read(other) == theirs
    assert (set(world.ask(product, 20)), set(world.ask(other, 20))) == ({2}, {7})
    world.router.remove(product)
    assert (set(world.ask(product, 20)), set(world.ask(other, 20))) == ({-404}, {7})


def test_a_removed_product_is_forgotten_and_may_come_back(world: World, product: str) -> None:
    routing = one(1, world.server(1))
    world.router.apply(product, routing)
    world.router.remove(product)
    world.router.remove(product)
    assert world.router.read(product) is None
    world.router.apply(product, routing)
    assert set(world.ask(product, 5)) == {1}


def test_removing_a_product_that_never_was_changes_nothing(world: World) -> None:
    world.router.remove("../../never-was")


def test_requests_in_flight_are_seen_until_they_are_answered(world: World, product: str) -> None:
    world.router.apply(product, one(1, world.server(1)))
    with world.held(product):
        assert (world.router.in_flight(product, 1), world.router.in_flight(product, 2)) == (1, 0)
    eventually(lambda: world.router.in_flight(product, 1) == 0)


def test_a_route_that_somebody_took_away_is_missed_by_read_and_repaired_by_apply(world: World, product: str) -> None:
    routing = one(1, world.server(1))
    world.router.apply(product, routing)
    world.unroute(product)
    assert world.router.read(product) is None
    assert set(world.ask(product, 3)) == {-404}
    world.router.apply(product, routing)
    assert world.router.read(product) == routing
    assert set(world.ask(product, 3)) == {1}
