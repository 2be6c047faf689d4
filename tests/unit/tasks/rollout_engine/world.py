"""A whole platform in memory, with users: time passes only when somebody waits, and then requests come in."""

import json
import random
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from deployments.analysis.evidence import Pairs
from deployments.clock import ManualClock
from deployments.journals.in_memory import InMemoryJournal
from deployments.metrics.in_memory import InMemoryMetrics
from deployments.registry import DeploymentStatus, VersionFacts
from deployments.registry.in_memory import InMemoryRegistry
from deployments.rollout.state import RolloutState
from deployments.routers.in_memory import InMemoryRouter
from deployments.spec import (
    ABSection,
    AnalysisSection,
    BlueGreenSection,
    CanarySection,
    CanaryStep,
    RolloutSection,
    ShadowSection,
    Strategy,
)
from deployments.strategies.plan import Goal
from deployments.targets.in_memory import InMemoryTarget
from deployments.wiring import Doors
from tasks.rollout_engine.abandonment import give_up_for
from tasks.rollout_engine.carrier import Carrier
from tasks.rollout_engine.takeover import Wish, begin, is_carried_here, take_over

PRODUCT = "bikes"
MINUTE = timedelta(minutes=1)
# Enough traffic and a margin that a healthy candidate is promoted within minutes of simulated time.
SECTION = RolloutSection(
    replicas=2,
    bake=2 * MINUTE,
    canary=CanarySection(steps=(CanaryStep(weight=10), CanaryStep(weight=50)), wait=MINUTE),
    blue_green=BlueGreenSection(preview=MINUTE / 2),
    ab=ABSection(share=50, sample=500),
    shadow=ShadowSection(share=100, sample=200),
    analysis=AnalysisSection(interval=timedelta(seconds=10), deadline=timedelta(hours=2)),
)
FACTS = VersionFacts(
    created_at=datetime(2026, 1, 1, tzinfo=UTC),
    model_type="regression",
    algorithm="sklearn.dummy.DummyRegressor",
    hyperparameters={},
    data_fingerprint="0" * 64,
    metrics={"mae": 1.0},
    size_mb=0.1,
    manifest={},
    spec_digest="0" * 64,
)


class BusyClock(ManualClock):
    """A clock that tells `passing` of every stretch of time that somebody waits."""

    def __init__(self) -> None:
        super().__init__()
        self.passing: Callable[[timedelta], None] = lambda _: None

    def advance(self, duration: timedelta) -> None:
        """Time passes, and whatever happens in it."""
        super().advance(duration)
        self.passing(duration)


@dataclass
class World:
    """The doors, and the users behind them: `rate` requests a second, of which versions get `errors` wrong.

    A `mute` version takes what it is sent and never answers. `cut` is the share of a version's requests that reach no
    server, so that nobody counts them; `past_the_gateway` what others ask a version beside, as a share of all.
    """

    folder: Path
    rate: float = 50.0
    errors: dict[int, float] = field(default_factory=dict)
    latency_ms: dict[int, float] = field(default_factory=dict)
    mute: set[int] = field(default_factory=set)
    cut: dict[int, float] = field(default_factory=dict)
    past_the_gateway: dict[int, float] = field(default_factory=dict)
    unanswered: int = 0

    def __post_init__(self) -> None:
        sample = {"request": {"dataframe_split": {"columns": ["x"], "data": [[1.0], [2.0]]}}, "predictions": [1.5, 2.5]}
        (self.folder / "verification.json").write_text(json.dumps(sample))
        self.registry = InMemoryRegistry()
        for _ in range(3):
            self.registry.add(PRODUCT, FACTS, self.folder)
        self.clock = BusyClock()
        self.clock.passing = self._traffic
        self.router = InMemoryRouter()
        self.target = InMemoryTarget()
        self.journal = InMemoryJournal()
        self.metrics = InMemoryMetrics(self.clock)
        self.random = random.Random(7)
        self._owed = 0.0
        self.doors = Doors(
            self.router,
            self.target,
            self.journal,
            self.registry,
            self.metrics,
            self.clock,
            self.folder,
            lambda: None,
        )

    def wish(self, candidate: int, strategy: Strategy = Strategy.ROLLING, **changes: Any) -> Wish:
        """A rollout of `candidate`."""
        wish = Wish(f"rollout-{candidate}", PRODUCT, candidate, SECTION, strategy, Goal.PROMOTE)
        return replace(wish, **changes)

    def run(
        self, wish: Wish, doors: Doors | None = None, between: Callable[[RolloutState], None] | None = None
    ) -> RolloutState:
        """What flows/rollout.py does, without Prefect. `between` is called with the state before each advance."""
        doors = doors or self.doors
        return self._or_put_back(wish.rollout_id, doors, lambda: to_its_end(begin(wish, doors), doors, between))

    def resume(self, rollout_id: str, doors: Doors | None = None) -> RolloutState:
        """What the watchdog does."""
        doors = doors or self.doors
        state = doors.journal.rollout(PRODUCT, rollout_id)
        return self._or_put_back(rollout_id, doors, lambda: to_its_end(take_over(state, doors), doors))

    def _or_put_back(self, rollout_id: str, doors: Doors, carry: Callable[[], RolloutState]) -> RolloutState:
        try:
            return carry()
        except Exception as error:
            state = is_carried_here(PRODUCT, rollout_id, doors)
            if state is None:
                raise
            return to_its_end(give_up_for(error, state, doors), doors)

    @property
    def served_by(self) -> dict[int, float]:
        """Percent by version, those with some only."""
        live = self.router.read(PRODUCT)
        return {} if live is None else {version: share for version, share in live.weights.percents.items() if share}

    def settled(self) -> None:
        """The invariant of a product at rest: champion, traffic and servers agree, and nobody else has anything."""
        champion = self.registry.champion(PRODUCT)
        if champion is None:
            assert self.router.read(PRODUCT) is None
            assert self.target.versions(PRODUCT) == ()
        else:
            live = self.router.read(PRODUCT)
            assert live is not None
            assert (self.served_by, live.matches, live.mirror) == ({champion.version: 100}, (), None)
            assert self.target.versions(PRODUCT) == (champion.version,)
            assert champion.status is DeploymentStatus.LIVE
        assert self.registry.challenger(PRODUCT) is None
        assert not [state for state in self.journal.rollouts(PRODUCT) if state.live]

    def split(self) -> tuple[Mapping[int, int], int | None]:
        """Parts of the traffic by version, and the version that gets copies, as users see it now."""
        live = self.router.read(PRODUCT)
        return (live.weights.parts, live.mirror.version if live.mirror else None) if live else ({}, None)

    def answering(self) -> Collection[int]:
        """Versions that have servers."""
        return self.target.versions(PRODUCT)

    def _traffic(self, duration: timedelta) -> None:
        parts, mirrored = self.split()
        self._owed += self.rate * duration.total_seconds()
        asked, self._owed = int(self._owed), self._owed % 1
        if not parts:
            self.unanswered += asked
            return
        chosen = self.random.choices(list(parts), list(parts.values()), k=asked)
        for version in set(chosen):
            count = chosen.count(version)
            if version not in self.answering():
                self.unanswered += count
            if version in self.cut:
                lost = sum(self.random.random() < self.cut[version] for _ in range(count))
                self.unanswered += lost
                count -= lost
            wrong, latency_ms = self._wrong(version, count), self.latency_ms.get(version, 8.0)
            self.metrics.serve(PRODUCT, version, requests=count, errors=wrong, latency_ms=latency_ms)
        for version, share in self.past_the_gateway.items():
            self.metrics.serve(PRODUCT, version, requests=round(asked * share), errors=0, latency_ms=8.0)
        if mirrored is not None:
            self._copies(mirrored, asked)

    def _copies(self, version: int, count: int) -> None:
        self.metrics.mirror(PRODUCT, version, count, self._wrong(version, count))
        if version not in self.mute:
            self.metrics.compare(PRODUCT, Pairs(count, count // 50, 0, 0))

    def _wrong(self, version: int, count: int) -> int:
        if version in self.mute:
            return count
        return sum(self.random.random() < self.errors.get(version, 0.002) for _ in range(count))


def to_its_end(
    state: RolloutState, doors: Doors, between: Callable[[RolloutState], None] | None = None
) -> RolloutState:
    """Advance until it is over."""
    carrier = Carrier(doors)
    while state.live:
        if between:
            between(state)
        state = carrier.advance(state)
    return state


def history(world: World) -> list[str]:
    """The kinds of all events."""
    return [event.kind for event in world.journal.events(PRODUCT)]
