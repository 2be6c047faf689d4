"""What can befall a platform in memory: processes that die or fall asleep, doors that do not answer, other hands."""

import socket
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from deployments.errors import RegistryUnreachable, RouterUnreachable, SeatrialError, TargetUnreachable, TryAgain
from deployments.process_identity import PROC, Owner, this_process
from deployments.rollout.state import RolloutState
from deployments.traffic import Routing
from deployments.wiring import Doors
from tasks.rollout_engine.abandonment import give_up_for
from tasks.rollout_engine.carrier import Carrier
from tasks.rollout_engine.takeover import is_carried_here
from tests.unit.tasks.rollout_engine.test_crash import Killed, Life, mortal
from tests.unit.tasks.rollout_engine.world import PRODUCT, World

UNREACHABLE: dict[str, type[TryAgain]] = {
    "router": RouterUnreachable,
    "target": TargetUnreachable,
    "registry": RegistryUnreachable,
}
IMMORTAL = 10**9


@dataclass(frozen=True, slots=True)
class Someone(Owner):
    """A process that ends when the test says so."""

    gone: set[int] = field(default_factory=set, compare=False, repr=False)

    def lives(self, proc: Path = PROC) -> bool | None:
        """Somewhere else: nobody sees that it lives, but the test has all know that it ended."""
        return False if self.pid in self.gone else None


class Signed:
    """The journal as another process sees it: what "this process" does is signed by `owner`."""

    def __init__(self, journal: Any, owner: Someone) -> None:
        self._journal = journal
        self._owner = owner

    def __getattr__(self, name: str) -> Any:
        return getattr(self._journal, name)

    def acquire(self, product: str, _: Owner, now: datetime, ttl: timedelta) -> Any:
        return self._journal.acquire(product, self._owner, now, ttl)

    def holder(self, product: str, now: datetime) -> Owner | None:
        holder = self._journal.holder(product, now)
        return this_process() if holder == self._owner else holder


class Flaky:
    """A door that raises its `…Unreachable` until the time in `away`, and says what is done through it."""

    def __init__(self, name: str, door: Any, world: World, away: dict[str, datetime]) -> None:
        self._name, self._door, self._world, self._away = name, door, world, away

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._door, name)
        if not callable(method):
            return method

        def call(*arguments: Any, **keywords: Any) -> Any:
            if self._name in self._away and self._world.clock.now() < self._away[self._name]:
                raise UNREACHABLE[self._name](f"the {self._name} does not answer")
            return method(*arguments, **keywords)

        return call


@dataclass
class Watched:
    """The router of one process; `seen` is told of every change before it takes effect."""

    router: Any
    seen: Callable[[Routing | None], None]

    def __getattr__(self, name: str) -> Any:
        return getattr(self.router, name)

    def apply(self, product: str, routing: Routing, token: int | None = None) -> None:
        self.router.read(product)  # one that does not answer changes nothing
        self.seen(routing)
        self.router.apply(product, routing, token)

    def remove(self, product: str, token: int | None = None) -> None:
        self.seen(None)
        self.router.remove(product, token)


@dataclass
class Process:
    """One process that carries a rollout as flows/rollout.py does: what goes wrong once puts the champion back."""

    owner: Someone
    doors: Doors
    rollout_id: str = ""
    state: RolloutState | None = None
    put_back: bool = False
    carrier: Carrier = field(init=False)

    def __post_init__(self) -> None:
        self.carrier = Carrier(self.doors)

    def attempt(self, act: Callable[[], RolloutState], life: int = IMMORTAL) -> bool:
        """Whether the process goes on after `act`, which may be its last at the moment `life`."""
        whole = self.doors
        self.doors = self.carrier.doors = mortal(whole, Life(life))
        try:
            self.state = self._or_put_back(act)
        except Killed:
            return False
        except SeatrialError:
            if self.put_back:
                return False
            raise
        finally:
            self.doors = self.carrier.doors = whole
        return self.state is not None and self.state.live

    def _or_put_back(self, act: Callable[[], RolloutState]) -> RolloutState | None:
        try:
            return act()
        except SeatrialError as error:  # anything else is a defect of ours, and fails the test
            if self.put_back:
                raise
            self.put_back = True
            mine = is_carried_here(PRODUCT, self.rollout_id, self.doors)
            return give_up_for(error, mine, self.doors) if mine else None

    def advance(self, life: int = IMMORTAL) -> bool:
        """One move of the rollout."""
        state = self.state
        assert state is not None
        return self.attempt(lambda: self.carrier.advance(state), life)


def someone(number: int, gone: set[int]) -> Someone:
    return Someone(socket.gethostname(), number, 0.0, gone)


def process(
    world: World, owner: Someone, away: dict[str, datetime], seen: Callable[[Someone, Routing | None], None]
) -> Process:
    """A process with doors of its own to the one world."""
    flaky: dict[str, Any] = {name: Flaky(name, getattr(world.doors, name), world, away) for name in UNREACHABLE}
    flaky["router"] = Watched(flaky["router"], lambda routing: seen(owner, routing))
    journal: Any = Signed(world.journal, owner)
    return Process(owner, replace(world.doors, journal=journal, **flaky))
