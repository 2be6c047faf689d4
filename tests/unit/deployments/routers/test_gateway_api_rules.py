"""A routing becomes rules of an HTTPRoute and is read back from them; what others wrote stays as it is."""

import copy
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deployments.errors import RouterRefused
from deployments.routers.gateway_api.rules import is_ours, known_versions, routing_of, rules_of, with_ours
from deployments.traffic import Backend, Match, Mirror, Routing, StickyKey, Weights

ONE, TWO, THREE = (Backend(version, (f"10.0.0.{version}:8080",)) for version in (1, 2, 3))
THEIRS: dict[str, Any] = {
    "name": "legacy",
    "matches": [{"path": {"type": "Exact", "value": "/old"}}],
    "filters": [{"type": "RequestRedirect", "requestRedirect": {"hostname": "old.example"}}],
    "backendRefs": [{"name": "legacy", "port": 80, "weight": 3}],
}

names = st.text("abcdefghijklmnopqrstuvwxyzABC0123456789-", min_size=1, max_size=12)
values = st.text(st.characters(min_codepoint=32, max_codepoint=126), min_size=1, max_size=12)
cookie_values = st.text("abcXYZ019._-+*()[]/\\^$|?{}=", min_size=1, max_size=12)
matches = st.one_of(
    st.builds(Match, st.sampled_from([1, 2]), values, header=names),
    st.builds(Match, st.sampled_from([1, 2]), cookie_values, cookie=names),
)


@given(
    st.integers(0, 10_000),
    st.lists(matches, max_size=3, unique_by=lambda match: (match.header, match.cookie, match.value)),
    st.one_of(st.none(), st.integers(1, 10_000).map(lambda part: Mirror(3, part / 100))),
)
def test_a_routing_is_read_back_from_its_rules(part: int, some: list[Match], mirror: Mirror | None) -> None:
    weights = Weights.of_parts({1: 10_000 - part, 2: part})
    routing = Routing((ONE, TWO, THREE), weights, tuple(each for each in some if each.header != VERSION), mirror)
    rules = rules_of("flights", routing, "/flights/")
    assert routing_of("flights", [THEIRS, *rules], (ONE, TWO, THREE)) == routing
    assert known_versions("flights", rules) == (1, 2, 3)


VERSION = "x-seatrial-version"


def test_users_get_their_share_and_copies_go_to_a_port_of_their_own() -> None:
    rules = rules_of("flights", Routing((ONE, TWO), Weights.all_to(1), mirror=Mirror(2, 12.5)), "/flights/")
    split = rules[-1]
    assert [(each["name"], each["port"], each["weight"]) for each in split["backendRefs"]] == [
        ("model-flights-v1", 8082, 10_000)
    ]
    mirror = next(each["requestMirror"] for each in split["filters"] if each["type"] == "RequestMirror")
    assert (mirror["backendRef"]["name"], mirror["backendRef"]["port"]) == ("model-flights-v2", 8081)
    assert mirror["fraction"] == {"numerator": 1250, "denominator": 10_000}


def test_every_version_has_a_preview_and_the_path_is_taken_off() -> None:
    rules = rules_of("flights", Routing((ONE, TWO), Weights({1: 90, 2: 10})), "/models/")
    headers = [rule["matches"][0].get("headers", [{}])[0].get("value") for rule in rules]
    assert headers == ["1", "2", None]
    assert {rule["matches"][0]["path"]["value"] for rule in rules} == {"/models/"}
    assert {rule["filters"][0]["urlRewrite"]["path"]["replacePrefixMatch"] for rule in rules} == {"/"}


def test_rules_of_others_stay_where_and_as_they_are() -> None:
    other = {**THEIRS, "backendRefs": [{"name": "model-flights-v1"}, {"name": "legacy"}]}
    of_another_product = rules_of("flights-v2", Routing((ONE,), Weights.all_to(1)), "/flights-v2/")
    former = rules_of("flights", Routing((ONE,), Weights.all_to(1)), "/flights/")
    later = rules_of("flights", Routing((TWO,), Weights.all_to(2)), "/flights/")
    rules = [THEIRS, *former, other, *of_another_product]
    before = copy.deepcopy(rules)
    assert with_ours("flights", rules, later) == [THEIRS, *later, other, *of_another_product]
    assert with_ours("flights", rules, []) == [THEIRS, other, *of_another_product]
    assert with_ours("flights", [THEIRS], later) == [THEIRS, *later]
    assert rules == before


@pytest.mark.parametrize("rule", [{}, {"backendRefs": []}, THEIRS, {"backendRefs": [{"name": "model-flights-vx"}]}])
def test_a_rule_without_our_services_is_not_ours(rule: dict[str, Any]) -> None:
    assert not is_ours("flights", rule)


def test_weights_changed_by_hand_are_read_as_they_are() -> None:
    rules = rules_of("flights", Routing((ONE, TWO), Weights({1: 90, 2: 10})), "/flights/")
    rules[-1]["backendRefs"][0]["weight"], rules[-1]["backendRefs"][1]["weight"] = 5_000, 5_000
    live = routing_of("flights", rules, (ONE, TWO))
    assert live is not None
    assert live.weights == Weights({1: 50, 2: 50})


@pytest.mark.parametrize("broken", ["no split", "two splits", "odd weights"])
def test_rules_that_make_no_routing_are_none(broken: str) -> None:
    rules = rules_of("flights", Routing((ONE, TWO), Weights({1: 90, 2: 10})), "/flights/")
    if broken == "no split":
        del rules[-1]
    elif broken == "two splits":
        rules.append(rules[-1])
    else:
        rules[-1]["backendRefs"][0]["weight"] = 1
    assert routing_of("flights", rules, (ONE, TWO)) is None


def test_a_sticky_key_is_refused_rather_than_forgotten() -> None:
    with pytest.raises(RouterRefused, match="cookie sid"):
        rules_of("flights", Routing((ONE,), Weights.all_to(1), key=StickyKey(cookie="sid")), "/flights/")
