"""The Gateway shows servers that copies, and what is copied, come from it; a route of an earlier release does not."""

from pathlib import Path
from typing import Any

import pytest

from deployments.caller_authentication import GATEWAY_HEADER, KEY, Proofs
from deployments.key_files import key
from deployments.routers.gateway_api import GatewayApiRouter
from deployments.routers.rollback_routing import Retreat
from deployments.spec import GatewaySection
from deployments.traffic import Backend, Mirror, Routing, Weights
from tests.contracts.kubernetes.routes import PRODUCT, changed, route
from tests.contracts.routers.cluster_worlds import GatewayApiWorld
from tests.contracts.routers.worlds import one
from tests.fakes.kubernetes import FakeKubernetes


@pytest.fixture
def proofs(tmp_path: Path) -> Proofs:
    key(tmp_path, KEY)
    return Proofs(tmp_path)


def router(world: GatewayApiWorld, proofs: Proofs | None) -> GatewayApiRouter:
    return GatewayApiRouter(world.cluster, GatewaySection(name="public"), world.counted, world.clock, proofs=proofs)


def shadowed(world: GatewayApiWorld) -> Routing:
    """All to v1, copied to v2."""
    backends = (Backend(1, (world.server(1),)), Backend(2, (world.server(2),)))
    routing = Routing(backends, Weights.all_to(1), mirror=Mirror(2, 100))
    world._deploy(PRODUCT, routing)
    return routing


def shown(api: FakeKubernetes) -> list[Any]:
    """By rule, what is set in the headers of its requests."""
    found = [each for rule in route(api)["spec"]["rules"] for each in rule["filters"]]
    return [each["requestHeaderModifier"] for each in found if each["type"] == "RequestHeaderModifier"]


def test_with_copies_and_what_is_copied_the_proof_is_shown_and_with_nothing_else(
    api: FakeKubernetes, gateway: GatewayApiWorld, proofs: Proofs
) -> None:
    ours, wanted = router(gateway, proofs), shadowed(gateway)
    ours.apply(PRODUCT, one(1, *wanted.backends[0].addresses))
    assert shown(api) == []
    ours.apply(PRODUCT, wanted)
    assert shown(api) == [{"set": [{"name": GATEWAY_HEADER, "value": proofs.of_gateway(PRODUCT)}]}]
    assert ours.read(PRODUCT) == wanted
    ours.retreat(PRODUCT, 1, Retreat("a-1", "harm", gateway.clock.now()))
    assert shown(api) == []


def test_a_route_of_an_earlier_release_is_put_right_before_anything_is_built_on_it(
    api: FakeKubernetes, gateway: GatewayApiWorld, proofs: Proofs
) -> None:
    """Users are led by it all the while."""
    wanted = shadowed(gateway)
    router(gateway, None).apply(PRODUCT, wanted)
    ours = router(gateway, proofs)
    assert ours.read(PRODUCT) is None
    assert gateway.ask(PRODUCT, 3) == [1, 1, 1]
    ours.apply(PRODUCT, wanted)
    assert ours.read(PRODUCT) == wanted
    assert len(shown(api)) == 1


def test_a_proof_that_other_hands_take_away_is_missed(
    api: FakeKubernetes, gateway: GatewayApiWorld, proofs: Proofs
) -> None:
    ours = router(gateway, proofs)
    ours.apply(PRODUCT, shadowed(gateway))

    def without(rules: list[Any]) -> None:
        for rule in rules:
            rule["filters"] = [each for each in rule["filters"] if each["type"] != "RequestHeaderModifier"]

    changed(api, without)
    assert ours.read(PRODUCT) is None
