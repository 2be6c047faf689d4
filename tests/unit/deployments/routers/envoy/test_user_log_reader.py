"""The log of users with a key, read as outcomes and kept small."""

import json
import os
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from deployments.analysis.counter_deltas import Mark
from deployments.analysis.evidence import LATENCY_BOUNDS_MS
from deployments.analysis.user_metrics import Outcome
from deployments.clock import ManualClock
from deployments.errors import RouterUnreachable
from deployments.routers.envoy import user_log_reader
from deployments.routers.envoy.user_log_reader import UserLog, make_user_log


def line(key: str = "ann", version: str = "flights_v2", route: str = "flights.key", **changed: object) -> bytes:
    told = {"attempts": 1, "code": 200, "flags": "-", "id": "1", "key": key, "ms": 3, "us": 3500}
    return json.dumps({**told, "route": route, "version": version, **changed}, separators=(",", ":")).encode() + b"\n"


def reset(request: str, version: str = "flights_v2") -> bytes:
    return json.dumps({"id": request, "reset": version}, separators=(",", ":")).encode() + b"\n"


class Envoy:
    """Writes to the file that it has opened, whatever that is called now."""

    def __init__(self, path: Path) -> None:
        self.path, self.reopened = path, 0
        make_user_log(path)
        self.file = path.open("ab", buffering=0)
        self.log = UserLog(path, self.reopen)

    def reopen(self) -> None:
        self.reopened += 1
        self.file.close()
        self.file = self.path.open("ab", buffering=0)

    def write(self, *lines: bytes) -> None:
        self.file.write(b"".join(lines))


@pytest.fixture
def envoy(tmp_path: Path) -> Iterator[Envoy]:
    made = Envoy(tmp_path / "users.jsonl")
    yield made
    made.file.close()


def outcomes(envoy: Envoy, *lines: bytes) -> list[Outcome]:
    mark = envoy.log.end()
    envoy.write(*lines)
    heard = envoy.log.after("flights", mark)
    assert heard.whole
    return list(heard.outcomes)


def test_a_line_is_an_outcome_and_the_key_is_told_by_no_one(envoy: Envoy) -> None:
    first, same, other = outcomes(envoy, line(), line(id="2"), line("bob", code=500))
    assert (first.version, first.failed, first.given_up) == (2, False, None)
    assert first.latency == LATENCY_BOUNDS_MS.index(5)
    assert first.user == same.user != other.user
    assert "ann" not in first.user
    assert other.failed


@pytest.mark.parametrize("code", [200, 0])
def test_a_request_that_was_given_up_has_an_age_and_no_latency(envoy: Envoy, code: int) -> None:
    (outcome,) = outcomes(envoy, line(code=code, flags="DC", ms=1000, us=None))
    assert (outcome.failed, outcome.latency) == (False, None)
    assert outcome.given_up == LATENCY_BOUNDS_MS.index(1000) + 1


def test_one_that_was_given_up_before_a_server_was_asked_is_none(envoy: Envoy) -> None:
    assert outcomes(envoy, line(code=0, flags="DC", attempts=0, us=None)) == []


def test_one_of_which_an_attempt_broke_off_failed_and_one_that_was_refused_did_not(envoy: Envoy) -> None:
    found = outcomes(envoy, reset("1"), line(attempts=2), line(attempts=2, id="2"), line(attempts=1))
    assert [each.failed for each in found] == [True, False, False]


def test_an_attempt_that_broke_off_before_the_look_is_remembered(envoy: Envoy) -> None:
    mark = envoy.log.end()
    envoy.write(reset("7"))
    heard = envoy.log.after("flights", mark)
    assert heard.outcomes == ()
    envoy.write(line(id="7", attempts=2))
    assert [each.failed for each in envoy.log.after("flights", heard.mark).outcomes] == [True]


def test_other_products_and_words_that_are_no_lines_are_passed_over(envoy: Envoy) -> None:
    strange = line("x", route="flights.key")[:-9] + b"\n"
    lines = (line(route="trains.key", version="trains_v1"), line('"flights.key"', route="x.key"), strange, b"\xff\n")
    assert outcomes(envoy, *lines, line(key='"route":"trains.key"')) == outcomes(envoy, line('"route":"trains.key"'))


@pytest.mark.parametrize(
    "strange",
    [
        b'{"route":"flights.key"}\n',
        b'["route","flights.key"]\n',
        b'"flights.key"\n',
        line(ms=None, flags="DC"),
        line(us="x"),
        line()[:60] + line(),
    ],
)
def test_what_is_left_of_a_line_is_none(envoy: Envoy, strange: bytes) -> None:
    assert len(outcomes(envoy, strange, line("bob"))) == 1


def test_a_key_may_be_any_bytes(envoy: Envoy) -> None:
    assert len(outcomes(envoy, line().replace(b"ann", b"\xff\xfe"), line("\\u0000"), line(" "))) == 3


def test_half_a_line_waits_for_its_end(envoy: Envoy) -> None:
    mark = envoy.log.end()
    envoy.write(line()[:40])
    heard = envoy.log.after("flights", mark)
    assert heard.outcomes == ()
    envoy.write(line()[40:])
    assert len(envoy.log.after("flights", heard.mark).outcomes) == 1


def full(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(user_log_reader, "MOST_BYTES", 1000)


def test_a_full_file_is_followed_by_another_one_and_no_line_is_lost(
    envoy: Envoy, monkeypatch: pytest.MonkeyPatch
) -> None:
    full(monkeypatch)
    mark, users = envoy.log.end(), []
    slow = mark
    for number in range(100):
        envoy.write(line(f"user-{number}"))
        if number % 3 == 0:
            heard = envoy.log.after("flights", mark)
            mark = heard.mark
            users += [each.user for each in heard.outcomes]
            assert heard.whole
            envoy.log.trim(ManualClock())
    assert len(set(users)) == len(users) == 100
    assert envoy.reopened > 5
    assert sum(path.stat().st_size for path in envoy.path.parent.glob("*.jsonl")) < 3 * 1000
    assert not envoy.log.after("flights", slow).whole


def test_lines_that_come_late_to_the_former_file_are_read(envoy: Envoy, monkeypatch: pytest.MonkeyPatch) -> None:
    full(monkeypatch)
    mark = envoy.log.end()
    envoy.write(*[line()] * 10)
    UserLog(envoy.path, lambda: None).trim(ManualClock())
    heard = envoy.log.after("flights", mark)
    assert len(heard.outcomes) == 10
    envoy.write(line())
    assert len(envoy.log.after("flights", heard.mark).outcomes) == 1


def test_one_that_nobody_reads_stays_small_once_it_is_told(envoy: Envoy, monkeypatch: pytest.MonkeyPatch) -> None:
    full(monkeypatch)
    for _ in range(30):
        envoy.write(*[line()] * 10)
        envoy.log.trim(ManualClock())
    assert sum(path.stat().st_size for path in envoy.path.parent.glob("*.jsonl")) < 5000


def test_who_was_killed_between_the_name_and_the_word_is_made_up_for(
    envoy: Envoy, monkeypatch: pytest.MonkeyPatch
) -> None:
    full(monkeypatch)
    envoy.write(*[line()] * 10)
    envoy.path.rename(envoy.path.with_suffix(".former.jsonl"))
    make_user_log(envoy.path)
    envoy.log.trim(ManualClock())
    assert envoy.reopened == 1


def test_one_that_was_killed_over_an_old_file_is_made_up_for_too(envoy: Envoy) -> None:
    envoy.write(line())
    envoy.path.rename(envoy.path.with_suffix(".former.jsonl"))
    make_user_log(envoy.path)
    clock = ManualClock(datetime.now(UTC))
    envoy.log.trim(clock)
    clock.advance(timedelta(hours=2))
    envoy.log.trim(clock)
    envoy.write(line())
    assert envoy.path.read_bytes().endswith(line())


def test_a_file_that_somebody_removed_is_begun_again(envoy: Envoy) -> None:
    envoy.path.unlink()
    deaf = UserLog(envoy.path, _silent)
    with pytest.raises(RouterUnreachable):
        deaf.trim(ManualClock())
    envoy.log.trim(ManualClock())
    assert len(outcomes(envoy, line())) == 1
    assert envoy.path.stat().st_mode & 0o777 == 0o600


def _silent() -> None:
    raise RouterUnreachable("Envoy does not answer")


def test_lines_are_gone_after_an_hour_or_two(envoy: Envoy) -> None:
    envoy.write(line())
    clock = ManualClock(datetime.now(UTC))
    for _ in range(3):
        clock.advance(timedelta(hours=1.1))
        envoy.log.trim(clock)
    assert len(envoy.path.read_bytes().splitlines()) == 1
    assert [path.name for path in envoy.path.parent.glob("*.jsonl")] == ["users.jsonl"]


@pytest.mark.parametrize("harm", [lambda path: os.truncate(path, 0), lambda path: path.unlink()], ids=["cut", "gone"])
def test_lines_that_somebody_took_away_are_missed(envoy: Envoy, harm: Callable[[Path], None]) -> None:
    envoy.write(line())
    mark = envoy.log.end()
    harm(envoy.path)
    assert not envoy.log.after("flights", mark).whole


def test_the_file_is_for_its_owner_only(tmp_path: Path) -> None:
    path = tmp_path / "users.jsonl"
    path.touch(mode=0o644)
    make_user_log(path)
    assert path.stat().st_mode & 0o777 == 0o600
    assert UserLog(tmp_path / "none.jsonl", lambda: None).end() == Mark()
