"""What every router counts: exactly what users were answered, by version, and no more."""

import contextlib
import http.client
import socket
import time
from collections import Counter
from dataclasses import replace

import pytest

from deployments.analysis.evidence import LATENCY_BOUNDS_MS, Counts
from deployments.routers.envoy.admin import Admin
from deployments.traffic import Backend, Match, Mirror, Routing, Weights
from tests.contracts.routers.gateway import eventually
from tests.contracts.routers.worlds import EnvoyWorld, InMemoryWorld, World, one, requests, two, users


def only(world: World, product: str) -> Counts:
    (counts,) = world.router.tallies(product).values()
    return counts


def test_every_answer_of_the_split_is_counted_under_its_version(world: World, product: str) -> None:
    world.router.apply(product, two(world.server(1), world.server(2), 50))
    got = world.ask(product, 200)
    assert requests(world.router, product) == {1: got.count(1), 2: got.count(2)}


def test_a_match_counts_with_the_split(splitting: World, product: str) -> None:
    routing = replace(two(splitting.server(1), splitting.server(2), 0), matches=(Match(2, "yes", header="x-beta"),))
    splitting.router.apply(product, routing)
    splitting.ask(product, 30)
    splitting.ask(product, 7, headers={"x-beta": "yes"})
    assert requests(splitting.router, product) == {1: 30, 2: 7}


def test_errors_are_the_answers_with_5xx(world: World, product: str) -> None:
    world.router.apply(product, two(world.server(1), world.server(51), 0))
    world.ask(product, 20)
    world.router.apply(product, one(51, world.server(51)))
    with world.fail(51):
        assert set(world.ask(product, 5)) == {-500}
    assert set(world.ask(product, 3)) == {51}
    tallies = {source.version: counts for source, counts in world.router.tallies(product).items()}
    assert (tallies[1].requests, tallies[1].errors) == (20, 0)
    assert (tallies[51].requests, tallies[51].errors) == (8, 5)


def test_products_whose_names_begin_alike_are_counted_apart(world: World, product: str) -> None:
    longer = f"{product}-too"
    world.router.apply(product, one(1, world.server(1)))
    world.router.apply(longer, one(1, world.server(1)))
    world.ask(product, 3)
    world.ask(longer, 4)
    assert (only(world, product).requests, only(world, longer).requests) == (3, 4)
    assert world.router.tallies(product[:-1]) == {}


def test_every_answer_is_in_one_latency_bucket_and_none_below_the_time_it_took(keeping: World, product: str) -> None:
    keeping.router.apply(product, one(52, keeping.server(52)))
    with keeping.delay(52, 40):
        keeping.ask(product, 6)
    eventually(lambda: sum(only(keeping, product).latency) == 6)
    latency = only(keeping, product).latency
    assert len(latency) == len(LATENCY_BOUNDS_MS) + 1
    assert sum(latency[: LATENCY_BOUNDS_MS.index(35) + 1]) == 0
    keeping.ask(product, 20)
    eventually(lambda: sum(only(keeping, product).latency) == 26)
    assert sum(only(keeping, product).latency[: LATENCY_BOUNDS_MS.index(35) + 1]) > 10


def test_counts_outlive_every_change_of_the_routing(world: World, product: str) -> None:
    first, second = world.server(1), world.server(2)
    for percent in (0, 50, 100):
        world.router.apply(product, two(first, second, percent))
        world.ask(product, 40)
    world.router.apply(product, one(2, second))
    world.router.apply(product, two(first, second, 0))
    assert sum(requests(world.router, product).values()) == 120


def restarted(world: World, product: str) -> None:
    world.router.apply(product, one(1, world.server(1)))
    epochs = []
    for count in (5, 3, 4):
        eventually(lambda: set(world.ask(product, 1, headers={"x-seatrial-version": "1"})) == {1})
        world.ask(product, count)
        ((source, counts),) = world.router.tallies(product).items()
        assert counts.requests == count
        assert next(iter(world.router.tallies(product))) == source
        epochs.append(source.epoch)
        world.restart()
    assert world.router.tallies(product) == {}
    assert len(set(epochs)) == len(epochs)


def test_a_gateway_that_began_again_counts_in_a_new_epoch(own: EnvoyWorld, product: str) -> None:
    restarted(own, product)


def test_a_router_in_memory_that_began_again_counts_in_a_new_epoch(product: str) -> None:
    restarted(InMemoryWorld(), product)


def test_buckets_are_those_of_the_gateways_own_histogram(real: EnvoyWorld, product: str) -> None:
    backends = (Backend(53, (real.server(53),)), Backend(54, (real.server(54),)))
    real.router.apply(product, Routing(backends, Weights({53: 50, 54: 50})))
    with real.delay(54, 4):
        got = real.ask(product, 300, users)
    eventually(lambda: sum(sum(counts.latency) for counts in real.router.tallies(product).values()) == 300)
    for source, counts in real.router.tallies(product).items():
        assert sum(counts.latency) == got.count(source.version)
        assert counts.latency == detailed(Admin(real.gateway.run_folder / "envoy.sock"), product, source.version)


def detailed(admin: Admin, product: str, version: int) -> tuple[int, ...]:
    """The same histogram in bins of two significant digits, none of which crosses one of our bounds."""
    name = rf"^model\.latency\.product\.{product}\.key\.version\.{product}_v{version}"
    answer = admin._json(f"/stats?format=json&histogram_buckets=detailed&filter={name}")
    bins = answer["stats"][0]["histograms"]["details"][0]["totals"]
    found = [0] * (len(LATENCY_BOUNDS_MS) + 1)
    for each in bins:
        upper = round(each["lower_bound"] + each["width"])
        hit = next(place for place, bound in enumerate((*LATENCY_BOUNDS_MS, 10**9)) if upper <= bound * 1000)
        found[hit] += each["count"]
    return tuple(found)


def impatient(real: EnvoyWorld, product: str, count: int, seconds: float) -> None:
    for _ in range(count):
        with contextlib.closing(http.client.HTTPConnection("127.0.0.1", real.gateway.port, timeout=seconds)) as client:
            client.request("POST", f"/{product}/invocations", b"{}")
            with pytest.raises(TimeoutError):
                client.getresponse()


def test_requests_whose_client_gave_up_count_with_their_age(real: EnvoyWorld, product: str) -> None:
    real.router.apply(product, one(55, real.server(55)))
    with real.delay(55, 5000):
        impatient(real, product, 3, 0.4)
    eventually(lambda: requests(real.router, product) == {55: 3})
    counts = only(real, product)
    assert (counts.errors, counts.latency) == (0, ())
    assert len(counts.given_up) == len(LATENCY_BOUNDS_MS) + 1
    assert sum(counts.given_up) == sum(counts.given_up[LATENCY_BOUNDS_MS.index(350) + 1 :]) == 3
    real.ask(product, 5)
    assert (only(real, product).requests, only(real, product).errors) == (8, 0)


def test_the_router_in_memory_counts_those_that_gave_up_alike(product: str) -> None:
    world = InMemoryWorld()
    world.router.apply(product, one(1, world.server(1)))
    for age in (0.5, 1, 999, 1000):
        with world.router.request(product, given_up_ms=age):
            pass
    thousand = LATENCY_BOUNDS_MS.index(1000)
    expected = [0] * (len(LATENCY_BOUNDS_MS) + 1)
    for bucket in (0, 1, thousand, thousand + 1):
        expected[bucket] = 1
    assert only(world, product) == Counts(requests=4, given_up=tuple(expected))


def test_a_client_that_leaves_before_a_server_was_asked_is_nobodys_request(real: EnvoyWorld, product: str) -> None:
    real.router.apply(product, one(1, real.server(1)))
    for _ in range(3):
        with socket.create_connection(("127.0.0.1", real.gateway.port)) as client:
            client.sendall(f"POST /{product}/invocations HTTP/1.1\r\nhost: x\r\ncontent-length: 9\r\n\r\nab".encode())
            time.sleep(0.05)  # until Envoy has taken the head
    real.ask(product, 2)
    eventually(lambda: sum(only(real, product).latency) == 2)
    counts = only(real, product)
    assert (counts.requests, counts.errors, counts.given_up) == (2, 0, ())


def test_an_attempt_that_broke_off_is_an_error_though_another_one_succeeds(real: EnvoyWorld, product: str) -> None:
    real.router.apply(product, one(56, real.server(56), real.server(56)))
    real.ask(product, 10)
    for _ in range(3):
        real.servers.behaviour.cutting[56] = 1
        assert real.ask(product, 3) == [56, 56, 56]
    assert (only(real, product).requests, only(real, product).errors) == (19, 3)


def test_an_answer_that_broke_off_is_an_error_whatever_its_code(real: EnvoyWorld, product: str) -> None:
    real.router.apply(product, one(57, real.server(57)))
    real.servers.behaviour.halving.add(57)
    real.ask(product, 4)
    assert (only(real, product).requests, only(real, product).errors) == (4, 4)


def test_a_server_that_went_before_it_was_asked_is_no_error(real: EnvoyWorld, product: str) -> None:
    staying, going = real.server(58), real.server(58)
    real.router.apply(product, one(58, staying, going))
    real.ask(product, 10)
    real.servers.stop(going)
    assert set(real.ask(product, 60)) == {58}
    assert (only(real, product).requests, only(real, product).errors) == (70, 0)


def test_requests_with_a_key_are_counted_apart(keeping: World, product: str) -> None:
    keeping.router.apply(product, two(keeping.server(1), keeping.server(2), 50))
    keeping.ask(product, 40, users)
    keeping.ask(product, 25)
    by_key: Counter[bool] = Counter()
    for source, counts in keeping.router.tallies(product).items():
        by_key[source.keyed] += counts.requests
    assert by_key == {True: 40, False: 25}


def copies(world: World, product: str) -> Counts:
    return next(iter(world.router.copies(product).values()), Counts())


def test_what_becomes_of_mirrored_copies_is_counted_apart(splitting: World, product: str) -> None:
    address = splitting.server(53)
    backends = (Backend(1, (splitting.server(1),)), Backend(53, (address,)))
    splitting.router.apply(product, Routing(backends, Weights.all_to(1), mirror=Mirror(53, 100)))
    assert copies(splitting, product) == Counts()
    splitting.ask(product, 20)
    eventually(lambda: copies(splitting, product) == Counts(20, 0))
    with splitting.fail(53):
        splitting.ask(product, 5)
        eventually(lambda: copies(splitting, product) == Counts(25, 5))
    splitting.stop(address)
    splitting.ask(product, 10)
    eventually(lambda: copies(splitting, product) == Counts(35, 15))
    assert requests(splitting.router, product) == {1: 35}
    assert all(source.mirrored and source.version == 53 for source in splitting.router.copies(product))


def test_copies_that_are_dropped_because_a_shadow_is_slow_are_not_its_errors(real: EnvoyWorld, product: str) -> None:
    backends = (Backend(1, (real.server(1),)), Backend(54, (real.server(54),)))
    real.router.apply(product, Routing(backends, Weights.all_to(1), mirror=Mirror(54, 100)))
    with real.delay(54, 300):
        real.ask(product, 200)
    eventually(lambda: real.router.in_flight(product, 54) == 0)
    counted = copies(real, product)
    assert 0 < counted.requests < 200
    assert counted.errors == 0
