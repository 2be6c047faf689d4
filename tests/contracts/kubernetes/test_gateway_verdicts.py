"""What a Gateway says of our route, or does not say."""

from typing import Any

import pytest

from deployments.cluster import object_name
from deployments.errors import RouterRefused, RouterUnreachable
from deployments.routers.gateway_api import GatewayApiRouter
from deployments.spec import GatewaySection
from deployments.traffic import Mirror, Routing, Weights
from tests.contracts.kubernetes.breaking import kept, once, refused
from tests.contracts.kubernetes.routes import PRODUCT, ROUTE, changed, route, served
from tests.contracts.routers.cluster_worlds import GATEWAY, GatewayApiWorld
from tests.contracts.routers.worlds import one
from tests.fakes.kubernetes import FakeKubernetes, Verdict, schema


@pytest.mark.parametrize("condition", ["Accepted", "ResolvedRefs"])
def test_a_refusal_is_told_with_its_reason_and_the_former_rules_are_back(
    api: FakeKubernetes, gateway: GatewayApiWorld, condition: str
) -> None:
    former, wanted = served(gateway)
    right = kept(route(api))
    api.script_route(ROUTE, **{condition: Verdict(False, "UnsupportedValue", "no weights here")})
    said = refused(RouterRefused, lambda: gateway.router.apply(PRODUCT, wanted))
    assert f"{condition} is False: UnsupportedValue: no weights here" in said
    assert kept(route(api)) == right
    api.script_route(ROUTE)
    assert gateway.router.read(PRODUCT) == former


def test_a_version_without_a_service_is_refused_and_users_stay_where_they_were(
    api: FakeKubernetes, gateway: GatewayApiWorld
) -> None:
    former, wanted = served(gateway)
    once(api, "PUT", "httproutes", lambda: api.remove("Service", object_name(PRODUCT, 2)))
    assert "BackendNotFound" in refused(RouterRefused, lambda: gateway.router.apply(PRODUCT, wanted))
    assert gateway.router.read(PRODUCT) == former
    assert set(gateway.ask(PRODUCT, 20)) == {1}


def test_a_first_route_that_is_refused_goes_again(api: FakeKubernetes, gateway: GatewayApiWorld) -> None:
    api.script_route(ROUTE, Accepted=Verdict(False, "NotAllowedByListeners", "not here"))
    said = refused(RouterRefused, lambda: gateway.router.apply(PRODUCT, one(1, gateway.server(1))))
    assert "NotAllowedByListeners: not here" in said
    assert api.objects("HTTPRoute") == []


def test_a_refused_route_that_somebody_left_behind_is_no_routing_and_can_be_put_right(
    api: FakeKubernetes, gateway: GatewayApiWorld
) -> None:
    former, _ = served(gateway)
    changed(api, lambda rules: rules[0]["backendRefs"][0].update(name="model-flights-v9"))
    assert gateway.router.read(PRODUCT) is None
    gateway.router.apply(PRODUCT, former)
    assert gateway.router.read(PRODUCT) == former


def impatient_gateway(api: FakeKubernetes, gateway: GatewayApiWorld) -> Routing:
    """Nobody says anything, and no watch lasts: only the clock of the test goes on."""
    routing = one(1, gateway.server(1))
    api.remove("Gateway", "public")
    api.faults.watch_ends_after = 0
    return routing


def test_without_a_gateway_controller_the_bound_ends_the_waiting(api: FakeKubernetes, gateway: GatewayApiWorld) -> None:
    routing = impatient_gateway(api, gateway)
    said = refused(RouterUnreachable, lambda: gateway.router.apply(PRODUCT, routing))
    assert "Gateway public has said nothing of HTTPRoute seatrial-flights for 30 s" in said
    assert gateway.clock.monotonic() == pytest.approx(30, abs=1)
    assert api.request_count < 150, "asked without a pause"


@pytest.mark.parametrize("fault", ["hung up", "forgotten"])
def test_a_word_that_comes_late_is_heard_though_watches_break(
    api: FakeKubernetes, gateway: GatewayApiWorld, fault: str
) -> None:
    routing = impatient_gateway(api, gateway)
    looks = iter(range(1000))

    def before(request: Any) -> None:
        if "watch" not in request.query:
            return
        if fault == "forgotten":
            api.faults.watch_ends_after = None
            changed(api, lambda rules: rules[0].update(timeouts={"request": f"{next(looks)}s"}))
            api.compact()
        if next(looks) >= 5:
            api.put(GATEWAY)

    api.faults.before_each = before
    gateway.router.apply(PRODUCT, routing)
    assert gateway.router.read(PRODUCT) == routing
    assert gateway.clock.monotonic() < 30


def test_a_route_that_is_removed_while_a_word_is_awaited_is_missed(
    api: FakeKubernetes, gateway: GatewayApiWorld
) -> None:
    routing = impatient_gateway(api, gateway)
    api.faults.watch_ends_after = None
    api.faults.before_each = lambda request: api.remove("HTTPRoute", ROUTE) if "watch" in request.query else None
    said = refused(RouterUnreachable, lambda: gateway.router.apply(PRODUCT, routing))
    assert "somebody removed HTTPRoute seatrial-flights" in said


def elsewhere(gateway: GatewayApiWorld, **section: Any) -> None:
    """From now on the spec says another Gateway, or another place at it."""
    gateway.router._router = GatewayApiRouter(
        gateway.cluster, GatewaySection(**{"name": "public"} | section), gateway.counted, gateway.clock
    )


@pytest.mark.parametrize("section", [{"name": "misspelt"}, {"listener": "nowhere"}], ids=["silent", "refused"])
def test_a_spec_that_names_a_wrong_gateway_leaves_the_former_route_where_it_hangs(
    api: FakeKubernetes, gateway: GatewayApiWorld, section: dict[str, str]
) -> None:
    _, wanted = served(gateway)
    right = kept(route(api))
    api.faults.watch_ends_after = 0
    elsewhere(gateway, **section)
    refused(RouterRefused, lambda: gateway.router.apply(PRODUCT, wanted))
    assert kept(route(api)) == right
    assert set(gateway.ask(PRODUCT, 20)) == {1}


def test_hosts_that_the_spec_names_no_longer_are_no_longer_those_of_the_route(
    api: FakeKubernetes, gateway: GatewayApiWorld
) -> None:
    elsewhere(gateway, hostnames=("flights.example",))
    former, _ = served(gateway)
    assert route(api)["spec"]["hostnames"] == ["flights.example"]
    elsewhere(gateway)
    gateway.router.apply(PRODUCT, former)
    assert "hostnames" not in route(api)["spec"]


def test_a_cluster_whose_routes_cannot_mirror_a_share_mirrors_nothing(
    api: FakeKubernetes, gateway: GatewayApiWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delitem(schema.GATEWAY_TYPES["Mirror"], "fraction")
    former, wanted = served(gateway)
    copied = Routing(wanted.backends, Weights.all_to(1), mirror=Mirror(2, 5))
    said = refused(RouterRefused, lambda: gateway.router.apply(PRODUCT, copied))
    assert "install a newer Gateway API" in said
    assert gateway.router.read(PRODUCT) == former
