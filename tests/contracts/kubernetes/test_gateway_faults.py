"""An HTTPRoute that others write too, gateways that refuse or say nothing, and a server that is away."""

import copy
import json
import re
from collections.abc import Callable
from typing import Any

import pytest

from deployments.cluster import object_name
from deployments.errors import ClusterRefused, RouterRefused, RouterUnreachable, TryAgain
from deployments.routers.gateway_api import GatewayApiRouter
from deployments.spec import GatewaySection
from deployments.traffic import Backend, Match, Mirror, Routing, Weights
from tests.contracts.kubernetes.breaking import broken_off_anywhere, kept, once, refused
from tests.contracts.routers.cluster_worlds import GATEWAY, GatewayApiWorld
from tests.contracts.routers.worlds import one, two
from tests.fakes.kubernetes import NEVER_READY, READY, FakeKubernetes, Verdict

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


def test_a_conflict_is_repeated_and_what_another_changed_meanwhile_stays_byte_for_byte(
    api: FakeKubernetes, gateway: GatewayApiWorld
) -> None:
    _, wanted = served(gateway)
    changed(api, lambda rules: rules.insert(0, copy.deepcopy(THEIRS)))
    edited = copy.deepcopy(THEIRS)
    edited["filters"][0]["requestRedirect"]["hostname"] = "new.example"

    def edit() -> None:
        changed(api, lambda rules: rules.__setitem__(0, copy.deepcopy(edited)))

    once(api, "PUT", "httproutes", edit)
    gateway.router.apply(PRODUCT, wanted)
    assert json.dumps(route(api)["spec"]["rules"][0]) == json.dumps(edited)
    assert gateway.router.read(PRODUCT) == wanted


def test_who_always_meets_a_newer_route_gives_up_after_ten_attempts(
    api: FakeKubernetes, gateway: GatewayApiWorld
) -> None:
    former, wanted = served(gateway)
    before = route(api)
    api.faults.conflict_on("httproutes")
    said = refused(RouterUnreachable, lambda: gateway.router.apply(PRODUCT, wanted))
    assert "others keep changing HTTPRoute seatrial-flights" in said
    assert sum(each.method == "PUT" for each in api.requests) == 10
    assert route(api) == before
    api.faults.heal()
    assert gateway.router.read(PRODUCT) == former


def test_a_route_that_vanishes_while_it_is_written_is_made_anew(api: FakeKubernetes, gateway: GatewayApiWorld) -> None:
    _, wanted = served(gateway)
    once(api, "PUT", "httproutes", lambda: api.remove("HTTPRoute", ROUTE))
    gateway.router.apply(PRODUCT, wanted)
    assert gateway.router.read(PRODUCT) == wanted


def test_a_foreign_route_of_our_name_is_refused_and_left_as_it_is(
    api: FakeKubernetes, gateway: GatewayApiWorld
) -> None:
    parent = {"group": "gateway.networking.k8s.io", "kind": "Gateway", "name": "public"}
    api.put({"kind": "HTTPRoute", "metadata": {"name": ROUTE}, "spec": {"parentRefs": [parent], "rules": [THEIRS]}})
    theirs = route(api)
    said = refused(RouterRefused, lambda: gateway.router.apply(PRODUCT, one(1, gateway.server(1))))
    assert "HTTPRoute seatrial-flights in namespace default is not Seatrial's" in said
    assert gateway.router.read(PRODUCT) is None
    gateway.router.remove(PRODUCT)
    assert route(api) == theirs


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


def weight(rules: list[Any]) -> None:
    rules[-1]["backendRefs"][0]["weight"] = 9000
    rules[-1]["backendRefs"][1]["weight"] = 1000


def odd_weight(rules: list[Any]) -> None:
    rules[-1]["backendRefs"][0]["weight"] = 1


def path(rules: list[Any]) -> None:
    rules[-1]["matches"][0]["path"]["value"] = "/elsewhere/"


def no_rewriting(rules: list[Any]) -> None:
    del rules[-1]["filters"]


def another_header(rules: list[Any]) -> None:
    rules[-2]["matches"][0]["headers"][0]["type"] = "RegularExpression"


def more_places(rules: list[Any]) -> None:
    rules[-2]["matches"].append({"path": {"type": "PathPrefix", "value": "/"}})


def no_preview(rules: list[Any]) -> None:
    del rules[0]


def foreign_mirror(rules: list[Any]) -> None:
    rules[-1]["filters"][-1]["requestMirror"]["backendRef"]["name"] = "theirs"


def smaller_mirror(rules: list[Any]) -> None:
    rules[-1]["filters"][-1]["requestMirror"]["fraction"]["numerator"] = 1


HANDS = [
    weight,
    odd_weight,
    path,
    no_rewriting,
    another_header,
    more_places,
    no_preview,
    foreign_mirror,
    smaller_mirror,
]


@pytest.mark.parametrize("hand", HANDS, ids=lambda hand: hand.__name__)
def test_what_other_hands_changed_in_our_rules_is_seen_and_put_right(
    api: FakeKubernetes, gateway: GatewayApiWorld, hand: Callable[[list[Any]], None]
) -> None:
    backends = tuple(Backend(version, (gateway.server(version),)) for version in (1, 2, 3))
    wanted = Routing(backends, Weights({1: 50, 2: 50}), (Match(2, "yes", header="x-beta"),), Mirror(3, 25))
    gateway.router.apply(PRODUCT, wanted)
    right = kept(route(api))
    assert gateway.router.read(PRODUCT) == wanted
    changed(api, hand)
    assert gateway.router.read(PRODUCT) != wanted
    gateway.router.apply(PRODUCT, wanted)
    assert gateway.router.read(PRODUCT) == wanted
    assert kept(route(api)) == right


def test_fields_that_the_server_fills_in_are_no_change(api: FakeKubernetes, gateway: GatewayApiWorld) -> None:
    former, _ = served(gateway)
    changed(api, lambda rules: rules[-1].update(timeouts={"request": "10s"}))
    assert gateway.router.read(PRODUCT) == former


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
    changed(api, lambda rules: rules[-1]["backendRefs"][0].update(name="model-flights-v9"))
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
            changed(api, lambda rules: rules[-1].update(name=f"split-{next(looks)}"))
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


def test_every_error_of_the_server_is_one_that_somebody_tries_again(
    api: FakeKubernetes, gateway: GatewayApiWorld
) -> None:
    _, wanted = served(gateway)
    for code in (429, 500, 503, 504):
        api.faults.fail_next(5, code)
        refused(TryAgain, lambda: gateway.router.apply(PRODUCT, wanted))
        api.faults.heal()
