"""Which version answers a request."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deployments.errors import NotFound
from deployments.routers.version_selection import hash_bucket, matched, previewed_version, sticky_value, version_at
from deployments.traffic import Backend, Match, Routing, StickyKey, Weights

ROUTING = Routing(
    (Backend(1, ("/1",)), Backend(2, ("/2",))),
    Weights.all_to(1),
    (Match(2, "yes", header="x-beta"), Match(1, "b", cookie="exp")),
)


def test_a_preview_is_asked_for_by_the_number_alone() -> None:
    assert previewed_version("flights", ROUTING, {}) is None
    assert previewed_version("flights", ROUTING, {"x-seatrial-version": "2"}) == 2
    for asked in ("3", "02", "v2", ""):
        with pytest.raises(NotFound, match=r"of flights at the gateway: it has v1, v2"):
            previewed_version("flights", ROUTING, {"x-seatrial-version": asked})


def test_the_first_match_that_fits_decides() -> None:
    assert matched(ROUTING, {}, {}) is None
    assert matched(ROUTING, {"x-beta": "no"}, {"x-beta": "yes"}) is None
    assert matched(ROUTING, {}, {"exp": "b"}) == 1
    assert matched(ROUTING, {"x-beta": "yes"}, {"exp": "b"}) == 2


def test_a_user_is_known_by_the_key_of_the_routing_and_no_other() -> None:
    by_cookie = Routing(ROUTING.backends, ROUTING.weights, key=StickyKey(cookie="uid"))
    sent = ({"x-seatrial-key": "a", "uid": "b"}, {"uid": "c", "x-seatrial-key": "d"})
    assert (sticky_value(ROUTING, *sent), sticky_value(by_cookie, *sent)) == ("a", "c")
    assert sticky_value(by_cookie, {"uid": "b"}, {}) is None


@given(st.integers(0, 9_999), st.integers(0, 10_000), st.integers(0, 10_000), st.booleans())
def test_nobody_leaves_the_version_that_grows(point: int, less: int, more: int, newer: bool) -> None:
    less, more = sorted((less, more))
    champion, candidate = (1, 2) if newer else (2, 1)

    def answers(part: int) -> int:
        return version_at(point, Weights.of_parts({champion: 10_000 - part, candidate: part}))

    assert answers(0) == champion
    assert answers(10_000) == candidate
    assert answers(less) == champion or answers(more) == candidate


def test_exactly_the_share_of_all_places_is_a_versions() -> None:
    weights = Weights({1: 33.33, 2: 0, 3: 66.67})
    versions = [version_at(point, weights) for point in range(10_000)]
    assert {version: versions.count(version) for version in (1, 2, 3)} == {1: 3333, 2: 0, 3: 6667}
    with pytest.raises(ValueError, match="below 10,000"):
        version_at(10_000, weights)


def test_a_place_stays_and_is_another_in_another_product() -> None:
    assert hash_bucket("flights", "user-1") == hash_bucket("flights", "user-1")
    agreed = sum(hash_bucket("flights", str(user)) == hash_bucket("trains", str(user)) for user in range(1000))
    assert agreed < 5
