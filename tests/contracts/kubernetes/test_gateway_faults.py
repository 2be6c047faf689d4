"""A gateway's router before a server that is away, forgets, refuses, or is late."""

import re
from typing import Any

import pytest

from deployments.errors import ClusterRefused, RouterRefused, RouterUnreachable, TryAgain
from tests.contracts.kubernetes.breaking import broken_off_anywhere, refused
from tests.contracts.kubernetes.routes import PRODUCT, served
from tests.contracts.routers.cluster_worlds import GatewayApiWorld
from tests.contracts.routers.worlds import one, two
from tests.fakes.kubernetes import NEVER_READY, READY, FakeKubernetes


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE"])
def test_a_write_whose_answer_is_lost_is_repeated_without_harm(
    api: FakeKubernetes, gateway: GatewayApiWorld, method: str
) -> None:
    api.faults.lose_next_answers(1, method, "httproutes")
    former, wanted = served(gateway)
    assert gateway.router.read(PRODUCT) == former
    gateway.router.apply(PRODUCT, wanted)
    assert gateway.router.read(PRODUCT) == wanted
    gateway.router.remove(PRODUCT)
    assert api.objects("HTTPRoute") == []


def test_what_broke_off_anywhere_is_completed_by_the_next_call(api: FakeKubernetes, gateway: GatewayApiWorld) -> None:
    former, wanted = served(gateway)
    rounds = 0
    for _ in broken_off_anywhere(
        api, lambda: gateway.router.apply(PRODUCT, wanted), lambda: gateway.router.apply(PRODUCT, former)
    ):
        assert gateway.router.read(PRODUCT) == wanted
        rounds += 1
    for _ in broken_off_anywhere(
        api, lambda: gateway.router.remove(PRODUCT), lambda: gateway.router.apply(PRODUCT, former)
    ):
        assert api.objects("HTTPRoute") == []
        rounds += 1
    assert rounds >= 7


def test_a_server_that_is_away_says_so_and_changes_nothing(api: FakeKubernetes, gateway: GatewayApiWorld) -> None:
    former, wanted = served(gateway)
    with api.away():
        for act in (
            lambda: gateway.router.read(PRODUCT),
            lambda: gateway.router.apply(PRODUCT, wanted),
            lambda: gateway.router.remove(PRODUCT),
        ):
            assert api.url in refused(RouterUnreachable, act)
    assert gateway.router.read(PRODUCT) == former


def test_a_cluster_without_gateway_api_is_told_from_one_without_the_route(
    api: FakeKubernetes, gateway: GatewayApiWorld
) -> None:
    api.faults.switched_off_groups.add("gateway.networking.k8s.io")
    assert gateway.router.read(PRODUCT) is None
    said = refused(RouterRefused, lambda: gateway.router.apply(PRODUCT, one(1, gateway.server(1))))
    assert "install Gateway API, or leave rollout.kubernetes.gateway out" in said


@pytest.mark.parametrize(
    ("verb", "resource"),
    [
        ("get", "httproutes"),
        ("create", "httproutes"),
        ("update", "httproutes"),
        ("delete", "httproutes"),
        ("list", "endpointslices"),
    ],
)
def test_a_right_that_is_missing_is_named(
    api: FakeKubernetes, gateway: GatewayApiWorld, verb: str, resource: str
) -> None:
    first = one(1, gateway.server(1))
    second = two(first.backends[0].addresses[0], gateway.server(2), 50)
    api.faults.forbid(verb, resource)

    def all_of_it() -> None:
        gateway.router.apply(PRODUCT, first)
        gateway.router.apply(PRODUCT, second)
        gateway.router.remove(PRODUCT)

    assert re.search(rf'cannot {verb} resource "{resource}"', refused(ClusterRefused, all_of_it))


def test_endpoints_that_follow_their_pods_late_are_waited_for(api: FakeKubernetes, gateway: GatewayApiWorld) -> None:
    routing = one(1, gateway.server(1))
    gateway._deploy(PRODUCT, routing)
    [pod] = api.objects("Pod")
    api.script(pod["metadata"]["name"], NEVER_READY)
    looks = iter(range(1000))

    def before(request: Any) -> None:
        if "endpointslices" in request.path and next(looks) == 3:
            api.script(pod["metadata"]["name"], READY)

    api.faults.before_each = before
    gateway.router.apply(PRODUCT, routing)
    assert gateway.router.read(PRODUCT) == routing
    assert 0 < gateway.clock.monotonic() < 5


def test_every_error_of_the_server_is_one_that_somebody_tries_again(
    api: FakeKubernetes, gateway: GatewayApiWorld
) -> None:
    _, wanted = served(gateway)
    for code in (429, 500, 503, 504):
        api.faults.fail_next(5, code)
        refused(TryAgain, lambda: gateway.router.apply(PRODUCT, wanted))
        api.faults.heal()
