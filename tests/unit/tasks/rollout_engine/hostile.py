"""What may be away when harm is proved, the moments at which a candidate has users, and how long they stay with it."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Any

import httpx

from deployments.errors import (
    DiskFull,
    JournalUnreachable,
    MetricsUnreachable,
    PlatformUnreachable,
    RegistryUnreachable,
    RouterUnreachable,
    SeatrialError,
)
from deployments.metrics.composite import LiveMetrics
from deployments.rollout.operator_commands import Verb
from deployments.rollout.state import Phase, RolloutState
from deployments.rollout.steps import Observe, Promote, Shift
from deployments.spec import BlueGreenSection, CanarySection, CanaryStep, Strategy
from deployments.wiring import Doors
from tasks.rollout_engine.takeover import Wish
from tests.unit.tasks.rollout_engine.world import MINUTE, PRODUCT, SECTION, World

# As long as the slowest client of a door that hangs waits for it.
HANG = timedelta(seconds=20)
ASKING = CanarySection(steps=(CanaryStep(weight=50, approve=True),), wait=MINUTE)


class Killed(BaseException):
    """kill -9."""


@dataclass
class Outage:
    """What is away from the moment on that harm begins, and what becomes known of the way back meanwhile."""

    world: World
    what: str
    on: bool = False
    proved_at: float = 0.0
    back_at: float | None = None
    prefect_failed: bool = False

    def begin(self) -> None:
        self.on = True
        self.world.errors[2] = 0.6
        if self.what == "warm process":
            raise Killed

    def failure(self, door: str, name: str) -> SeatrialError | None:
        """What a call of a door ends with now; None: it is done."""
        if not self.on:
            return None
        match self.what:
            case "MLflow" if door == "registry":
                return RegistryUnreachable("MLflow does not answer")
            case "journal" if door == "journal":
                return JournalUnreachable("the journal does not answer")
            case "disk full" if (door, name) in WRITES:
                return DiskFull(f"no space left while writing {name}")
            case "admin socket" if (
                door == "router" and name not in {"retreat", "retreated"} and self.back_at is not None
            ):
                return RouterUnreachable("the gateway does not answer at envoy.sock")
        return None

    def saw(self, door: str, name: str) -> None:
        """Harm is proved by a reading: the last one before the users are back is the one that counts."""
        if (door, name) == ("metrics", "read") and self.back_at is None:
            self.proved_at = self.world.clock.monotonic()
        parts, mirrored = self.world.split()
        if self.on and self.back_at is None and not parts.get(2) and mirrored is None:
            self.back_at = self.world.clock.monotonic()


WRITES = {
    *(("journal", name) for name in ("acquire", "release", "save", "record", "give")),
    *(("registry", name) for name in ("promote", "reinstate", "set_challenger", "set_status", "fetch")),
    ("router", "apply"),
    ("router", "remove"),
    ("target", "launch"),
}


class Door:
    """One door of a world in which something may be away; who asks it then waits long for nothing."""

    def __init__(self, name: str, door: Any, outage: Outage) -> None:
        self._name, self._door, self._outage = name, door, outage

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._door, name)
        if not callable(found):
            return found

        def call(*arguments: Any, **keywords: Any) -> Any:
            error = self._outage.failure(self._name, name)
            if error is not None:
                self._outage.world.clock.sleep(HANG)
                raise error
            result = found(*arguments, **keywords)
            self._outage.saw(self._name, name)
            return result

        return call


def doors_of(world: World, outage: Outage) -> Doors:
    """The doors of one process."""

    def pushed(*_: object) -> Any:
        if outage.on and outage.what == "feedback database":
            raise PlatformUnreachable("the feedback does not answer")
        return {}

    def counted(product: str) -> Any:
        return world.metrics.read(product).sources

    metrics: Any = LiveMetrics((counted,), None, world.clock, pushed)
    doors = {
        name: Door(name, getattr(world.doors, name), outage) for name in ("router", "target", "journal", "registry")
    }
    changed: dict[str, Any] = {**doors, "metrics": Door("metrics", metrics, outage)}
    return replace(world.doors, **changed)


@dataclass(frozen=True)
class Moment:
    """When harm begins: a strategy, and whether the rollout is there. `lead` brings it there."""

    strategy: Strategy
    there: Callable[[World, RolloutState], bool]
    lead: Callable[[World, RolloutState], None] = lambda _world, _state: None
    changes: dict[str, Any] = field(default_factory=dict)

    def wish(self, world: World) -> Wish:
        section = SECTION.model_copy(update=self.changes)
        return world.wish(2, self.strategy, section=section)


def _watched_at(percent: float) -> Callable[[World, RolloutState], bool]:
    return lambda world, state: state.phase is Phase.OBSERVING and _share(world) == percent


def _share(world: World) -> float:
    parts, _ = world.split()
    return 100 * parts.get(2, 0) / (sum(parts.values()) or 1)


def _in(phase: Phase) -> Callable[[World, RolloutState], bool]:
    return lambda world, state: state.phase is phase and _share(world) > 0


def _pause(world: World, state: RolloutState) -> None:
    if state.phase is Phase.OBSERVING and not world.journal.orders(state.rollout_id):
        world.journal.give(state.rollout_id, Verb.PAUSE, "ann", "wait", world.clock.now())


def _silence(world: World, state: RolloutState) -> None:
    """Nobody asks, until the rollout holds for that."""
    if _share(world) == 50:
        world.rate = 0.0 if state.phase is not Phase.HOLDING else 50.0


def _baking(world: World, state: RolloutState) -> bool:
    return state.phase is Phase.OBSERVING and _share(world) == 100


def _between_steps(_world: World, state: RolloutState) -> bool:
    """A step that gives the candidate more is next."""
    return state.phase is Phase.RUNNING and isinstance(state.step, Shift) and state.split is not None


def _about_to_promote(_world: World, state: RolloutState) -> bool:
    return state.phase is Phase.RUNNING and isinstance(state.step, Promote)


MOMENTS: dict[str, Moment] = {
    "canary at 10 %": Moment(Strategy.CANARY, _watched_at(10)),
    "canary at 50 %": Moment(Strategy.CANARY, _watched_at(50)),
    "canary between two steps": Moment(Strategy.CANARY, _between_steps),
    "canary in a hold": Moment(Strategy.CANARY, _in(Phase.HOLDING), _silence),
    "canary that waits for a person": Moment(Strategy.CANARY, _in(Phase.WAITING), changes={"canary": ASKING}),
    "canary in a pause": Moment(Strategy.CANARY, _in(Phase.PAUSED), _pause),
    "canary after its switch": Moment(Strategy.CANARY, _baking),
    "blue-green after its switch": Moment(
        Strategy.BLUE_GREEN, _baking, changes={"blue_green": BlueGreenSection(preview=timedelta(0))}
    ),
    "A/B": Moment(Strategy.AB, _watched_at(50)),
    "shadow": Moment(Strategy.SHADOW, lambda world, state: world.split()[1] == 2 and isinstance(state.step, Observe)),
}
# Only what the promotion needs keeps it from being over.
PROMOTION = Moment(Strategy.CANARY, _about_to_promote)
AWAY = ("MLflow", "journal", "feedback database", "Prefect", "disk full", "warm process", "admin socket")


@dataclass
class Course:
    """How a rollout went through an outage."""

    outage: Outage
    harmed_at: float
    state: RolloutState

    @property
    def seconds_to_notice(self) -> float:
        """From the beginning of harm to its proof."""
        return self.outage.proved_at - self.harmed_at

    @property
    def seconds_to_act(self) -> float:
        """From the reading that proved harm to the moment at which nobody met the candidate any more."""
        assert self.outage.back_at is not None, "users are still with the candidate"
        return self.outage.back_at - self.outage.proved_at


def through(world: World, moment: Moment, what: str, lasts: timedelta = 10 * MINUTE) -> Course:
    """v2 becomes harmful at `moment`, and then `what` is away for so long; afterwards whoever comes next ends it."""
    world.run(world.wish(1))
    outage = Outage(world, what)
    doors, harmed_at, wish = doors_of(world, outage), None, moment.wish(world)

    def between(state: RolloutState) -> None:
        nonlocal harmed_at
        moment.lead(world, state)
        if harmed_at is None and moment.there(world, state):
            harmed_at = world.clock.monotonic()
            outage.begin()
            if what == "Prefect" and state.phase is Phase.RUNNING:
                outage.proved_at = world.clock.monotonic()
                raise httpx.ConnectError("connection refused")

    _suffered(lambda: world.run(wish, doors, between))
    assert harmed_at is not None, "the moment never came"
    until = harmed_at + lasts.total_seconds()
    while world.clock.monotonic() < until or world.journal.rollout(PRODUCT, wish.rollout_id).live:
        if world.clock.monotonic() >= until:
            outage.on = False
        if world.journal.rollout(PRODUCT, wish.rollout_id).live:
            _suffered(lambda: world.resume(wish.rollout_id, doors_of(world, outage)))
        world.clock.sleep(MINUTE)
        assert world.clock.monotonic() < until + 3600, "it does not come to its end"
    return Course(outage, harmed_at, world.journal.rollout(PRODUCT, wish.rollout_id))


def _suffered(act: Callable[[], object]) -> None:
    try:
        act()
    except (SeatrialError, Killed, httpx.HTTPError, MetricsUnreachable):
        return
