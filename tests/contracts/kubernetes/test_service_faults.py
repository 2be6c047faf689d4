"""Whole pods behind one Service, where others have a hand in it, pods die, and the server is away."""

import re
from collections import Counter
from typing import Any

import pytest

from deployments.errors import ClusterRefused, RouterRefused, RouterUnreachable
from deployments.traffic import Backend, Match, Mirror, Routing, StickyKey, Weights
from tests.contracts.kubernetes.breaking import broken_off_anywhere, once, refused
from tests.contracts.routers.cluster_worlds import ServiceWorld
from tests.contracts.routers.worlds import one
from tests.fakes.kubernetes import NEVER_READY, READY, FakeKubernetes

PRODUCT = "flights"
SERVICE = "seatrial-flights"


def pods(world: ServiceWorld, first: int, second: int) -> tuple[Backend, Backend]:
    """So many pods of v1 and of v2 that are ready."""
    backends = (
        Backend(1, tuple(world.server(1) for _ in range(first))),
        Backend(2, tuple(world.server(2) for _ in range(second))),
    )
    world._deploy(PRODUCT, Routing(backends, Weights.all_to(1)))
    return backends


def found(api: FakeKubernetes) -> dict[str, Any]:
    service = api.object("Service", SERVICE)
    assert service is not None
    return service


@pytest.mark.parametrize(
    ("first", "second", "percent"), [(2, 2, 50), (3, 1, 25), (1, 3, 75), (2, 1, 33.33), (9, 1, 10), (4, 4, 20)]
)
def test_a_share_is_that_of_pods(service: ServiceWorld, first: int, second: int, percent: float) -> None:
    backends = pods(service, first, second)
    wanted = Routing(backends, Weights({1: round(100 - percent, 2), 2: percent}))
    service.router.apply(PRODUCT, wanted)
    assert service.router.read(PRODUCT) == wanted
    got = Counter(service.ask(PRODUCT, 1000))
    assert abs(got[2] - 10 * percent) <= 4 * (10 * percent * (100 - percent) / 100) ** 0.5


@pytest.mark.parametrize(("first", "second", "percent"), [(2, 2, 10), (1, 1, 33), (2, 2, 0.5)])
def test_a_share_that_no_pods_make_is_refused_and_the_former_one_stays(
    service: ServiceWorld, first: int, second: int, percent: float
) -> None:
    backends = pods(service, first, second)
    former = Routing(backends, Weights({1: 100, 2: 0}))
    service.router.apply(PRODUCT, former)
    wanted = Routing(backends, Weights({1: 100 - percent, 2: percent}))
    said = refused(RouterRefused, lambda: service.router.apply(PRODUCT, wanted))
    assert "cannot be made of whole pods" in said
    assert service.router.read(PRODUCT) == former
    assert set(service.ask(PRODUCT, 20)) == {1}


def test_what_only_a_gateway_can_is_refused(service: ServiceWorld) -> None:
    backends = pods(service, 1, 1)
    everything = Weights.all_to(1)
    for wanted in (
        Routing(backends, everything, (Match(2, "yes", header="x-beta"),)),
        Routing(backends, everything, mirror=Mirror(2, 10)),
        Routing(backends, everything, key=StickyKey(cookie="uid")),
    ):
        refused(RouterRefused, lambda wanted=wanted: service.router.apply(PRODUCT, wanted))
    assert service.router.read(PRODUCT) is None


def test_a_foreign_service_of_our_name_is_refused_and_left_as_it_is(api: FakeKubernetes, service: ServiceWorld) -> None:
    api.put(
        {"kind": "Service", "metadata": {"name": SERVICE}, "spec": {"selector": {"a": "b"}, "ports": [{"port": 1}]}}
    )
    theirs = found(api)
    said = refused(RouterRefused, lambda: service.router.apply(PRODUCT, one(1, service.server(1))))
    assert "Service seatrial-flights in namespace default is not Seatrial's" in said
    assert service.router.read(PRODUCT) is None
    service.router.remove(PRODUCT)
    assert found(api) == theirs


def test_what_broke_off_anywhere_is_completed_by_the_next_call(api: FakeKubernetes, service: ServiceWorld) -> None:
    backends = pods(service, 3, 3)
    former, wanted = Routing(backends, Weights.all_to(1)), Routing(backends, Weights({1: 50, 2: 50}))
    rounds = 0
    for begin, act in ((former, wanted), (wanted, former)):
        for _ in broken_off_anywhere(
            api,
            lambda act=act: service.router.apply(PRODUCT, act),
            lambda begin=begin: service.router.apply(PRODUCT, begin),
        ):
            assert service.router.read(PRODUCT) == act
            rounds += 1
    for _ in broken_off_anywhere(
        api, lambda: service.router.remove(PRODUCT), lambda: service.router.apply(PRODUCT, former)
    ):
        assert api.object("Service", SERVICE) is None
        rounds += 1
    assert rounds >= 10


@pytest.mark.parametrize("method", ["POST", "PATCH", "DELETE"])
def test_a_write_whose_answer_is_lost_is_repeated_without_harm(
    api: FakeKubernetes, service: ServiceWorld, method: str
) -> None:
    backends = pods(service, 2, 2)
    api.faults.lose_next_answers(1, method)
    for weights in (Weights.all_to(1), Weights({1: 50, 2: 50}), Weights.all_to(2)):
        service.router.apply(PRODUCT, Routing(backends, weights))
        assert service.router.read(PRODUCT) == Routing(backends, weights)
    service.router.remove(PRODUCT)
    assert api.object("Service", SERVICE) is None


def test_a_server_that_is_away_says_so_and_changes_nothing(api: FakeKubernetes, service: ServiceWorld) -> None:
    routing = one(1, service.server(1))
    service.router.apply(PRODUCT, routing)
    with api.away():
        for act in (
            lambda: service.router.read(PRODUCT),
            lambda: service.router.apply(PRODUCT, routing),
            lambda: service.router.remove(PRODUCT),
        ):
            assert api.url in refused(RouterUnreachable, act)
    assert service.router.read(PRODUCT) == routing


@pytest.mark.parametrize(
    "selector",
    [
        {"seatrial.dev/version": "2"},
        {"seatrial.dev/version": "seven"},
        {"theirs": "yes"},
        {"seatrial.dev/serving": "true"},
    ],
    ids=["another version", "no version", "one more label", "a share of no pods"],
)
def test_a_selector_that_other_hands_changed_is_seen_and_put_right(
    api: FakeKubernetes, service: ServiceWorld, selector: dict[str, str]
) -> None:
    wanted = Routing(pods(service, 2, 2), Weights.all_to(1))
    service.router.apply(PRODUCT, wanted)
    right = found(api)["spec"]["selector"]
    changed = found(api)
    changed["spec"]["selector"] |= selector
    api.put(changed)
    live = service.router.read(PRODUCT)
    assert live is None or live.weights != wanted.weights
    service.router.apply(PRODUCT, wanted)
    assert service.router.read(PRODUCT) == wanted
    assert found(api)["spec"]["selector"] == right


def test_a_pod_that_is_killed_changes_the_share_and_is_put_right(api: FakeKubernetes, service: ServiceWorld) -> None:
    backends = pods(service, 2, 2)
    wanted = Routing(backends, Weights({1: 50, 2: 50}))
    service.router.apply(PRODUCT, wanted)
    service.stop(backends[1].addresses[0])
    live = service.router.read(PRODUCT)
    assert live is not None
    assert live.weights == Weights({1: 66.66, 2: 33.34})
    left = Routing((backends[0], Backend(2, backends[1].addresses[1:])), wanted.weights)
    service.router.apply(PRODUCT, left)
    assert service.router.read(PRODUCT) == left


def test_a_pod_that_goes_while_it_is_marked_is_no_reason_to_give_up(api: FakeKubernetes, service: ServiceWorld) -> None:
    backends = pods(service, 2, 2)
    once(api, "PATCH", "pods", lambda: service.stop(backends[0].addresses[0]))
    wanted = Routing(backends, Weights({1: 50, 2: 50}))
    refused(RouterUnreachable, lambda: service.router._router.apply(PRODUCT, wanted))
    left = Routing((Backend(1, backends[0].addresses[1:]), backends[1]), wanted.weights)
    service.router.apply(PRODUCT, left)
    assert service.router.read(PRODUCT) == left


def test_no_pod_leaves_before_another_has_joined(api: FakeKubernetes, service: ServiceWorld) -> None:
    backends = pods(service, 3, 3)
    service.router.apply(PRODUCT, Routing(backends, Weights({1: 75, 2: 25})))
    least: list[int] = []
    api.faults.before_each = lambda _: least.append(len(service._ready_pods(SERVICE)))
    service.router.apply(PRODUCT, Routing(backends, Weights({1: 25, 2: 75})))
    assert min(least) == 4
    assert max(least) == 6


@pytest.mark.parametrize(
    ("verb", "resource"),
    [
        ("get", "services"),
        ("create", "services"),
        ("patch", "services"),
        ("delete", "services"),
        ("list", "pods"),
        ("patch", "pods"),
    ],
)
def test_a_right_that_is_missing_is_named(api: FakeKubernetes, service: ServiceWorld, verb: str, resource: str) -> None:
    backends = pods(service, 1, 1)
    api.faults.forbid(verb, resource)

    def all_of_it() -> None:
        service.router.apply(PRODUCT, Routing(backends, Weights.all_to(1)))
        service.router.apply(PRODUCT, Routing(backends, Weights({1: 50, 2: 50})))
        service.router.remove(PRODUCT)

    assert re.search(rf'cannot {verb} resource "{resource}"', refused(ClusterRefused, all_of_it))


def test_a_pod_that_is_not_ready_while_shares_change_is_not_in_a_share_that_it_left_when_it_comes_back(
    api: FakeKubernetes, service: ServiceWorld
) -> None:
    backends = pods(service, 2, 2)
    service.router.apply(PRODUCT, Routing(backends, Weights({1: 50, 2: 50})))
    away = next(each["metadata"]["name"] for each in api.objects("Pod") if "-v2-" in each["metadata"]["name"])
    api.script(away, NEVER_READY)
    wanted = Routing((backends[0], Backend(2, backends[1].addresses[1:])), Weights({1: 66.67, 2: 33.33}))
    service.router.apply(PRODUCT, wanted)
    api.script(away, READY)
    live = service.router.read(PRODUCT)
    assert live is not None
    assert live.weights == wanted.weights
