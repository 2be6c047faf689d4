"""Names and addresses of clusters, there and back."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deployments.routers.envoy.clusters import (
    addresses_in,
    cluster_name,
    control_cluster,
    endpoints,
    fixed_cluster,
    mirror_name,
    product_and_version,
    product_of,
)

PRODUCTS = st.from_regex(r"[a-z][a-z0-9-]{0,39}", fullmatch=True)


@given(PRODUCTS, st.integers(0, 10**6))
def test_a_cluster_name_says_its_product_and_version(product: str, version: int) -> None:
    assert product_and_version(cluster_name(product, version)) == (product, version)


@given(PRODUCTS, PRODUCTS, st.integers(0, 99), st.integers(0, 99))
def test_no_two_versions_share_a_name(one: str, other: str, first: int, second: int) -> None:
    assert (cluster_name(one, first) == cluster_name(other, second)) == ((one, first) == (other, second))


@pytest.mark.parametrize("name", ["", "flights", "flights_v", "flights_vx", "Flights_v1", "flights_v1.x", "_v1"])
def test_other_clusters_are_nobodys(name: str) -> None:
    assert product_and_version(name) is None


def test_addresses_read_back_as_they_were_written() -> None:
    addresses = ("/run/a.sock", "10.0.0.1:80", "[::1]:8080")
    assert addresses_in(endpoints("flights_v1", addresses)) == addresses
    assert addresses_in(endpoints("flights_v1", ())) == ()
    assert addresses_in({}) == ()


def test_copies_are_capped_and_requests_are_not() -> None:
    most = [
        fixed_cluster(name, ("/a",))["circuit_breakers"]["thresholds"][0]["max_requests"]
        for name in (cluster_name("flights", 3), mirror_name("flights", 3))
    ]
    assert most == [1024, 32]


@given(PRODUCTS, st.integers(0, 10**6))
def test_a_cluster_for_copies_belongs_to_its_product_but_is_no_version(product: str, version: int) -> None:
    assert product_of(mirror_name(product, version)) == product_of(cluster_name(product, version)) == product
    assert product_and_version(mirror_name(product, version)) is None


def test_the_control_cluster_is_nobodys() -> None:
    assert product_of(control_cluster(Path("/run/control.sock"))["name"]) is None
