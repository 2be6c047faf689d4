"""What every router counts: exactly what users were answered, by version, and no more."""

from dataclasses import replace

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
    name = rf"^model\.latency\.product\.{product}\.version\.{product}_v{version}\."
    answer = admin._json(f"/stats?format=json&histogram_buckets=detailed&filter={name}")
    bins = answer["stats"][0]["histograms"]["details"][0]["totals"]
    found = [0] * (len(LATENCY_BOUNDS_MS) + 1)
    for each in bins:
        upper = round(each["lower_bound"] + each["width"])
        hit = next(place for place, bound in enumerate((*LATENCY_BOUNDS_MS, 10**9)) if upper <= bound * 1000)
        found[hit] += each["count"]
    return tuple(found)


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
