"""Every strategy on a real cluster, with users who must not notice; and harm that must not last."""

import threading
import time
import zlib
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

import pytest

from deployments.cluster import Cluster
from deployments.errors import TryAgain
from deployments.journals.cluster import ClusterJournal
from deployments.rollout.orders import Verb
from deployments.rollout.state import Phase, RolloutState
from deployments.settings import Settings
from deployments.spec import (
    ABSection,
    AnalysisSection,
    BlueGreenSection,
    CanarySection,
    CanaryStep,
    KubernetesSection,
    MetricRule,
    ResourcesSection,
    RolloutSection,
    ShadowSection,
    Strategy,
    TargetKind,
)
from deployments.strategies.plan import Goal
from deployments.wiring import Doors, cluster_doors
from tasks.rollouts.beginning import Wish, begin, carried_here
from tasks.rollouts.carrier import Carrier
from tasks.rollouts.keeping import give_up_for
from tests.cluster.conftest import IMAGE, Front
from tests.cluster.fleet import Fleet
from tests.cluster.traffic import users

SECOND = timedelta(seconds=1)
RATE = 60.0


@dataclass(frozen=True, slots=True)
class Trial:
    """One product on the cluster; its users ask at `url`."""

    product: str
    fleet: Fleet
    doors: Doors
    section: RolloutSection
    url: str

    def roll_out(self, version: int, strategy: Strategy, **changes: Any) -> RolloutState:
        """As flows/rollout.py does, without Prefect."""
        section = self.section.model_copy(update={"strategy": strategy, **changes})
        wish = Wish(f"{self.product}-{version}-{strategy}", self.product, version, section, strategy, Goal.PROMOTE)
        state = begin(wish, self.doors)
        carrier = Carrier(self.doors)
        while state.live:
            try:
                state = carrier.advance(state)
            except Exception as error:
                mine = carried_here(self.product, state.rollout_id, self.doors)
                if mine is None:
                    raise
                state = give_up_for(error, mine, self.doors)
        return state

    @property
    def at_rest_with(self) -> tuple[int, ...]:
        """The versions that have servers, once all traffic is with the champion."""
        live = self.doors.router.read(self.product)
        champion = self.doors.registry.champion(self.product)
        assert live is not None
        assert champion is not None
        assert {version: share for version, share in live.weights.percents.items() if share} == {champion.version: 100}
        assert (live.matches, live.mirror) == ((), None)
        return self.doors.target.versions(self.product)


@pytest.fixture
def section(cluster: Cluster, front: Front) -> RolloutSection:
    return RolloutSection(
        target=TargetKind.KUBERNETES,
        replicas=2,
        ready_timeout=timedelta(minutes=3),
        bake=3 * SECOND,
        canary=CanarySection(steps=(CanaryStep(weight=10), CanaryStep(weight=50)), wait=5 * SECOND),
        blue_green=BlueGreenSection(preview=SECOND),
        ab=ABSection(share=50, sample=200),
        shadow=ShadowSection(share=50, sample=100),
        analysis=AnalysisSection(
            interval=SECOND,
            deadline=timedelta(minutes=5),
            metrics=(MetricRule(metric="error_rate", margin=0.05, limit=0.3),),
        ),
        kubernetes=KubernetesSection(
            namespace=cluster.namespace,
            image=IMAGE,
            resources=ResourcesSection(cpu="50m", memory="700Mi"),
            gateway=front.section,
        ),
    )


@pytest.fixture
def doors(
    cluster: Cluster, fleet: Fleet, settings: Settings, section: RolloutSection, monkeypatch: pytest.MonkeyPatch
) -> Doors:
    monkeypatch.setattr("deployments.wiring.current", lambda: settings)
    made = cluster_doors(settings, section.kubernetes, cluster)
    return replace(made, registry=fleet.registry, journal=ClusterJournal(cluster))


@pytest.fixture
def trial(
    request: pytest.FixtureRequest, doors: Doors, fleet: Fleet, section: RolloutSection, front: Front
) -> Iterator[Trial]:
    """v1 is champion."""
    product = f"p{zlib.crc32(request.node.name.encode())}"
    made = Trial(product, fleet, doors, section, f"{front.url}/{product}/invocations")
    assert made.roll_out(fleet.add(product), Strategy.ROLLING).phase is Phase.DONE
    yield made
    doors.router.remove(product)
    for version in doors.target.versions(product):
        doors.target.retire(product, version, 10 * SECOND)


@pytest.mark.parametrize("strategy", list(Strategy))
def test_no_user_notices_a_rollout(
    trial: Trial, strategy: Strategy, record_property: Callable[[str, object], None]
) -> None:
    second = trial.fleet.add(trial.product)
    with users(trial.url, RATE) as answered:
        state = trial.roll_out(second, strategy)
    failed = {who: count for who, count in answered.codes.items() if who[1] != 200}
    assert (state.phase, failed) == (Phase.DONE, {})
    stays = {Strategy.AB: (1,), Strategy.SHADOW: (1,)}.get(strategy, (2,))
    assert trial.at_rest_with == stays
    record_property("requests", answered.requests)


def test_harm_ends_within_seconds_and_only_the_canary_did_any(
    trial: Trial, cluster: Cluster, record_property: Callable[[str, object], None]
) -> None:
    broken = trial.fleet.add(trial.product, broken=True)
    before = cluster.calls.total()
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
    record_property("API calls", cluster.calls.total() - before)
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
