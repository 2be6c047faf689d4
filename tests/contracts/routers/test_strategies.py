"""What rollouts ask of every router: ramps that keep users, matches, previews, mirrors."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, replace

import pytest

from deployments.errors import RouterRefused
from deployments.traffic import Backend, Match, Mirror, Routing, StickyKey, Weights
from tests.contracts.routers.gateway import Sent, eventually, nothing
from tests.contracts.routers.worlds import World, one, requests, two, users

RAMP = (0, 5, 10, 25, 50, 100)
YES = {"x-beta": "yes"}


def with_cookie(number: int) -> Mapping[str, str]:
    return {"theme": "dark", "uid": f"user-{number}"}


def in_header(number: int) -> Mapping[str, str]:
    return {"x-account": f"user-{number}"}


def near(found: int, count: int, percent: float) -> bool:
    """Within four standard deviations of a binomial: one false alarm in 16,000 runs."""
    return abs(found - count * percent / 100) <= 4 * (count * percent * (100 - percent)) ** 0.5 / 100


@dataclass(frozen=True)
class Kept:
    """What keeps users, and how each of them sends it."""

    key: StickyKey | None
    keys: Sent = nothing
    cookies: Sent = nothing


@pytest.mark.parametrize(
    ("champion", "candidate", "kept"),
    [
        pytest.param(1, 2, Kept(None, users), id="by the usual header"),
        pytest.param(9, 2, Kept(None, users), id="back to an older version"),
        pytest.param(1, 2, Kept(StickyKey(header="X-Account"), in_header), id="by another header"),
        pytest.param(1, 2, Kept(StickyKey(cookie="uid"), cookies=with_cookie), id="by a cookie"),
    ],
)
def test_over_a_whole_ramp_no_user_goes_back(
    keeping: World, product: str, champion: int, candidate: int, kept: Kept
) -> None:
    backends = (Backend(champion, (keeping.server(champion),)), Backend(candidate, (keeping.server(candidate),)))
    count, former = 500, [champion] * 500
    for percent in RAMP:
        weights = Weights({champion: 100 - percent, candidate: percent})
        keeping.router.apply(product, Routing(backends, weights, key=kept.key))
        now = keeping.ask(product, count, kept.keys, cookies=kept.cookies)
        assert near(now.count(candidate), count, percent)
        assert [user for user in range(count) if former[user] == candidate != now[user]] == []
        former = now
    assert set(former) == {candidate}


@pytest.mark.parametrize("key", [None, StickyKey(cookie="uid")], ids=["header", "cookie"])
def test_requests_without_the_key_are_split_by_chance(keeping: World, product: str, key: StickyKey | None) -> None:
    keeping.router.apply(product, replace(two(keeping.server(1), keeping.server(2), 25), key=key))
    # All have the same other cookie, which must not put them all in one place.
    got = Counter(keeping.ask(product, 1000, cookies=lambda _: {"theme": "dark"}))
    assert set(got) == {1, 2}
    assert near(got[2], 1000, 25)


@pytest.mark.parametrize(
    ("key", "headers", "cookies"),
    [(None, {"x-seatrial-key": ""}, nothing), (StickyKey(cookie="uid"), {}, lambda _: {"uid": ""})],
    ids=["header", "cookie"],
)
def test_an_empty_key_is_none(
    keeping: World, product: str, key: StickyKey | None, headers: Mapping[str, str], cookies: Sent
) -> None:
    keeping.router.apply(product, replace(two(keeping.server(1), keeping.server(2), 50), key=key))
    answers = keeping.ask(product, 400, headers=headers, cookies=cookies)
    assert near(answers.count(2), 400, 50)


def test_half_a_percent_is_half_a_percent(splitting: World, product: str) -> None:
    routing = two(splitting.server(1), splitting.server(2), 0.5)
    splitting.router.apply(product, routing)
    assert splitting.router.read(product) == routing
    got = Counter(splitting.ask(product, 3000, users))
    assert 2 <= got[2] <= 34
    assert near(got[2], 3000, 0.5)


def test_a_match_by_header_or_cookie_leads_to_its_version_whatever_the_weights(splitting: World, product: str) -> None:
    plain = two(splitting.server(1), splitting.server(2), 0)
    routing = replace(plain, matches=(Match(2, "yes", header="X-Beta"), Match(2, "b", cookie="exp")))
    splitting.router.apply(product, routing)
    assert splitting.router.read(product) == routing
    assert set(splitting.ask(product, 20, headers=YES)) == {2}
    assert set(splitting.ask(product, 20, cookies=lambda _: {"a": "1", "exp": "b"})) == {2}
    for headers, cookies in (({}, {}), ({"x-beta": "no"}, {}), ({"exp": "b"}, {"x-beta": "yes"}), ({}, {"exp": "bb"})):
        assert set(splitting.ask(product, 20, headers=headers, cookies=lambda _, sent=cookies: sent)) == {1}
    splitting.router.apply(product, plain)
    assert splitting.router.read(product) == plain
    assert set(splitting.ask(product, 20, headers=YES)) == {1}


def test_the_first_match_decides(splitting: World, product: str) -> None:
    backends = tuple(Backend(version, (splitting.server(version),)) for version in (1, 2, 3))
    matches = (Match(3, "yes", header="x-beta"), Match(2, "b", cookie="exp"))
    splitting.router.apply(product, Routing(backends, Weights.all_to(1), matches))
    assert set(splitting.ask(product, 5, headers=YES, cookies=lambda _: {"exp": "b"})) == {3}


def test_a_preview_reaches_a_version_without_weight_and_is_not_counted(splitting: World, product: str) -> None:
    splitting.router.apply(product, two(splitting.server(1), splitting.server(2), 0))
    assert set(splitting.ask(product, 10, headers={"x-seatrial-version": "2"})) == {2}
    assert set(splitting.ask(product, 10, headers={"x-seatrial-version": "1"})) == {1}
    assert splitting.router.tallies(product) == {}
    assert set(splitting.ask(product, 10)) == {1}
    assert requests(splitting.router, product) == {1: 10}


def test_who_asks_for_a_version_that_is_not_there_is_answered_by_no_other(keeping: World, product: str) -> None:
    keeping.router.apply(product, one(1, keeping.server(1)))
    assert set(keeping.ask(product, 3, headers={"x-seatrial-version": "2"})) == {-404}
    assert set(keeping.ask(product, 3, headers={"x-seatrial-version": "v1"})) == {-404}
    assert keeping.router.tallies(product) == {}


@pytest.mark.parametrize("percent", [100, 30])
def test_copies_are_sent_in_the_share_that_was_asked_for(splitting: World, product: str, percent: int) -> None:
    candidate = 2000 + percent
    backends = (Backend(1, (splitting.server(1),)), Backend(candidate, (splitting.server(candidate),)))
    routing = Routing(backends, Weights.all_to(1), mirror=Mirror(candidate, percent))
    splitting.router.apply(product, routing)
    assert splitting.router.read(product) == routing
    assert Counter(splitting.ask(product, 600)) == {1: 600}
    eventually(lambda: near(splitting.copies(candidate), 600, percent))
    assert requests(splitting.router, product) == {1: 600}
    splitting.router.apply(product, replace(routing, mirror=None))
    eventually(lambda: splitting.router.in_flight(product, candidate) == 0)
    before = splitting.copies(candidate)
    splitting.ask(product, 100)
    assert splitting.copies(candidate) == before


def test_a_shadow_that_fails_or_dies_hurts_nobody(splitting: World, product: str) -> None:
    address = splitting.server(7)
    routing = Routing(
        (Backend(1, (splitting.server(1),)), Backend(7, (address,))), Weights.all_to(1), mirror=Mirror(7, 100)
    )
    splitting.router.apply(product, routing)
    with splitting.fail(7):
        assert set(splitting.ask(product, 50)) == {1}
    splitting.stop(address)
    assert set(splitting.ask(product, 200)) == {1}
    (counts,) = splitting.router.tallies(product).values()
    assert (counts.requests, counts.errors) == (250, 0)
    splitting.router.apply(product, one(1, routing.backends[0].addresses[0]))
    assert splitting.router.read(product) == one(1, *routing.backends[0].addresses)


def test_a_shadow_that_is_not_there_is_refused_and_the_former_routing_stays(splitting: World, product: str) -> None:
    first, dead = splitting.server(1), splitting.dead()
    former = one(1, first)
    splitting.router.apply(product, former)
    backends = (Backend(1, (first,)), Backend(2, (dead,)))
    for wanted in (
        Routing(backends, Weights.all_to(1), mirror=Mirror(2, 10)),
        Routing(backends, Weights.all_to(1), (Match(2, "yes", header="x-beta"),)),
    ):
        with pytest.raises(RouterRefused, match=f"{product}.*v2.*{dead}"):
            splitting.router.apply(product, wanted)
        assert splitting.router.read(product) == former
        assert set(splitting.ask(product, 20, headers=YES)) == {1}


def test_a_shadow_becomes_a_canary_and_then_the_champion(splitting: World, product: str) -> None:
    from_shadow_to_champion(splitting, product, None)


def test_a_shadow_whose_users_are_kept_becomes_the_champion(keeping: World, product: str) -> None:
    from_shadow_to_champion(keeping, product, StickyKey(cookie="uid"))


def from_shadow_to_champion(world: World, product: str, key: StickyKey | None) -> None:
    backends = (Backend(1, (world.server(1),)), Backend(8, (world.server(8),)))
    shadow = Routing(backends, Weights.all_to(1), mirror=Mirror(8, 100), key=key)
    canary = Routing(backends, Weights({1: 90, 8: 10}), (Match(8, "yes", header="x-beta"),))
    champion = Routing(backends, Weights({1: 0, 8: 100}), mirror=Mirror(1, 5))
    for routing in (shadow, canary, champion, shadow):
        world.router.apply(product, routing)
        world.router.apply(product, routing)
        assert world.router.read(product) == routing
        weighted = {version for version, percent in routing.weights.percents.items() if percent}
        assert set(world.ask(product, 200)) == weighted
