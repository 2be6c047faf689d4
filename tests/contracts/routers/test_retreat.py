"""One suite for every router: all traffic back to a version, at once, and what is kept of it."""

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from deployments.errors import RouterRefused
from deployments.routers.rollback_routing import Retreat
from deployments.traffic import Backend, Match, Mirror, Routing, Weights
from tests.contracts.routers.gateway import eventually
from tests.contracts.routers.worlds import World, one, two, users

NOTE = Retreat("rollout-2", "v2 fails 60 % of its requests", datetime(2026, 1, 1, tzinfo=UTC))


def test_all_users_are_back_and_the_reason_stands_beside_the_routing(splitting: World, product: str) -> None:
    routing = two(splitting.server(1), splitting.server(2), 50)
    splitting.router.apply(product, routing)
    assert splitting.router.retreated(product) is None
    splitting.router.retreat(product, 1, NOTE)
    eventually(lambda: set(splitting.ask(product, 20)) == {1})
    assert splitting.router.read(product) == replace(routing, weights=Weights({1: 100}))
    assert splitting.router.retreated(product) == NOTE


def test_users_with_a_key_are_back_like_all_others(keeping: World, product: str) -> None:
    routing = two(keeping.server(1), keeping.server(2), 100)
    keeping.router.apply(product, routing)
    assert set(keeping.ask(product, 20, users)) == {2}
    keeping.router.retreat(product, 1, NOTE)
    eventually(lambda: set(keeping.ask(product, 20, users)) == {1})
    assert keeping.router.read(product) == replace(routing, weights=Weights({1: 100}))


def test_twice_is_as_once_and_the_first_reason_stays(splitting: World, product: str) -> None:
    splitting.router.apply(product, two(splitting.server(1), splitting.server(2), 50))
    splitting.router.retreat(product, 1, NOTE)
    splitting.router.retreat(product, 1, replace(NOTE, reason="another one"))
    eventually(lambda: set(splitting.ask(product, 20)) == {1})
    assert splitting.router.retreated(product) == NOTE


def test_matches_and_mirrors_end_with_it(splitting: World, product: str) -> None:
    backends = tuple(Backend(version, (splitting.server(version),)) for version in (1, 2))
    splitting.router.apply(product, Routing(backends, Weights({1: 100}), mirror=Mirror(2, 100)))
    splitting.router.retreat(product, 1, NOTE)
    eventually(lambda: (splitting.router.read(product) or Routing(backends, Weights({2: 100}))).mirror is None)
    splitting.router.apply(product, Routing(backends, Weights({1: 100}), (Match(2, "yes", header="x-beta"),)))
    splitting.router.retreat(product, 1, NOTE)
    eventually(lambda: splitting.ask(product, 1, headers={"x-beta": "yes"}) == [1])
    assert splitting.router.retreated(product) == NOTE


def test_what_is_applied_next_knows_of_no_retreat(splitting: World, product: str) -> None:
    routing = two(splitting.server(1), splitting.server(2), 50)
    splitting.router.apply(product, routing)
    splitting.router.retreat(product, 1, NOTE)
    eventually(lambda: set(splitting.ask(product, 20)) == {1})
    splitting.router.apply(product, routing)
    assert splitting.router.retreated(product) is None
    splitting.router.retreat(product, 1, NOTE)
    eventually(lambda: set(splitting.ask(product, 20)) == {1})
    splitting.router.apply(product, replace(routing, weights=Weights.all_to(1)))
    assert splitting.router.retreated(product) is None
    splitting.router.retreat(product, 1, NOTE)
    assert splitting.router.retreated(product) is None, "nobody had to be given back"


def test_a_version_that_is_not_known_gets_nobody(world: World, product: str) -> None:
    with pytest.raises(RouterRefused, match="knows no server of v1 that is ready"):
        world.router.retreat(product, 1, NOTE)
    routing = one(2, world.server(2))
    world.router.apply(product, routing)
    with pytest.raises(RouterRefused, match="knows no server of v1 that is ready"):
        world.router.retreat(product, 1, NOTE)
    assert world.router.read(product) == routing
    assert world.router.retreated(product) is None


def test_nobody_is_led_to_servers_that_are_known_to_be_gone(splitting: World, product: str) -> None:
    first, second = splitting.server(1), splitting.server(2)
    splitting.router.apply(product, two(first, second, 50))
    splitting.stop(first)

    def refused() -> bool:
        try:
            splitting.router.retreat(product, 1, NOTE)
        except RouterRefused:
            return True
        splitting.router.apply(product, two(first, second, 50))
        return False

    eventually(refused)
