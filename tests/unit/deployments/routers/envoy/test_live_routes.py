"""The way back from a route table to a routing."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deployments.routers.envoy.config_files import Json
from deployments.routers.envoy.live_routes import live_routing
from deployments.routers.envoy.route_config import route_table
from deployments.traffic import Backend, Match, Mirror, Routing, StickyKey, Weights

BACKENDS = tuple(Backend(version, (f"/{version}",)) for version in (1, 2, 3))
FULL = Routing(
    BACKENDS,
    Weights({1: 90, 2: 10, 3: 0}),
    (Match(2, "yes", header="x-beta"),),
    Mirror(3, 50),
    StickyKey(cookie="uid"),
)
KEYS = st.sampled_from([None, StickyKey(header="x-user"), StickyKey(cookie="uid")])
MIRRORS = st.none() | st.integers(1, 10_000).map(lambda part: Mirror(3, part / 100))
MATCHES = st.lists(
    st.builds(Match, st.sampled_from([1, 2]), st.text("ab", min_size=1, max_size=5), header=st.just("x-beta"))
    | st.builds(Match, st.sampled_from([1, 2]), st.text("ab", min_size=1, max_size=5), cookie=st.just("exp")),
    unique_by=lambda match: (match.header, match.value),
    max_size=3,
)


def table_with(action: Json) -> Json:
    by_key = {"hash_policy": [{"header": {"header_name": "x-seatrial-key"}}]}
    return {"virtual_hosts": [{"routes": [{"name": "flights", "match": {}, "route": action | by_key}]}]}


def split(**parts: int) -> Json:
    return table_with(
        {"weighted_clusters": {"clusters": [{"name": name, "weight": part} for name, part in parts.items()]}}
    )


@given(st.integers(0, 10_000), MATCHES, MIRRORS, KEYS)
def test_a_routing_reads_back_as_it_was_written(
    part: int, matches: list[Match], mirror: Mirror | None, key: StickyKey | None
) -> None:
    weights = Weights.of_parts({1: 10_000 - part, 2: part})
    written = Routing(BACKENDS, weights, tuple(matches), mirror, key)
    table = route_table({"flights": written, "flights-eu": FULL, "trains": FULL})
    assert live_routing(table, "flights", BACKENDS) == written


@pytest.mark.parametrize(
    ("parts", "percents"),
    [
        ({"flights_v1": 1, "flights_v2": 2}, {1: 33.33, 2: 66.67}),
        ({"flights_v1": 1, "flights_v2": 1, "flights_v3": 1}, {1: 33.34, 2: 33.33, 3: 33.33}),
        ({"flights_v1": 9950, "flights_v2": 50}, {1: 99.5, 2: 0.5}),
        ({"flights_v1": 0, "flights_v2": 7}, {1: 0, 2: 100}),
    ],
)
def test_weights_edited_by_hand_are_read_to_the_hundredth_of_a_percent(
    parts: dict[str, int], percents: dict[int, float]
) -> None:
    found = live_routing(split(**parts), "flights", BACKENDS)
    assert found is not None
    assert found.weights == Weights(percents)


def test_a_route_to_one_cluster_is_all_to_it() -> None:
    found = live_routing(table_with({"cluster": "flights_v2"}), "flights", BACKENDS)
    assert found == Routing(BACKENDS, Weights.all_to(2))


@pytest.mark.parametrize(
    "table",
    [
        {},
        split(),
        split(flights_v1=0),
        split(flights_v1=90, trains_v1=10),
        split(flights_v1=90, flights_v9=10),
        split(elsewhere=1),
        table_with({"cluster": "trains_v1"}),
        table_with({"cluster": "flights_v2_mirror"}),
    ],
)
def test_a_route_that_leads_elsewhere_is_none(table: Json) -> None:
    assert live_routing(table, "flights", BACKENDS) is None


def edited(path: str, value: object) -> Json:
    """The table of FULL with one thing changed in the last of its splits."""
    table: Json = json.loads(json.dumps(route_table({"flights": FULL})))
    last = [route for route in table["virtual_hosts"][0]["routes"] if route["name"] == "flights"][-1]
    place = last["route"]
    *names, name = path.split("/")
    for each in names:
        place = place[int(each) if each.isdigit() else each]
    place[name] = value
    return table


def test_an_edit_of_only_one_of_two_splits_is_seen() -> None:
    assert live_routing(edited("timeout", "60s"), "flights", BACKENDS) == FULL
    assert live_routing(edited("weighted_clusters/clusters/0/weight", 1), "flights", BACKENDS) is None
    assert live_routing(edited("request_mirror_policies/0/cluster", "flights_v3"), "flights", BACKENDS) is None


def test_a_mirror_in_percent_is_read_like_one_in_ten_thousandths() -> None:
    table = route_table({"flights": Routing(BACKENDS, Weights.all_to(1), mirror=Mirror(3, 7))})
    route = next(each for each in table["virtual_hosts"][0]["routes"] if each["name"] == "flights")
    # Envoy leaves out the denominator that is its default.
    route["route"]["request_mirror_policies"][0]["runtime_fraction"]["default_value"] = {"numerator": 25}
    found = live_routing(table, "flights", BACKENDS)
    assert found is not None
    assert found.mirror == Mirror(3, 25)


def test_a_split_that_keeps_nobody_is_none() -> None:
    table = split(flights_v1=1)
    del table["virtual_hosts"][0]["routes"][0]["route"]["hash_policy"]
    assert live_routing(table, "flights", BACKENDS) is None
