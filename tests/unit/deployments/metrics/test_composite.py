from collections.abc import Mapping
from pathlib import Path

import pytest

from deployments.analysis.counter_deltas import Heard, Mark, Source
from deployments.analysis.evidence import Counts, Pairs, Sums
from deployments.analysis.user_metrics import Outcome
from deployments.clock import Clock, ManualClock
from deployments.errors import (
    DiskFull,
    MetricsUnreachable,
    PlatformUnreachable,
    RouterUnreachable,
    SeatrialError,
    TargetUnreachable,
)
from deployments.metrics.composite import LiveMetrics, live_metrics
from deployments.metrics.feedback.store import Feedback, FeedbackLedger
from deployments.metrics.user_predictions import KeyedPredictions
from tests.model_fleet import Fleet

ENVOY = Source(1, "envoy")


def gateway(product: str) -> Mapping[Source, Counts]:
    return {ENVOY: Counts(10, 1)} if product == "shop" else {}


def test_what_several_parts_say_of_a_version_is_kept_apart_by_source() -> None:
    def servers(_: str) -> Mapping[Source, Counts]:
        return {Source(1, "server"): Counts(predictions={"yes": 10}), ENVOY: Counts(predictions={"no": 1})}

    clock = ManualClock()
    reading = LiveMetrics((gateway, servers), None, clock).read("shop")
    assert reading.at == clock.now()
    assert reading.sources == {
        ENVOY: Counts(10, 1, predictions={"no": 1}),
        Source(1, "server"): Counts(predictions={"yes": 10}),
    }


@pytest.mark.parametrize(
    "error", [RouterUnreachable, TargetUnreachable, PlatformUnreachable, MetricsUnreachable, DiskFull]
)
def test_a_part_that_fails_makes_the_reading_fail_with_its_reason(error: type[SeatrialError]) -> None:
    def failing(_: str) -> Mapping[Source, Counts]:
        raise error("because of the weather")

    with pytest.raises(MetricsUnreachable, match="because of the weather"):
        LiveMetrics((gateway, failing), None, ManualClock()).read("shop")


def test_everything_of_the_platform_stands_in_one_reading(fleet: Fleet, tmp_path: Path) -> None:
    ledger = FeedbackLedger(f"sqlite:///{tmp_path / 'journal.db'}")
    stable, candidate = fleet.start(1, labels=True), fleet.start(2, labels=True)
    metrics = live_metrics((gateway,), fleet.servers, ledger, ManualClock())
    before = metrics.read("shop")
    stable.ask(0, request_id="a", header="paired")
    candidate.ask(1, request_id="a", header="mirrored")
    candidate.ask(1)
    ledger.store([Feedback("shop", 1, "a", "label", "yes"), Feedback("shop", 1, "a", "clicks", 2.0)])
    after = metrics.read("shop")
    assert after.since(before) == {
        1: Counts(predictions={"no": 1}, feedback={"clicks": Sums(1, 2.0, 4.0)}),
        2: Counts(predictions={"yes": 1}),
    }
    assert after.pairs_since(before) == Pairs(1, 1, only_candidate_right=1)
    ledger.close()


class Log:
    """A log of users in memory."""

    def __init__(self) -> None:
        self.lines: list[tuple[str, Outcome]] = []
        self.trimmed = 0
        self.broken = self.full = False

    def end(self) -> Mark:
        return Mark(offset=len(self.lines))

    def after(self, _product: str, mark: Mark) -> Heard:
        if self.broken:
            raise OSError("no disk")
        fresh = self.lines[mark.offset :]
        return Heard(self.end(), tuple(each for _, each in fresh), requests=tuple(request for request, _ in fresh))

    def trim(self, _clock: Clock) -> None:
        self.trimmed += 1
        if self.full:
            raise OSError("no space left")


def test_users_are_heard_from_a_mark_on_and_who_hears_keeps_the_log_small() -> None:
    log = Log()
    metrics = LiveMetrics((), None, ManualClock(), users=(log, KeyedPredictions(lambda _: {})))
    log.lines.append(("1", Outcome(1, "ann")))
    begun = metrics.heard("shop", None)
    assert begun.outcomes == ()
    log.lines.append(("2", Outcome(2, "bob")))
    assert [each.user for each in metrics.heard("shop", begun.mark).outcomes] == ["bob"]
    assert log.trimmed == 2


def test_what_was_heard_is_true_where_the_log_cannot_be_kept_small(tmp_path: Path) -> None:
    log = Log()
    log.full = True
    metrics = LiveMetrics((), None, ManualClock(), users=(log, KeyedPredictions(lambda _: {})))
    begun = metrics.heard("shop", None)
    log.lines.append(("1", Outcome(2, "bob")))
    assert [each.user for each in metrics.heard("shop", begun.mark).outcomes] == ["bob"]


def test_a_log_that_cannot_be_read_says_so_and_where_there_is_none_nobody_is_heard() -> None:
    log = Log()
    log.broken = True
    metrics = LiveMetrics((), None, ManualClock(), users=(log, KeyedPredictions(lambda _: {})))
    with pytest.raises(MetricsUnreachable, match=r"the users of shop cannot be read: no disk"):
        metrics.heard("shop", Mark())
    assert LiveMetrics((), None, ManualClock()).heard("shop", None) == Heard(Mark())


@pytest.mark.parametrize("paired", [True, False])
def test_what_users_were_answered_is_known_without_the_feedback(fleet: Fleet, tmp_path: Path, paired: bool) -> None:
    ledger = FeedbackLedger(f"sqlite:///{tmp_path / 'journal.db'}")
    fleet.start(1, labels=True)
    away = False

    def pushed(product: str, ranges: object) -> Mapping[Source, Counts]:
        if away:
            raise PlatformUnreachable("the database is away")
        return ledger.counts(product)

    metrics = LiveMetrics((gateway,), None, ManualClock(), pushed)
    ledger.store([Feedback("shop", 1, "a", "clicks", 2.0)])
    whole = metrics.read("shop", paired=paired)
    away = True
    half = metrics.read("shop", paired=paired).carrying(whole)
    assert "the database is away" in half.missing
    assert half.since(whole) == {1: Counts()}
    ledger.store([Feedback("shop", 1, "b", "clicks", 4.0)])
    away = False
    later = metrics.read("shop", paired=paired)
    assert later.since(half)[1].feedback == {"clicks": Sums(1, 4.0, 16.0)}, "nothing is lost"
    away = True
    begun = metrics.read("shop", paired=paired)
    away = False
    assert metrics.read("shop", paired=paired).since(begun) == {1: Counts()}, "and nothing is counted that is older"
    ledger.close()
