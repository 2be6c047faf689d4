"""A routing becomes rules of an HTTPRoute and is read back from them; what others wrote stays as it is."""

import copy
import itertools
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deployments.errors import RouterRefused
from deployments.routers.gateway_api.route_rules import (
    are_as_written,
    known_versions,
    ours_among,
    routing_of,
    rules_of,
    update_stages,
    with_ours,
)
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
    ours = ours_among("flights", [THEIRS, *rules], "/flights/")
    assert ours == rules
    assert routing_of("flights", ours, (ONE, TWO, THREE)) == routing
    assert known_versions("flights", ours) == (1, 2, 3)


VERSION = "x-seatrial-version"


def test_users_get_their_share_and_copies_go_to_a_port_of_their_own() -> None:
    rules = rules_of("flights", Routing((ONE, TWO), Weights.all_to(1), mirror=Mirror(2, 12.5)), "/flights/")
    split = rules[0]
    assert [(each["name"], each["port"], each["weight"]) for each in split["backendRefs"]] == [
        ("model-flights-v1", 8082, 10_000)
    ]
    mirror = next(each["requestMirror"] for each in split["filters"] if each["type"] == "RequestMirror")
    assert (mirror["backendRef"]["name"], mirror["backendRef"]["port"]) == ("model-flights-v2", 8081)
    assert mirror["fraction"] == {"numerator": 1250, "denominator": 10_000}


def test_every_version_has_a_preview_and_the_path_is_taken_off() -> None:
    rules = rules_of("flights", Routing((ONE, TWO), Weights({1: 90, 2: 10})), "/models/")
    headers = [rule["matches"][0].get("headers", [{}])[0].get("value") for rule in rules]
    assert headers == [None, "1", "2"]
    assert {rule["matches"][0]["path"]["value"] for rule in rules} == {"/models/"}
    assert {rule["filters"][0]["urlRewrite"]["path"]["replacePrefixMatch"] for rule in rules} == {"/"}


def test_rules_of_others_stay_where_and_as_they_are() -> None:
    other = {**THEIRS, "backendRefs": [{"name": "model-flights-v1"}, {"name": "legacy"}]}
    of_another_product = rules_of("flights-v2", Routing((ONE,), Weights.all_to(1)), "/flights-v2/")
    former = rules_of("flights", Routing((ONE,), Weights.all_to(1)), "/flights/")
    later = rules_of("flights", Routing((TWO,), Weights.all_to(2)), "/flights/")
    rules = [THEIRS, *former, other, *of_another_product]
    before = copy.deepcopy(rules)
    found = ours_among("flights", rules, "/flights/")
    assert with_ours(rules, found, later) == [THEIRS, later[0], other, *of_another_product, *later[1:]]
    assert with_ours(rules, found, []) == [THEIRS, other, *of_another_product]
    assert with_ours([THEIRS], [], later) == [THEIRS, *later]
    assert rules == before


TO_US = [{"name": "model-flights-v1", "port": 8080}]
REWRITE = {"type": "URLRewrite", "urlRewrite": {"path": {"type": "ReplacePrefixMatch", "replacePrefixMatch": "/"}}}


@pytest.mark.parametrize(
    "rule",
    [
        {},
        {"backendRefs": []},
        THEIRS,
        {"backendRefs": [{"name": "model-flights-vx"}]},
        {"matches": [{"path": {"type": "PathPrefix", "value": "/internal/"}}], "backendRefs": TO_US},
        {"backendRefs": TO_US},
        {"name": "mine", "filters": [REWRITE], "backendRefs": TO_US},
        {"name": "seatrial.flights-v2.split", "filters": [REWRITE], "backendRefs": TO_US},
    ],
)
def test_a_rule_that_we_did_not_write_is_not_ours_wherever_it_leads(rule: dict[str, Any]) -> None:
    assert ours_among("flights", [rule], "/flights/") == []


def without_names(rules: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [{key: value for key, value in rule.items() if key != "name"} for rule in rules]


def test_rules_of_ours_that_have_no_names_are_known_by_what_they_are() -> None:
    routing = Routing((ONE, TWO), Weights({1: 90, 2: 10}), (Match(2, "yes", header="x-beta"),))
    rules = without_names(rules_of("flights", routing, "/flights/"))
    assert ours_among("flights", rules, "/flights/") == rules
    assert ours_among("flights", rules, "/now/elsewhere/") == rules
    [split, *others] = rules
    bare = {key: value for key, value in split.items() if key != "filters"}
    assert ours_among("flights", [bare, *others], "/flights/") == [bare, *others]


def test_once_rules_have_names_of_ours_the_others_are_not_guessed_at() -> None:
    ours = rules_of("flights", Routing((ONE,), Weights.all_to(1)), "/flights/")
    [like_ours, *_] = without_names(ours)
    assert ours_among("flights", [like_ours, *ours], "/flights/") == ours


def test_names_are_of_one_rule_each() -> None:
    some = (Match(2, "yes", header="x-beta"), Match(1, "no", header="x-beta"))
    names = [rule["name"] for rule in rules_of("flights", Routing((ONE, TWO), Weights({1: 90, 2: 10}), some), "/f/")]
    assert len(set(names)) == 5


@pytest.mark.parametrize("gone", ["backendRefs", "matches", "filters"])
@pytest.mark.parametrize("place", [0, 2, 3])
def test_a_rule_of_ours_of_which_a_part_was_taken_is_no_routing_and_no_crash(gone: str, place: int) -> None:
    routing = Routing((ONE, TWO), Weights({1: 90, 2: 10}), (Match(2, "yes", header="x-beta"),))
    rules = rules_of("flights", routing, "/flights/")
    del rules[place][gone]
    known_versions("flights", rules)
    live = routing_of("flights", rules, (ONE, TWO))
    assert live is None or not are_as_written(rules_of("flights", live, "/flights/"), rules)


def test_weights_changed_by_hand_are_read_as_they_are() -> None:
    rules = rules_of("flights", Routing((ONE, TWO), Weights({1: 90, 2: 10})), "/flights/")
    rules[0]["backendRefs"][0]["weight"], rules[0]["backendRefs"][1]["weight"] = 5_000, 5_000
    live = routing_of("flights", rules, (ONE, TWO))
    assert live is not None
    assert live.weights == Weights({1: 50, 2: 50})


@pytest.mark.parametrize("broken", ["no split", "two splits", "odd weights"])
def test_rules_that_make_no_routing_are_none(broken: str) -> None:
    rules = rules_of("flights", Routing((ONE, TWO), Weights({1: 90, 2: 10})), "/flights/")
    if broken == "no split":
        del rules[0]
    elif broken == "two splits":
        rules.append(rules[0])
    else:
        rules[0]["backendRefs"][0]["weight"] = 1
    assert routing_of("flights", rules, (ONE, TWO)) is None


def test_a_sticky_key_is_refused_rather_than_forgotten() -> None:
    with pytest.raises(RouterRefused, match="cookie sid"):
        rules_of("flights", Routing((ONE,), Weights.all_to(1), key=StickyKey(cookie="sid")), "/flights/")


def led_to(rules: list[dict[str, Any]], *, by_users: bool) -> set[tuple[str, int]]:
    """Services and ports that rules name, or that requests without a version are led to."""
    found = set()
    for rule in rules:
        headers = [header["name"] for match in rule["matches"] for header in match.get("headers", ())]
        copies = [each["requestMirror"]["backendRef"] for each in rule["filters"] if "requestMirror" in each]
        if not by_users or VERSION not in headers:
            references = [*rule["backendRefs"], *copies]
            found |= {(each["name"], each["port"]) for each in references if not by_users or each.get("weight", 1)}
    return found


routings = st.builds(
    lambda known, part, mirrored, matched: Routing(
        (ONE, TWO, THREE) if known else (ONE, TWO),
        Weights.of_parts({1: 10_000 - part, 2: part}),
        (Match(1, "yes", header="x-beta"),) if matched else (),
        Mirror(3, 50) if known and mirrored else None,
    ),
    *(st.booleans(), st.sampled_from([0, 500, 10_000]), st.booleans(), st.booleans()),
)


@given(st.one_of(st.just(Routing((ONE,), Weights.all_to(1))), routings), routings)
def test_nobody_is_led_where_the_route_did_not_name_the_way_before_and_does_not_after(
    former: Routing, wanted: Routing
) -> None:
    first, last = rules_of("flights", former, "/flights/"), rules_of("flights", wanted, "/flights/")
    passed = [first, *update_stages("flights", first, last, "/flights/")]
    assert passed[-1] == last
    assert len(passed) <= 4
    for before, after in itertools.pairwise(passed):
        assert led_to(after, by_users=True) <= led_to(before, by_users=False)
        assert led_to(before, by_users=True) <= led_to(after, by_users=False)
        assert led_to(after, by_users=True) in (led_to(first, by_users=True), led_to(last, by_users=True))
        assert ours_among("flights", [THEIRS, *after], "/flights/") == after


def answering_users(rules: list[dict[str, Any]]) -> dict[str, int]:
    """The places of rules that users may meet, by their names."""
    headers = [[each["name"] for match in rule["matches"] for each in match.get("headers", ())] for rule in rules]
    return {rule["name"]: place for place, rule in enumerate(rules) if VERSION not in headers[place]}


@given(
    st.one_of(st.just(Routing((ONE,), Weights.all_to(1))), routings),
    st.one_of(st.just(Routing((TWO,), Weights.all_to(2))), routings),
    st.booleans(),
)
def test_the_split_and_rules_of_others_keep_their_places_in_the_route(
    former: Routing, wanted: Routing, shared: bool
) -> None:
    """A gateway that names things after a rule's place answers with 503 while one moves."""
    first, last = rules_of("flights", former, "/flights/"), rules_of("flights", wanted, "/flights/")
    others = [THEIRS, {**THEIRS, "name": "also theirs"}] if shared else []
    rules = with_ours(others, [], first)
    kept = {"seatrial.flights.split", *(each["name"] for each in others)}
    before = {name: place for name, place in answering_users(rules).items() if name in kept}
    for stage in update_stages("flights", first, last, "/flights/"):
        rules = with_ours(rules, ours_among("flights", rules, "/flights/"), stage)
        assert {name: place for name, place in answering_users(rules).items() if name in kept} == before


def test_rules_of_others_behind_ours_keep_their_places_when_versions_come_and_go() -> None:
    one, two = (
        rules_of("flights", routing, "/flights/")
        for routing in (Routing((ONE,), Weights.all_to(1)), Routing((ONE, TWO), Weights({1: 90, 2: 10})))
    )
    rules = with_ours([*one[:1], THEIRS], one[:1], one)
    for ours in (two, one, two):
        rules = with_ours(rules, ours_among("flights", rules, "/flights/"), ours)
        assert (rules[0]["name"], rules[1]) == ("seatrial.flights.split", THEIRS)


def test_rules_in_an_order_of_an_earlier_release_are_as_written() -> None:
    routing = Routing((ONE, TWO), Weights({1: 90, 2: 10}), (Match(2, "yes", header="x-beta"),))
    [split, *others] = rules_of("flights", routing, "/flights/")
    assert are_as_written([split, *others], [*others, split])
    assert not are_as_written([split, *others], [*others, others[0]])


def test_a_change_of_weights_between_known_versions_and_the_first_route_take_one_step() -> None:
    known = [
        rules_of("flights", Routing((ONE, TWO), weights), "/flights/")
        for weights in (Weights({1: 95, 2: 5}), Weights({1: 50, 2: 50}))
    ]
    assert update_stages("flights", *known, "/flights/") == [known[1]]
    assert update_stages("flights", [], known[0], "/flights/") == [known[0]]
