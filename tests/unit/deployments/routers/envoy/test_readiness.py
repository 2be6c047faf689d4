"""Which servers a routing has to wait for."""

import pytest

from deployments.routers.envoy.readiness import servers_missing, servers_of
from deployments.traffic import Backend, Routing, Weights

Servers = dict[str, dict[str, bool]]


def routing(percents: dict[int, int], **addresses: tuple[str, ...]) -> Routing:
    backends = tuple(Backend(int(name.removeprefix("v")), listed) for name, listed in addresses.items())
    return Routing(backends, Weights(percents))


OLD = routing({1: 100}, v1=("/a",))


@pytest.mark.parametrize(
    ("former", "wanted", "servers", "missing"),
    [
        pytest.param(None, OLD, {}, ("v1 at /a",), id="unknown to the gateway"),
        pytest.param(None, OLD, {"flights_v1": {"/a": False}}, ("v1 at /a",), id="new and sick"),
        pytest.param(None, OLD, {"flights_v1": {"/a": True}}, (), id="new and well"),
        pytest.param(None, OLD, {"trains_v1": {"/a": True}}, ("v1 at /a",), id="well, but for another product"),
        pytest.param(OLD, OLD, {"flights_v1": {"/a": False}}, (), id="nothing changes for a sick one"),
        pytest.param(
            OLD,
            routing({1: 100}, v1=("/a", "/b")),
            {"flights_v1": {"/a": True, "/b": False}},
            ("v1 at /b",),
            id="one more server, which is sick",
        ),
        pytest.param(
            OLD,
            routing({1: 100, 2: 0}, v1=("/a",), v2=("/b",)),
            {"flights_v1": {"/a": True}, "flights_v2": {"/b": False}},
            ("v2 at /b",),
            id="warm without traffic, but new and sick",
        ),
        pytest.param(
            routing({1: 90, 2: 10}, v1=("/a",), v2=("/b",)),
            routing({1: 100, 2: 0}, v1=("/a",), v2=("/b",)),
            {"flights_v1": {"/a": True}, "flights_v2": {"/b": False}},
            (),
            id="traffic leaves a dead canary",
        ),
        pytest.param(
            routing({1: 90, 2: 10}, v1=("/a", "/c"), v2=("/b",)),
            routing({1: 100}, v1=("/a", "/c")),
            {"flights_v1": {"/a": False, "/c": True}},
            (),
            id="one of two is well where traffic grows",
        ),
        pytest.param(
            routing({1: 90, 2: 10}, v1=("/a", "/c"), v2=("/b",)),
            routing({1: 100}, v1=("/a", "/c")),
            {"flights_v1": {"/a": False, "/c": False}},
            ("v1 at /a", "v1 at /c"),
            id="none is well where traffic grows",
        ),
    ],
)
def test_servers_that_are_waited_for(
    former: Routing | None, wanted: Routing, servers: Servers, missing: tuple[str, ...]
) -> None:
    assert servers_missing("flights", former, wanted, servers) == missing


def test_the_servers_of_all_products_are_listed_by_cluster() -> None:
    assert servers_of({"flights": OLD, "trains": OLD}) == {"flights_v1": ("/a",), "trains_v1": ("/a",)}
