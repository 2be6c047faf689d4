"""What the route table says, and how it is read back."""

import re

import pytest

from deployments.routers.envoy.files import Json
from deployments.routers.envoy.routes import live_weights, route_table
from deployments.traffic import Backend, Routing, Weights


def routing(**percents: int) -> Routing:
    weights = {int(name.removeprefix("v")): percent for name, percent in percents.items()}
    return Routing(tuple(Backend(version, (f"/{version}",)) for version in weights), Weights(weights))


def table_with(action: Json) -> Json:
    return {"virtual_hosts": [{"routes": [{"name": "flights", "route": action}]}]}


def split(**parts: int) -> Json:
    return table_with(
        {"weighted_clusters": {"clusters": [{"name": name, "weight": part} for name, part in parts.items()]}}
    )


def routes(table: Json) -> list[Json]:
    found: list[Json] = table["virtual_hosts"][0]["routes"]
    return found


@pytest.mark.parametrize("percent", range(101))
def test_weights_read_back_as_they_were_written(percent: int) -> None:
    written = routing(v3=100 - percent, v4=percent)
    table = route_table({"flights": written, "trains": routing(v1=100)})
    assert live_weights(table, "flights") == written.weights


def test_the_total_never_changes_so_that_keys_stay() -> None:
    for weights in (routing(v1=100), routing(v1=1, v2=99), routing(v1=33, v2=33, v3=34)):
        shares = routes(route_table({"flights": weights}))[1]["route"]["weighted_clusters"]["clusters"]
        assert sum(share["weight"] for share in shares) == 10_000


def test_versions_stand_in_ascending_order_whatever_order_they_were_given_in() -> None:
    shares = routes(route_table({"flights": routing(v10=10, v9=90)}))[1]["route"]["weighted_clusters"]["clusters"]
    assert [share["name"] for share in shares] == ["flights_v9", "flights_v10"]


@pytest.mark.parametrize(
    ("parts", "percents"),
    [
        ({"flights_v1": 1, "flights_v2": 2}, {1: 33, 2: 67}),
        ({"flights_v1": 1, "flights_v2": 1, "flights_v3": 1}, {1: 34, 2: 33, 3: 33}),
        ({"flights_v1": 9950, "flights_v2": 50}, {1: 100, 2: 0}),
        ({"flights_v1": 0, "flights_v2": 7}, {1: 0, 2: 100}),
    ],
)
def test_weights_edited_by_hand_are_rounded_to_percents_that_add_up(
    parts: dict[str, int], percents: dict[int, int]
) -> None:
    assert live_weights(split(**parts), "flights") == Weights(percents)


def test_a_route_to_one_cluster_is_all_to_it() -> None:
    assert live_weights(table_with({"cluster": "flights_v5"}), "flights") == Weights.all_to(5)


@pytest.mark.parametrize(
    "table",
    [
        {},
        split(),
        split(flights_v1=0),
        split(flights_v1=90, trains_v1=10),
        split(elsewhere=1),
        table_with({"cluster": "trains_v1"}),
    ],
)
def test_a_route_that_leads_elsewhere_is_none(table: Json) -> None:
    assert live_weights(table, "flights") is None


def test_a_product_is_matched_by_its_whole_name() -> None:
    route = routes(route_table({"flights": routing(v1=100)}))[1]
    pattern = re.compile(route["match"]["safe_regex"]["regex"])
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
