"""Our rules in an HTTPRoute of the user's."""

import json
from typing import Any

import pytest

from deployments.errors import RouterRefused, RouterUnreachable
from deployments.routers.gateway_api import GatewayApiRouter
from deployments.spec import GatewaySection
from tests.contracts.kubernetes.breaking import kept, refused
from tests.contracts.kubernetes.routes import PRODUCT, THEIRS, changed, route, served
from tests.contracts.routers.cluster_worlds import GATEWAY, GatewayApiWorld
from tests.contracts.routers.worlds import one
from tests.fakes.kubernetes import FakeKubernetes, Verdict, schema


@pytest.fixture
def within(api: FakeKubernetes, gateway: GatewayApiWorld) -> GatewayApiWorld:
    """Our rules in a route of the user's."""
    section = GatewaySection(name="public", route="mine")
    gateway.router._router = GatewayApiRouter(gateway.cluster, section, gateway.counted, gateway.clock)
    parent = {"group": "gateway.networking.k8s.io", "kind": "Gateway", "name": "public"}
    spec = {"parentRefs": [parent], "hostnames": ["shop.example"], "rules": [THEIRS]}
    api.put({"kind": "HTTPRoute", "metadata": {"name": "mine", "labels": {"team": "shop"}}, "spec": spec})
    return gateway


def test_a_route_of_the_users_keeps_all_that_is_theirs(api: FakeKubernetes, within: GatewayApiWorld) -> None:
    theirs = kept(route(api, "mine"))
    _, wanted = served(within)
    within.router.apply(PRODUCT, wanted)
    assert within.router.read(PRODUCT) == wanted
    now = kept(route(api, "mine"))
    assert now["spec"].pop("rules")[0] == theirs["spec"]["rules"][0]
    assert now == {**theirs, "spec": {name: each for name, each in theirs["spec"].items() if name != "rules"}}
    within.router.remove(PRODUCT)
    assert kept(route(api, "mine")) == theirs
    assert within.router.read(PRODUCT) is None


def test_what_another_gateway_says_of_a_users_route_is_its_own_business(
    api: FakeKubernetes, within: GatewayApiWorld
) -> None:
    api.put({**GATEWAY, "metadata": {"name": "strict"}, "spec": {**GATEWAY["spec"], "listeners": []}})
    attached = route(api, "mine")
    attached["spec"]["parentRefs"].append({**attached["spec"]["parentRefs"][0], "name": "strict"})
    api.put(attached)
    routing = one(1, within.server(1))
    within.router.apply(PRODUCT, routing)
    assert within.router.read(PRODUCT) == routing
    verdicts = [parent["conditions"][0]["status"] for parent in route(api, "mine")["status"]["parents"]]
    assert sorted(verdicts) == ["False", "True"]


def test_a_users_route_that_hangs_elsewhere_is_not_taken_for_live(api: FakeKubernetes, within: GatewayApiWorld) -> None:
    api.put({**GATEWAY, "metadata": {"name": "elsewhere"}})
    attached = route(api, "mine")
    attached["spec"]["parentRefs"][0]["name"] = "elsewhere"
    api.put(attached)
    api.faults.watch_ends_after = 0
    said = refused(RouterUnreachable, lambda: within.router.apply(PRODUCT, one(1, within.server(1))))
    assert "is the route attached to it" in said


def test_a_users_route_that_is_not_there_is_refused(api: FakeKubernetes, within: GatewayApiWorld) -> None:
    api.remove("HTTPRoute", "mine")
    said = refused(RouterRefused, lambda: within.router.apply(PRODUCT, one(1, within.server(1))))
    assert "there is no HTTPRoute mine in namespace default" in said
    within.router.remove(PRODUCT)
    assert api.objects("HTTPRoute") == []


def test_a_refusal_in_a_users_route_takes_only_our_rules_back(api: FakeKubernetes, within: GatewayApiWorld) -> None:
    theirs = kept(route(api, "mine"))
    api.script_route("mine", Accepted=Verdict(False, "UnsupportedValue", "no"))
    refused(RouterRefused, lambda: within.router.apply(PRODUCT, one(1, within.server(1))))
    assert kept(route(api, "mine")) == theirs


@pytest.fixture(params=["names", "no names"])
def crd(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """A cluster whose HTTPRoutes know names of rules, or one that drops them."""
    if request.param == "no names":
        monkeypatch.delitem(schema.GATEWAY_TYPES["Rule"], "name")


def leads_to(version: int, place: str) -> dict[str, Any]:
    """A rule of the user's."""
    backend = {"group": "", "kind": "Service", "name": f"model-flights-v{version}", "port": 8080, "weight": 1}
    return {"matches": [{"path": {"type": "PathPrefix", "value": place}}], "backendRefs": [backend]}


@pytest.mark.usefixtures("crd")
def test_a_rule_of_the_users_that_leads_to_our_servers_stays_byte_for_byte(
    api: FakeKubernetes, within: GatewayApiWorld
) -> None:
    former, wanted = served(within)
    within.router.remove(PRODUCT)
    changed(api, lambda rules: rules.append(leads_to(1, "/internal/")), "mine")
    for routing in (former, wanted, former):
        within.router.apply(PRODUCT, routing)
        assert within.router.read(PRODUCT) == routing
        assert json.dumps(route(api, "mine")["spec"]["rules"][1]) == json.dumps(leads_to(1, "/internal/"))
    within.router.remove(PRODUCT)
    assert route(api, "mine")["spec"]["rules"][1:] == [leads_to(1, "/internal/")]


@pytest.mark.usefixtures("crd")
def test_rules_of_a_release_that_gave_them_no_names_are_ours_still(
    api: FakeKubernetes, within: GatewayApiWorld
) -> None:
    former, wanted = served(within)

    def nameless(rules: list[Any]) -> None:
        for rule in rules[1:]:
            rule.pop("name", None)

    changed(api, nameless, "mine")
    assert within.router.read(PRODUCT) == former
    within.router.apply(PRODUCT, wanted)
    assert within.router.read(PRODUCT) == wanted
    within.router.remove(PRODUCT)
    assert len(route(api, "mine")["spec"]["rules"]) == 1


def test_a_rule_that_a_user_gave_a_name_is_theirs_though_it_is_made_as_ours_are(
    api: FakeKubernetes, within: GatewayApiWorld
) -> None:
    former, wanted = served(within)
    own = {**route(api, "mine")["spec"]["rules"][1], "name": "for-partners"}
    own["matches"] = [{"path": {"type": "PathPrefix", "value": "/partners/"}}]
    changed(api, lambda rules: rules.append(own), "mine")
    assert within.router.read(PRODUCT) == former
    within.router.apply(PRODUCT, wanted)
    assert own in route(api, "mine")["spec"]["rules"]
