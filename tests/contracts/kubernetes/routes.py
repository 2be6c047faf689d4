"""An HTTPRoute of ours in a fake cluster, and other hands in it."""

from collections.abc import Callable
from typing import Any

from deployments.traffic import Routing
from tests.contracts.routers.cluster_worlds import GatewayApiWorld
from tests.contracts.routers.worlds import one, two
from tests.fakes.kubernetes import FakeKubernetes

PRODUCT = "flights"
ROUTE = "seatrial-flights"
THEIRS: dict[str, Any] = {
    "name": "legacy",
    "matches": [{"path": {"type": "Exact", "value": "/old"}}],
    "filters": [{"type": "RequestRedirect", "requestRedirect": {"hostname": "old.example", "statusCode": 302}}],
}


def route(api: FakeKubernetes, name: str = ROUTE) -> dict[str, Any]:
    found = api.object("HTTPRoute", name)
    assert found is not None
    return found


def changed(api: FakeKubernetes, change: Callable[[list[Any]], object], name: str = ROUTE) -> None:
    """Somebody else's hand in the rules of the route."""
    found = route(api, name)
    change(found["spec"]["rules"])
    api.put(found)


def served(world: GatewayApiWorld) -> tuple[Routing, Routing]:
    """All to v1, which is live; and half of it to v2, which is ready."""
    former = one(1, world.server(1))
    world.router.apply(PRODUCT, former)
    wanted = two(former.backends[0].addresses[0], world.server(2), 50)
    world._deploy(PRODUCT, wanted)
    return former, wanted
