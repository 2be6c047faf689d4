"""An HTTPRoute that others write too: what is theirs stays, what is ours is put right."""

import copy
import json
from collections.abc import Callable
from typing import Any

import pytest

from deployments.errors import RouterRefused, RouterUnreachable
from deployments.traffic import Backend, Match, Mirror, Routing, Weights
from tests.contracts.kubernetes.breaking import kept, once, refused
from tests.contracts.kubernetes.routes import PRODUCT, ROUTE, THEIRS, changed, route, served
from tests.contracts.routers.cluster_worlds import GatewayApiWorld
from tests.contracts.routers.worlds import one
from tests.fakes.kubernetes import FakeKubernetes


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


def weight(rules: list[Any]) -> None:
    rules[0]["backendRefs"][0]["weight"] = 9000
    rules[0]["backendRefs"][1]["weight"] = 1000


def odd_weight(rules: list[Any]) -> None:
    rules[0]["backendRefs"][0]["weight"] = 1


def path(rules: list[Any]) -> None:
    rules[0]["matches"][0]["path"]["value"] = "/elsewhere/"


def no_rewriting(rules: list[Any]) -> None:
    del rules[0]["filters"]


def another_header(rules: list[Any]) -> None:
    rules[-1]["matches"][0]["headers"][0]["type"] = "RegularExpression"


def more_places(rules: list[Any]) -> None:
    rules[-1]["matches"].append({"path": {"type": "PathPrefix", "value": "/"}})


def no_preview(rules: list[Any]) -> None:
    del rules[1]


def foreign_mirror(rules: list[Any]) -> None:
    rules[0]["filters"][-1]["requestMirror"]["backendRef"]["name"] = "theirs"


def smaller_mirror(rules: list[Any]) -> None:
    rules[0]["filters"][-1]["requestMirror"]["fraction"]["numerator"] = 1


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
    changed(api, lambda rules: rules[0].update(timeouts={"request": "10s"}))
    assert gateway.router.read(PRODUCT) == former
