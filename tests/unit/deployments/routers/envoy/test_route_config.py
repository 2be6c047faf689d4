"""What the route table says."""

import re

import pytest

from deployments.routers.envoy.access_log import KEYED_HEADER, USER_FILTER
from deployments.routers.envoy.config_files import Json
from deployments.routers.envoy.route_config import route_table
from deployments.traffic import Backend, Match, Mirror, Routing, StickyKey, Weights

ALL = Routing(
    (Backend(1, ("/1",)), Backend(2, ("/2",)), Backend(3, ("/3",))),
    Weights({1: 99.5, 2: 0.5, 3: 0}),
    (Match(2, "yes", header="x-beta"), Match(2, "b", cookie="exp")),
    Mirror(3, 12.5),
)


def routing(**percents: float) -> Routing:
    weights = {int(name.removeprefix("v")): percent for name, percent in percents.items()}
    return Routing(tuple(Backend(version, (f"/{version}",)) for version in weights), Weights(weights))


def routes(product: str, wanted: Routing) -> list[Json]:
    found: list[Json] = route_table({product: wanted})["virtual_hosts"][0]["routes"]
    return [route for route in found if route["name"].partition(".")[0] == product]


def shares(wanted: Routing) -> list[Json]:
    found: list[Json] = routes("flights", wanted)[-1]["route"]["weighted_clusters"]["clusters"]
    return found


def test_the_total_never_changes_so_that_keys_stay() -> None:
    for weights in (routing(v1=100), routing(v1=1, v2=99), routing(v1=33, v2=33, v3=34), routing(v1=99.99, v2=0.01)):
        assert sum(share["weight"] for share in shares(weights)) == 10_000


def test_versions_stand_in_ascending_order_whatever_order_they_were_given_in() -> None:
    assert [share["name"] for share in shares(routing(v10=10, v9=90))] == ["flights_v9", "flights_v10"]


def test_previews_are_tried_before_matches_and_these_before_the_split() -> None:
    names = [route["name"].removeprefix("flights") for route in routes("flights", ALL)]
    assert names == [".preview"] * 8 + [".match"] * 2 + [".key", ""]


@pytest.mark.parametrize(
    ("key", "where", "name"),
    [(None, "headers", "x-seatrial-key"), (StickyKey(cookie="uid"), "cookies", "uid")],
    ids=["header", "cookie"],
)
def test_there_is_a_second_split_for_those_without_a_key(key: StickyKey | None, where: str, name: str) -> None:
    with_it, without = routes("flights", Routing(ALL.backends, ALL.weights, key=key))[-2:]
    assert with_it["match"][where][0]["name"] == name
    assert "hash_policy" in with_it["route"]
    assert where not in without["match"]
    assert "hash_policy" not in without["route"]
    assert with_it["route"]["weighted_clusters"] == without["route"]["weighted_clusters"]


def test_the_cookie_that_keeps_users_is_found_among_others_and_salted() -> None:
    by_cookie = Routing(ALL.backends, ALL.weights, key=StickyKey(cookie="uid"))
    rewrite = routes("flights", by_cookie)[-2]["route"]["hash_policy"][0]["header"]["regex_rewrite"]
    pattern = re.compile(rewrite["pattern"]["regex"])
    for header in ("uid=u1", "a=b; uid=u1", "xuid=9; uid=u1; c=d", "uid=u1;c=d"):
        assert pattern.sub(rewrite["substitution"], header) == "flights:u1"


def test_copies_go_to_a_cluster_of_their_own_and_only_from_the_split() -> None:
    mirrored = [route for route in routes("flights", ALL) if "request_mirror_policies" in route.get("route", {})]
    assert [route["name"] for route in mirrored] == ["flights.key", "flights"]
    for route in mirrored:
        (policy,) = route["route"]["request_mirror_policies"]
        assert policy["cluster"] == "flights_v3_mirror"
        assert policy["runtime_fraction"]["default_value"] == {"numerator": 1250, "denominator": "TEN_THOUSAND"}


def asks_for_lines(route: Json) -> bool:
    marked = any(each["header"]["key"] == KEYED_HEADER for each in route.get("request_headers_to_add", ()))
    assert marked == (USER_FILTER in route.get("typed_per_filter_config", {}))
    return marked


@pytest.mark.parametrize(
    ("wanted", "names"),
    [
        (ALL, ["flights.key"]),
        (routing(v1=50, v2=50), ["flights.key"]),
        (routing(v1=100), []),
        (routing(v1=0, v2=100), []),
        (Routing((Backend(1, ("/1",)), Backend(2, ("/2",))), Weights({1: 100}), mirror=Mirror(2, 5)), []),
    ],
    ids=["split", "halves", "one", "all to one of two", "mirror"],
)
def test_lines_are_written_of_users_with_a_key_while_a_split_stands(wanted: Routing, names: list[str]) -> None:
    assert [route["name"] for route in routes("flights", wanted) if asks_for_lines(route)] == names


def test_no_copy_says_that_its_request_has_a_key() -> None:
    (policy,) = routes("flights", ALL)[-2]["route"]["request_mirror_policies"]
    assert {"remove": KEYED_HEADER} in policy["request_headers_mutations"]


def test_a_product_is_matched_by_its_whole_name() -> None:
    pattern = re.compile(routes("flights", routing(v1=100))[-1]["match"]["safe_regex"]["regex"])
    for path in ("/flights/", "/flights/invocations", "/v2/models/flights", "/v2/models/flights/infer"):
        assert pattern.fullmatch(path)
    for path in (
        "/flights",
        "/flights-eu/x",
        "/v2/models/flights-eu",
        "/v2/models/",
        "/a/flights/",
        "/v2/models/flightsx/infer",
    ):
        assert not pattern.fullmatch(path)


def test_the_same_products_make_the_same_table() -> None:
    one, other = {"a": routing(v1=100), "b": routing(v2=100)}, {"b": routing(v2=100), "a": routing(v1=100)}
    assert route_table(one) == route_table(other)
    assert route_table(one) != route_table({"a": routing(v1=100)})
