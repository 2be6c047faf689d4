"""What the router in memory does beyond the contract (tests/contracts/test_routers.py)."""

import pytest

from deployments.routers.in_memory import InMemoryRouter
from deployments.traffic import Backend, Routing, Weights

HALVES = Routing((Backend(1, ("/1.sock",)), Backend(2, ("/2.sock",))), Weights({1: 50, 2: 50}))


def versions(router: InMemoryRouter, count: int) -> list[int]:
    found = []
    for _ in range(count):
        with router.request("flights") as version:
            found.append(version)
    return found


def test_the_seed_decides_who_goes_where() -> None:
    routers = [InMemoryRouter(seed=seed) for seed in (1, 1, 2)]
    for router in routers:
        router.apply("flights", HALVES)
    first, same, other = (versions(router, 100) for router in routers)
    assert first == same != other


def test_a_request_that_raises_counts_as_a_500_and_is_no_longer_in_flight() -> None:
    router = InMemoryRouter()
    router.apply("flights", Routing((Backend(1, ("/1.sock",)),), Weights.all_to(1)))
    with pytest.raises(ZeroDivisionError), router.request("flights"):
        assert router.in_flight("flights", 1) == 1
        1 / 0  # noqa: B018 - the model fails
    assert router.in_flight("flights", 1) == 0
    assert router.counts("flights") == {1: {500: 1}}


def test_products_do_not_send_the_same_keys_to_their_canaries() -> None:
    router = InMemoryRouter()
    for product in ("flights", "trains"):
        router.apply(product, HALVES)
    agreed = 0
    for number in range(1000):
        with router.request("flights", str(number)) as one, router.request("trains", str(number)) as other:
            agreed += one == other
    assert 430 < agreed < 570
