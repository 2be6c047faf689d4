"""Kill -9 at every call of every door, by every strategy: whoever comes next ends it as if nothing had happened."""

from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from deployments.registry import DeploymentStatus
from deployments.rollout.state import Phase
from deployments.rollout.steps import Observe, Shift
from deployments.spec import Strategy
from deployments.strategies.plan import Goal
from deployments.targets.in_memory import Behaviour
from deployments.wiring import Doors
from tasks.rollout_engine.lease import hold
from tasks.rollout_engine.takeover import Wish, settle_dead_rollouts
from tests.unit.tasks.rollout_engine.world import PRODUCT, SECTION, World

# Reading changes nothing: a kill between two readings is the kill before the next change.
CHANGES = {
    "router": {"apply", "retreat", "remove"},
    "target": {"launch", "retire", "ask"},
    "journal": {"acquire", "release", "save", "record"},
    "registry": {"promote", "reinstate", "set_challenger", "set_status"},
}
# The lease, then the plan: each is counted before and after it took effect.
BEFORE_THE_PLAN = 4
EFFECTS = frozenset().union(*CHANGES.values())


class Killed(BaseException):
    """kill -9: nothing of ours runs afterwards."""


class Life:
    """Ends at the n-th side effect, counted before and after it took effect."""

    def __init__(self, moments: int) -> None:
        self.left = moments
        self.spent = 0

    def spend(self) -> None:
        self.spent += 1
        self.left -= 1
        if self.left < 0:
            raise Killed


class Mortal:
    """A door whose user may die at each side effect."""

    def __init__(self, door: Any, life: Life) -> None:
        self._door = door
        self._life = life

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._door, name)
        if name not in EFFECTS:
            return method

        def call(*arguments: Any, **keywords: Any) -> Any:
            self._life.spend()
            result = method(*arguments, **keywords)
            self._life.spend()
            return result

        return call


def mortal(doors: Doors, life: Life) -> Doors:
    wrapped: dict[str, Any] = {name: Mortal(getattr(doors, name), life) for name in CHANGES}
    return replace(doors, **wrapped)


def healthy(strategy: Strategy) -> Callable[[Path], tuple[World, Wish]]:
    def prepared(folder: Path) -> tuple[World, Wish]:
        world = World(folder)
        world.run(world.wish(1))
        return world, world.wish(2, strategy)

    return prepared


def harmful(folder: Path) -> tuple[World, Wish]:
    world, wish = healthy(Strategy.CANARY)(folder)
    world.errors[2] = 0.2
    return world, wish


def unfit(folder: Path) -> tuple[World, Wish]:
    world, wish = healthy(Strategy.ROLLING)(folder)
    world.target.script(PRODUCT, 2, Behaviour.ANSWERING_WRONGLY)
    return world, wish


def first(folder: Path) -> tuple[World, Wish]:
    world = World(folder)
    return world, world.wish(1)


def back(folder: Path) -> tuple[World, Wish]:
    world, _ = healthy(Strategy.ROLLING)(folder)
    world.run(world.wish(2))
    return world, world.wish(1, goal=Goal.REINSTATE, rollout_id="back")


CASES: dict[str, Callable[[Path], tuple[World, Wish]]] = {
    **{strategy.value: healthy(strategy) for strategy in Strategy},
    "harmful canary": harmful,
    "unfit servers": unfit,
    "first version": first,
    "rollback": back,
}


def moments(case: str, folder: Path) -> int:
    world, wish = CASES[case](folder)
    life = Life(10**9)
    world.run(wish, mortal(world.doors, life))
    return life.spent


def killed(case: str, folder: Path, moment: int) -> tuple[World, Wish]:
    world, wish = CASES[case](folder)
    with pytest.raises(Killed):
        world.run(wish, mortal(world.doors, Life(moment)))
    return world, wish


def statuses(world: World) -> list[DeploymentStatus]:
    return [world.registry.get(PRODUCT, version).status for version in (1, 2, 3)]


def waits(state_steps: tuple[object, ...]) -> timedelta:
    return sum((step.time for step in state_steps if isinstance(step, Observe)), timedelta(0))


def every(case: str, folder: Path, some: int) -> Iterator[int]:
    """About `some` moments, evenly spread over all that there are."""
    count = moments(case, folder)
    return iter(range(0, count, max(1, count // some)))


ALL = 10**9
HOW_MANY = pytest.mark.parametrize(
    "some",
    [pytest.param(12, id="some"), pytest.param(ALL, id="all", marks=[pytest.mark.crash, pytest.mark.timeout(900)])],
)


@HOW_MANY
@pytest.mark.parametrize("case", CASES)
def test_a_killed_rollout_is_carried_to_the_same_end(case: str, some: int, tmp_path: Path) -> None:
    whole, wish = CASES[case](tmp_path)
    expected = whole.run(wish)
    for moment in every(case, tmp_path, some):
        world, wish = killed(case, tmp_path, moment)
        if wish.rollout_id not in {state.rollout_id for state in world.journal.rollouts(PRODUCT)}:
            assert moment < BEFORE_THE_PLAN, "the plan is written before anything moves"
            continue
        state = world.journal.rollout(PRODUCT, wish.rollout_id)
        if state.live:
            state = world.resume(wish.rollout_id)
        where = f"killed at moment {moment}"
        assert (state.phase, world.served_by) == (expected.phase, whole.served_by), where
        assert state.done == expected.done, where
        assert world.unanswered == 0, where
        assert statuses(world) == statuses(whole), where
        if state.phase is Phase.DONE:
            began = state.started_at
            assert state.updated_at - began >= waits(state.steps), f"{where}: a step was shortened"
        ends = [event for event in world.journal.events(PRODUCT) if event.run == wish.rollout_id]
        last = [event.kind for event in ends if event.kind in {"rollout.done", "rollout.rolled_back"}]
        assert set(last) == {f"rollout.{expected.phase.value}"}, where
        world.settled()


@HOW_MANY
@pytest.mark.parametrize("case", CASES)
def test_a_new_release_after_a_kill_finds_the_champion_serving_and_completes(
    case: str, some: int, tmp_path: Path
) -> None:
    for moment in every(case, tmp_path, some):
        world, wish = killed(case, tmp_path, moment)
        where = f"killed at moment {moment}"
        for version in world.served_by:
            assert version in world.target.versions(PRODUCT), f"{where}: traffic without a server"
        lease = hold(PRODUCT, world.doors)
        settle_dead_rollouts(PRODUCT, SECTION, world.doors, lease)
        world.journal.release(lease)
        world.settled()
        again = world.run(replace(wish, rollout_id="again", strategy=Strategy.ROLLING))
        assert again.phase is (Phase.ROLLED_BACK if case == "unfit servers" else Phase.DONE), where
        world.settled()


@pytest.mark.parametrize("case", [case for case in CASES if case not in {"unfit servers", "first version"}])
def test_two_kills_in_a_row_change_nothing_either(case: str, tmp_path: Path) -> None:
    whole, wish = CASES[case](tmp_path)
    expected = whole.run(wish)
    count = moments(case, tmp_path)
    for moment in range(8, count, max(1, count // 12)):
        world, wish = killed(case, tmp_path, moment)
        if not world.journal.under_way():
            continue
        with suppress(Killed):
            world.resume(wish.rollout_id, mortal(world.doors, Life(moment // 3)))
        if world.journal.under_way():
            world.resume(wish.rollout_id)
        state = world.journal.rollout(PRODUCT, wish.rollout_id)
        assert (state.phase, world.served_by) == (expected.phase, whole.served_by), f"killed at moment {moment}"
        world.settled()


def test_the_matrix_has_enough_points(tmp_path: Path) -> None:
    points = sum(len(list(every(case, tmp_path, ALL))) for case in CASES)
    assert points >= 200, points


def test_no_shift_is_made_twice_once_it_is_written_down(tmp_path: Path) -> None:
    world, wish = healthy(Strategy.CANARY)(tmp_path)
    seen: list[str] = []

    class Counted:
        def __getattr__(self, name: str) -> Any:
            if name == "apply":
                seen.append("apply")
            return getattr(world.router, name)

    expected = world.run(wish, replace(world.doors, router=Counted()))  # type: ignore[arg-type]
    shifts = sum(isinstance(step, Shift) for step in expected.steps)
    assert len(seen) == shifts + 1, "one for each shift, one for the retired champion"
