"""What a routing may say, and how it prints."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deployments.traffic import Backend, Match, Mirror, Routing, StickyKey, Weights

BACKENDS = (Backend(1, ("/1",)), Backend(2, ("/2",)), Backend(3, ()))


def test_whole_and_fractional_percents_print_as_a_person_writes_them() -> None:
    assert str(Weights({3: 10, 2: 90})) == "v2 90 %, v3 10 %"
    assert str(Weights({3: 0.5, 2: 99.5})) == "v2 99.5 %, v3 0.5 %"
    assert str(Weights({3: 10.0, 2: 90.0, 4: 0})) == "v2 90 %, v3 10 %"
    assert str(Match(3, "yes", header="X-Beta")) == "header x-beta: yes to v3"
    assert str(Match(3, "b", cookie="Exp")) == "cookie Exp: b to v3"
    assert str(Mirror(3, 12.50)) == "mirror 12.5 % to v3"
    assert str(StickyKey(header="X-User")) == "header x-user"


@given(st.integers(0, 10_000), st.integers(0, 10_000))
def test_every_hundredth_of_a_percent_is_kept_exactly(one: int, other: int) -> None:
    first, second = sorted((one, other))
    parts = {1: first, 2: second - first, 3: 10_000 - second}
    weights = Weights.of_parts(parts)
    assert weights.parts == parts
    assert Weights(dict(weights.percents)) == weights
    assert Weights({version: part / 100 for version, part in parts.items()}) == weights


def test_sums_that_floats_get_wrong_are_exact() -> None:
    percents = (32.84, 65.15, 2.01)
    assert math.fsum(percents) != 100  # the most exact of all; from 3.12 on, `sum` is about as good
    assert Weights(dict(enumerate(percents))).of(2) == 2.01


@pytest.mark.parametrize(
    ("percents", "says"),
    [
        ({1: 90}, "weights add up to 90, not 100"),
        ({}, "weights add up to 0, not 100"),
        ({1: 99.99}, "weights add up to 99.99, not 100"),
        ({1: 50.005, 2: 49.995}, "weight of v1 is 50.005 %: give at most two decimals"),
        ({1: 110, 2: -10}, "weight of v1 is 110 %: percents lie between 0 and 100"),
        ({1: -1, 2: 101}, "weight of v1 is -1 %"),
        ({1: math.nan, 2: 100}, "weight of v1 is nan %"),
    ],
)
def test_weights_that_are_no_shares_are_refused(percents: dict[int, float], says: str) -> None:
    with pytest.raises(ValueError, match=says):
        Weights(percents)


@pytest.mark.parametrize(
    ("header", "cookie"), [(None, None), ("a", "b"), ("", None), ("x y", None), ("x_y", None), (None, "a;b")]
)
def test_a_key_or_match_that_no_request_can_carry_is_refused(header: str | None, cookie: str | None) -> None:
    with pytest.raises(ValueError, match=r"exactly one of header|is no name of a"):
        StickyKey(header=header, cookie=cookie)
    with pytest.raises(ValueError, match=r"exactly one of header|is no name of a"):
        Match(1, "yes", header=header, cookie=cookie)


@pytest.mark.parametrize("value", ["", "a\nb", "\x00"])
def test_a_match_on_what_no_header_can_hold_is_refused(value: str) -> None:
    with pytest.raises(ValueError, match="cannot be on the value"):
        Match(1, value, header="x-beta")


@pytest.mark.parametrize("percent", [0, 0.001, -1, 100.01])
def test_a_mirror_of_no_share_is_refused(percent: float) -> None:
    with pytest.raises(ValueError, match="mirror"):
        Mirror(2, percent)


@pytest.mark.parametrize(
    ("weights", "matches", "mirror", "says"),
    [
        ({1: 90, 3: 10}, (), None, "v3: traffic, but no server"),
        ({1: 90, 4: 10}, (), None, "v4: traffic, but no server"),
        ({1: 100}, (Match(3, "yes", header="x"),), None, "v3: traffic"),
        ({1: 100}, (), Mirror(4, 10), "v4: traffic"),
        ({1: 90, 2: 10}, (), Mirror(2, 10), "v2 cannot be the mirror"),
        ({1: 100}, (Match(2, "yes", header="x"),), Mirror(2, 10), "v2 cannot be the mirror"),
        ({1: 100}, (Match(2, "yes", header="x"), Match(1, "yes", header="X")), None, "two matches are on the same"),
    ],
)
def test_a_routing_that_cannot_be_kept_is_refused(
    weights: dict[int, float], matches: tuple[Match, ...], mirror: Mirror | None, says: str
) -> None:
    with pytest.raises(ValueError, match=says):
        Routing(BACKENDS, Weights(weights), matches, mirror)


def test_the_usual_key_is_the_key_of_a_routing_that_names_none() -> None:
    weights = Weights.all_to(1)
    named = Routing(BACKENDS, weights, key=StickyKey(header="X-Seatrial-Key"))
    assert named == Routing(BACKENDS, weights)
    assert Routing(BACKENDS, weights, key=StickyKey(cookie="uid")) != named
