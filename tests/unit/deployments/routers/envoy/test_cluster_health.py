"""Which clusters a routing calls for."""

import pytest

from deployments.routers.envoy.cluster_health import is_well, servers_of
from deployments.traffic import Backend, Mirror, Routing, Weights

PLAIN = Routing((Backend(1, ("/a",)), Backend(2, ("/b",))), Weights.all_to(1))
MIRRORED = Routing(PLAIN.backends, PLAIN.weights, mirror=Mirror(2, 5))


def test_the_servers_of_all_products_are_listed_by_cluster() -> None:
    assert servers_of({"flights": PLAIN, "trains": MIRRORED}) == {
        "flights_v1": ("/a",),
        "flights_v2": ("/b",),
        "trains_v1": ("/a",),
        "trains_v2": ("/b",),
        "trains_v2_mirror": ("/b",),
    }


@pytest.mark.parametrize(
    ("routing", "servers", "well"),
    [
        (PLAIN, {}, False),
        (PLAIN, {"flights_v2": {"/b": False}}, False),
        (PLAIN, {"flights_v2": {"/b": True}}, True),
        (PLAIN, {"trains_v2": {"/b": True}}, False),
        (MIRRORED, {"flights_v2": {"/b": True}}, False),
        (MIRRORED, {"flights_v2": {"/b": True}, "flights_v2_mirror": {"/b": False}}, False),
        (MIRRORED, {"flights_v2": {"/b": True}, "flights_v2_mirror": {"/b": True}}, True),
    ],
)
def test_a_server_is_well_when_all_clusters_of_its_version_say_so(
    routing: Routing, servers: dict[str, dict[str, bool]], well: bool
) -> None:
    assert is_well("flights", routing, servers, 2, "/b") is well
