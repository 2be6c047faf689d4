"""What the router in memory does beyond the contract (tests/contracts/routers)."""

import pytest

from deployments.analysis.counter_deltas import Source
from deployments.analysis.evidence import LATENCY_BOUNDS_MS, Counts
from deployments.routers.in_memory import InMemoryRouter
from deployments.traffic import Backend, Mirror, Routing, Weights

HALVES = Routing((Backend(1, ("/1.sock",)), Backend(2, ("/2.sock",))), Weights({1: 50, 2: 50}))
ONE = Routing((Backend(1, ("/1.sock",)), Backend(2, ("/2.sock",))), Weights.all_to(1))


def versions(router: InMemoryRouter, count: int) -> list[int]:
    found = []
    for _ in range(count):
        with router.request("flights") as version:
            found.append(version)
    return found


def only(router: InMemoryRouter) -> Counts:
    (counts,) = router.tallies("flights").values()
    return counts


def test_the_seed_decides_who_goes_where() -> None:
    routers = [InMemoryRouter(seed=seed) for seed in (1, 1, 2)]
    for router in routers:
        router.apply("flights", HALVES)
    first, same, other = (versions(router, 100) for router in routers)
    assert first == same != other


def test_a_request_that_raises_counts_as_an_error_and_is_no_longer_in_flight() -> None:
    router = InMemoryRouter()
    router.apply("flights", ONE)
    with pytest.raises(ZeroDivisionError), router.request("flights"):
        assert router.in_flight("flights", 1) == 1
        1 / 0  # noqa: B018 - the model fails
    assert router.in_flight("flights", 1) == 0
    assert only(router) == Counts(requests=1, errors=1)


def test_products_do_not_send_the_same_keys_to_their_canaries() -> None:
    router = InMemoryRouter()
    for product in ("flights", "trains"):
        router.apply(product, HALVES)
    agreed = 0
    for number in range(1000):
        with router.request("flights", str(number)) as one, router.request("trains", str(number)) as other:
            agreed += one == other
    assert 430 < agreed < 570


@pytest.mark.parametrize(("latency_ms", "bucket"), [(0.2, 0), (1, 0), (1.01, 1), (75, 7), (10_000, 17), (10_001, 18)])
def test_a_latency_is_in_the_bucket_whose_bound_it_does_not_exceed(latency_ms: float, bucket: int) -> None:
    router = InMemoryRouter()
    router.apply("flights", ONE)
    with router.request("flights", latency_ms=latency_ms):
        pass
    latency = only(router).latency
    assert len(latency) == len(LATENCY_BOUNDS_MS) + 1
    assert [position for position, count in enumerate(latency) if count] == [bucket]


def test_a_routing_changed_behind_the_engine_is_what_is_read() -> None:
    router = InMemoryRouter(answers=lambda _: False)
    router.edit("flights", HALVES)
    assert router.read("flights") == HALVES
    router.edit("flights", None)
    assert router.read("flights") is None


def test_a_request_without_a_latency_is_counted_without_one() -> None:
    router = InMemoryRouter()
    router.apply("flights", ONE)
    versions(router, 3)
    assert only(router) == Counts(requests=3)


def test_two_routers_never_share_an_epoch() -> None:
    epochs: set[Source] = set()
    for _ in range(2):
        router = InMemoryRouter()
        router.apply("flights", ONE)
        versions(router, 1)
        epochs |= router.tallies("flights").keys()
    assert len(epochs) == 2


def test_the_callback_learns_for_whom_a_copy_is() -> None:
    copies: list[tuple[str, int]] = []
    router = InMemoryRouter(mirrored=lambda product, version: copies.append((product, version)))
    router.apply("flights", Routing(ONE.backends, ONE.weights, mirror=Mirror(2, 100)))
    assert versions(router, 3) == [1, 1, 1]
    assert copies == [("flights", 2)] * 3
