"""Every strategy on a real cluster, with users who must not notice; and harm that must not last."""

import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from datetime import datetime, timedelta

import pytest

from deployments.cluster import Cluster
from deployments.errors import TryAgain
from deployments.rollout.operator_commands import Verb
from deployments.rollout.state import Phase
from deployments.spec import CanarySection, CanaryStep, Strategy
from tests.cluster.traffic import users
from tests.cluster.trials import RATE, Trial


@pytest.mark.parametrize("strategy", list(Strategy))
def test_no_user_notices_a_rollout(
    trial: Trial, strategy: Strategy, record_property: Callable[[str, object], None]
) -> None:
    second = trial.fleet.add(trial.product)
    with users(trial.url, RATE) as answered:
        state = trial.roll_out(second, strategy)
    failed = {who: count for who, count in answered.codes.items() if who[1] != 200}
    assert (state.phase, failed) == (Phase.DONE, {}), answered.told
    stays = {Strategy.AB: (1,), Strategy.SHADOW: (1,)}.get(strategy, (2,))
    assert trial.at_rest_with == stays
    record_property("requests", answered.requests)


def test_harm_ends_within_seconds_and_only_the_canary_did_any(
    trial: Trial, runner: Cluster, record_property: Callable[[str, object], None]
) -> None:
    broken = trial.fleet.add(trial.product, broken=True)
    before = runner.calls.total()
    with users(trial.url, RATE, far=0.5) as answered, shares(trial, 2) as seen:
        state = trial.roll_out(broken, Strategy.CANARY)
        time.sleep(1)
    assert state.phase is Phase.ROLLED_BACK
    assert answered.failed(2) > 0
    assert (answered.failed(), answered.failed(1)) == (0, 0)
    assert trial.at_rest_with == (1,)
    judged = [each.at for each in trial.doors.journal.events(trial.product) if each.kind == "rollout.judged"][-1]
    without = next(at for at, share in seen if at > judged and not share)
    record_property("requests", answered.requests)
    record_property("API calls", runner.calls.total() - before)
    record_property("seconds from the verdict to 0 %", round((without - judged).total_seconds(), 2))
    record_property("reason", state.reason)


def test_20_000_requests_through_a_canary_and_its_abort_are_all_answered(
    trial: Trial, record_property: Callable[[str, object], None]
) -> None:
    second = trial.fleet.add(trial.product)
    canary = CanarySection(steps=(CanaryStep(weight=25), CanaryStep(weight=50)), wait=timedelta(hours=1))
    rollout_id = f"{trial.product}-{second}-canary"
    with users(trial.url, 160.0) as answered, ThreadPoolExecutor(1) as pool:
        ending = pool.submit(trial.roll_out, second, Strategy.CANARY, canary=canary)
        journal, clock = trial.doors.journal, trial.doors.clock
        for verb, after in ((Verb.SKIP, 6_000), (Verb.ABORT, 14_000)):
            while answered.requests < after:
                time.sleep(0.2)
            journal.give(rollout_id, verb, "test", "it is time", clock.now())
        state = ending.result(240)
        while answered.requests < 20_000:
            time.sleep(0.2)
    failed = {who: count for who, count in answered.codes.items() if who[1] != 200}
    assert (state.phase, failed) == (Phase.ROLLED_BACK, {})
    assert trial.at_rest_with == (1,)
    record_property("answered", {f"v{who}": count for (who, _), count in sorted(answered.codes.items())})


@contextmanager
def shares(trial: Trial, version: int) -> Iterator[list[tuple[datetime, float]]]:
    """The share of a version as the gateway was told, ten times a second."""
    seen: list[tuple[datetime, float]] = []
    ending = threading.Event()

    def look() -> None:
        while not ending.wait(0.1):
            with suppress(TryAgain):
                live = trial.doors.router.read(trial.product)
                seen.append((trial.doors.clock.now(), 0.0 if live is None else live.weights.of(version)))

    looking = threading.Thread(target=look)
    looking.start()
    try:
        yield seen
    finally:
        ending.set()
        looking.join()
