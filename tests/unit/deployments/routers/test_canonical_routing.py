"""Which routings routers take."""

import pytest

from deployments.errors import RouterRefused
from deployments.routers.canonical_routing import accepted, host_and_port, is_socket_path
from deployments.traffic import Backend, Routing, Weights


def test_the_kept_form_is_kept() -> None:
    routing = Routing((Backend(2, ("/b",)), Backend(1, ("/a", "10.0.0.1:80"))), Weights({2: 100, 1: 0}))
    kept = accepted("flights", routing)
    assert [backend.version for backend in kept.backends] == [1, 2]
    assert accepted("flights", kept) == kept


def test_a_weight_of_0_without_a_back_end_is_left_out() -> None:
    kept = accepted("flights", Routing((Backend(1, ("/a",)), Backend(3, ())), Weights({1: 100, 2: 0, 3: 0})))
    assert kept == Routing((Backend(1, ("/a",)),), Weights.all_to(1))


@pytest.mark.parametrize(
    ("backends", "says"),
    [
        ((Backend(1, ("/a",)), Backend(1, ("/b",))), "named twice"),
        ((Backend(1, ("/a", "/a")),), "an address is named twice"),
        ((Backend(1, ("/a",)), Backend(-1, ("/b",))), "-1 is no model version"),
        ((Backend(1, ("a/b",)),), "relative"),
        ((Backend(1, ("/" + "a" * 107,)),), "more than 107 bytes"),
        ((Backend(1, (":80",)),), "not host:port"),
        ((Backend(1, ("host:80x",)),), "not host:port"),
    ],
)
def test_what_no_gateway_could_serve_is_refused(backends: tuple[Backend, ...], says: str) -> None:
    with pytest.raises(RouterRefused, match=says):
        accepted("flights", Routing(backends, Weights.all_to(1)))


def test_the_longest_socket_path_is_taken() -> None:
    routing = Routing((Backend(1, ("/" + "a" * 106,)),), Weights.all_to(1))
    assert accepted("flights", routing) == routing


def test_an_address_is_a_path_or_a_host_with_a_port() -> None:
    assert is_socket_path("/run/a:80.sock")
    assert not is_socket_path("[::1]:80")
    assert host_and_port("[::1]:80") == ("::1", 80)
    assert host_and_port("10.0.0.1:65535") == ("10.0.0.1", 65535)
