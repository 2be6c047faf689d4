"""A real gateway's log of users with a key: who is in it, when, and that none is lost on the way."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import replace

import pytest

from deployments.analysis.counter_deltas import Heard, Mark
from deployments.analysis.user_metrics import Outcome
from deployments.clock import SystemClock
from deployments.routers.envoy import user_log_reader
from deployments.traffic import Match, Mirror, StickyKey
from tests.contracts.routers.gateway import eventually
from tests.contracts.routers.worlds import EnvoyWorld, one, two


class Listener:
    """Hears the users of one product, from its making on."""

    def __init__(self, world: EnvoyWorld, product: str) -> None:
        self.log, self.product = world.router.users, product
        self.mark: Mark = self.log.end()
        self.outcomes: list[Outcome] = []

    def hears(self, count: int) -> bool:
        heard: Heard = self.log.after(self.product, self.mark)
        assert heard.whole
        self.mark = heard.mark
        self.outcomes += heard.outcomes
        return len(self.outcomes) == count


def ten(number: int) -> Mapping[str, str]:
    return {"x-seatrial-key": f"user-{number % 10}"}


def test_each_request_with_a_key_is_told_with_its_user_and_version(real: EnvoyWorld, product: str) -> None:
    real.router.apply(product, two(real.server(1), real.server(2), 50))
    listener = Listener(real, product)
    got = real.ask(product, 60, ten)
    real.ask(product, 20)
    eventually(lambda: listener.hears(60))
    assert [each.version for each in listener.outcomes] == got
    versions = {each.user: each.version for each in listener.outcomes}
    assert len(versions) == 10
    assert all(versions[each.user] == each.version for each in listener.outcomes)
    assert not any(each.failed or each.latency is None for each in listener.outcomes)
    counted = {
        source.version: counts.requests for source, counts in real.router.tallies(product).items() if source.keyed
    }
    assert counted == Counter(got)


def test_a_cookie_is_a_key_too(real: EnvoyWorld, product: str) -> None:
    real.router.apply(product, replace(two(real.server(1), real.server(2), 50), key=StickyKey(cookie="uid")))
    listener = Listener(real, product)
    real.ask(product, 30, cookies=lambda number: {"a": "b", "uid": f"u{number % 5}", "c": f"{number}"})
    real.ask(product, 5, cookies=lambda number: {"a": "b"})
    eventually(lambda: listener.hears(30))
    assert len({each.user for each in listener.outcomes}) == 5
    assert "a=b" not in (real.gateway.folder / "users.jsonl").read_text()


def test_a_key_may_be_long_and_strange_and_users_whose_keys_begin_alike_are_two(real: EnvoyWorld, product: str) -> None:
    real.router.apply(product, two(real.server(1), real.server(2), 50))
    listener = Listener(real, product)
    keys = ["e" * 1900 + "1", "e" * 1900 + "2", '"}{"route":"x.key"', "\\n\\", "%DURATION%"]
    real.ask(product, 10, lambda number: {"x-seatrial-key": keys[number % 5]})
    real.ask(product, 2, lambda _: {"x-seatrial-key": "k" * 10_000})
    eventually(lambda: listener.hears(12))
    assert len({each.user for each in listener.outcomes}) == 6


def test_nothing_is_written_without_a_split_a_key_or_chance(real: EnvoyWorld, product: str) -> None:
    first, second = real.server(1), real.server(2)
    routing = two(first, second, 50)
    listener = Listener(real, product)
    real.router.apply(product, one(1, first))
    real.ask(product, 5, ten)
    real.router.apply(product, replace(two(first, second, 0), mirror=Mirror(2, 100)))
    real.ask(product, 5, ten)
    real.router.apply(product, replace(routing, matches=(Match(2, "yes", header="x-beta"),)))
    real.ask(product, 5, ten, headers={"x-beta": "yes"})
    real.ask(product, 5, ten, headers={"x-seatrial-version": "2"})
    real.ask(product, 5, headers={"x-seatrial-keyed": "1"})
    real.ask(product, 1, ten)
    eventually(lambda: listener.hears(1))


def test_no_line_is_lost_where_the_file_is_followed_by_another(
    real: EnvoyWorld, product: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(user_log_reader, "MOST_BYTES", 4000)
    real.router.apply(product, two(real.server(1), real.server(2), 50))
    listener = Listener(real, product)
    for asked in range(50, 401, 50):
        real.ask(product, 50, ten)
        eventually(lambda asked=asked: listener.hears(asked))  # type: ignore[misc]
        real.router.users.trim(SystemClock())
    assert sum(path.stat().st_size for path in real.gateway.folder.glob("users*.jsonl")) < 8 * 4000
    assert {path.stat().st_mode & 0o777 for path in real.gateway.folder.glob("users*")} == {0o600}


def test_a_request_of_which_an_attempt_broke_off_failed_its_user(real: EnvoyWorld, product: str) -> None:
    real.router.apply(product, two(real.server(59), real.server(59), 50))
    listener = Listener(real, product)
    real.servers.behaviour.cutting[59] = 1
    assert real.ask(product, 3, ten) == [59] * 3
    eventually(lambda: listener.hears(3))
    assert [each.failed for each in listener.outcomes] == [True, False, False]
