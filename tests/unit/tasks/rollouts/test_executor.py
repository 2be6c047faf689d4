"""A rollout over in-memory doors: it arrives, it is put back when a step fails, and no kill leaves it in between."""

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from deployments.clock import ManualClock
from deployments.errors import BadInput, Busy, RolloutFailed
from deployments.journals.in_memory import InMemoryJournal
from deployments.owner import Owner
from deployments.registry import DeploymentStatus, VersionFacts
from deployments.registry.in_memory import InMemoryRegistry
from deployments.rollout.state import Phase, RolloutState
from deployments.routers.in_memory import InMemoryRouter
from deployments.spec import RolloutSection, Strategy
from deployments.strategies.plan import Goal
from deployments.targets.in_memory import Behaviour, InMemoryTarget
from deployments.targets.protocol import Launch
from deployments.traffic import Routing, Weights
from deployments.wiring import Doors
from tasks.rollouts.executor import LEASE, Order, advance, begin, give_up, hold, outcome, settle
from tasks.rollouts.perform import restore, retire, shift

SECTION = RolloutSection(replicas=2)
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


@pytest.fixture
def doors(tmp_path: Path) -> Doors:
    sample = {"request": {"dataframe_split": {"columns": ["x"], "data": [[1.0], [2.0]]}}, "predictions": [1.5, 2.5]}
    (tmp_path / "verification.json").write_text(json.dumps(sample))
    registry = InMemoryRegistry()
    for _ in range(3):
        registry.add("bikes", FACTS, tmp_path)
    return Doors(InMemoryRouter(), InMemoryTarget(), InMemoryJournal(), registry, ManualClock(), tmp_path)


def order(candidate: int, goal: Goal = Goal.PROMOTE, rollout_id: str | None = None) -> Order:
    return Order(rollout_id or f"rollout-{candidate}", "bikes", candidate, SECTION, Strategy.ROLLING, goal)


def run(wanted: Order, doors: Doors) -> RolloutState:
    """What flows/rollout.py does, without Prefect."""
    state = begin(wanted, doors)
    try:
        return to_its_end(state, doors)
    except Exception as error:  # noqa: BLE001 - as the flow does
        return to_its_end(give_up(state_of(wanted, doors), str(error), doors), doors)


def to_its_end(state: RolloutState, doors: Doors) -> RolloutState:
    while state.live:
        state = advance(state, SECTION, doors)
    return state


def state_of(wanted: Order, doors: Doors) -> RolloutState:
    return next(state for state in doors.journal.rollouts("bikes") if state.rollout_id == wanted.rollout_id)


def served_by(doors: Doors) -> dict[int, int]:
    live = doors.router.read("bikes")
    return {} if live is None else dict(live.weights.percents)


def settled(doors: Doors) -> None:
    """The invariant: champion, traffic and servers agree, and nobody else has anything."""
    champion = doors.registry.champion("bikes")
    if champion is None:
        assert served_by(doors) == {}
        assert doors.target.versions("bikes") == ()
    else:
        assert served_by(doors) == {champion.version: 100}
        assert doors.target.versions("bikes") == (champion.version,)
        assert champion.status is DeploymentStatus.LIVE
    assert doors.registry.challenger("bikes") is None
    assert not [state for state in doors.journal.rollouts("bikes") if state.live]


def test_a_first_version_gets_all_traffic(doors: Doors) -> None:
    state = outcome(run(order(1), doors))
    assert (state.phase, state.former) == (Phase.DONE, None)
    assert served_by(doors) == {1: 100}
    settled(doors)


def test_a_second_version_replaces_the_first(doors: Doors) -> None:
    run(order(1), doors)
    assert run(order(2), doors).former == 1
    assert served_by(doors) == {2: 100}
    previous = doors.registry.previous("bikes")
    assert previous is not None
    assert (previous.version, previous.status) == (1, DeploymentStatus.RETIRED)
    settled(doors)


def test_a_rollback_brings_the_former_champion_back_and_marks_the_other(doors: Doors) -> None:
    run(order(1), doors)
    run(order(2), doors)
    outcome(run(order(1, Goal.REINSTATE, "back"), doors))
    assert served_by(doors) == {1: 100}
    assert doors.registry.get("bikes", 2).status is DeploymentStatus.ROLLED_BACK
    settled(doors)


@pytest.mark.parametrize(
    ("behaviour", "reason"),
    [
        (Behaviour.FAILING, "cannot start: scripted to fail"),
        (Behaviour.NEVER_READY, "not ready after 60 s"),
        (Behaviour.ANSWERING_WRONGLY, "but training said"),
    ],
)
def test_servers_that_are_not_fit_never_get_traffic(doors: Doors, behaviour: Behaviour, reason: str) -> None:
    run(order(1), doors)
    assert isinstance(doors.target, InMemoryTarget)
    doors.target.script("bikes", 2, behaviour)
    state = run(order(2), doors)
    assert state.phase is Phase.ROLLED_BACK
    with pytest.raises(RolloutFailed, match=f"{reason}.*v1 serves as before"):
        outcome(state)
    assert doors.registry.get("bikes", 2).status is DeploymentStatus.REFUSED
    assert served_by(doors) == {1: 100}
    settled(doors)


def test_a_first_version_that_is_not_fit_leaves_nothing(doors: Doors) -> None:
    assert isinstance(doors.target, InMemoryTarget)
    doors.target.script("bikes", 1, Behaviour.FAILING)
    with pytest.raises(RolloutFailed, match="Nothing is served, as before"):
        outcome(run(order(1), doors))
    settled(doors)


def test_a_strategy_that_is_not_there_is_refused_before_anything_moves(doors: Doors) -> None:
    with pytest.raises(BadInput, match="canary"):
        begin(replace(order(1), strategy=Strategy.CANARY), doors)
    assert doors.journal.rollouts("bikes") == ()


def test_a_second_rollout_is_refused_while_another_process_has_the_lease(doors: Doors) -> None:
    doors.journal.acquire("bikes", Owner("another-host", 1, 0.0), doors.clock.now(), LEASE)
    with pytest.raises(Busy, match="another-host"):
        begin(order(1), doors)


def test_the_lease_outlasts_the_longest_step_that_the_spec_allows(doors: Doors) -> None:
    patient = RolloutSection(ready_timeout=timedelta(hours=2))
    begin(replace(order(1), section=patient), doors)
    doors.clock.sleep(timedelta(hours=2))
    with pytest.raises(Busy):
        doors.journal.acquire("bikes", Owner("another-host", 1, 0.0), doors.clock.now(), LEASE)


def test_the_lease_is_free_after_the_end(doors: Doors) -> None:
    run(order(1), doors)
    doors.journal.acquire("bikes", Owner("another-host", 1, 0.0), doors.clock.now(), LEASE)


def test_a_hand_edited_route_is_put_right_by_restore(doors: Doors) -> None:
    run(order(1), doors)
    doors.router.remove("bikes")
    restore("bikes", SECTION, doors)
    settled(doors)


def test_what_happened_is_in_the_history(doors: Doors) -> None:
    run(order(1), doors)
    kinds = [event.kind for event in doors.journal.events("bikes")]
    assert kinds[0] == "rollout.started"
    assert kinds[-1] == "rollout.done"
    assert kinds.count("step.intended") == kinds.count("step.done") == 4


class Killed(BaseException):
    """kill -9: nothing of ours runs afterwards."""


class Mortal:
    """A door that dies at its n-th call, before or after the call took effect."""

    def __init__(self, door: Any, life: "Life") -> None:
        self._door = door
        self._life = life

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._door, name)

        def call(*arguments: Any, **keywords: Any) -> Any:
            self._life.spend("before")
            result = method(*arguments, **keywords)
            self._life.spend("after")
            return result

        return call


class Life:
    def __init__(self, calls: int) -> None:
        self.left = calls

    def spend(self, _when: str) -> None:
        self.left -= 1
        if self.left < 0:
            raise Killed


def mortal(doors: Doors, calls: int) -> Doors:
    life = Life(calls)
    names = ("router", "target", "journal", "registry")
    wrapped: dict[str, Any] = {name: Mortal(getattr(doors, name), life) for name in names}
    return replace(doors, **wrapped)


def side_effects_of(wanted: Order, doors: Doors) -> int:
    life = Life(10_000)
    run(
        wanted,
        replace(
            doors, **{name: Mortal(getattr(doors, name), life) for name in ("router", "target", "journal", "registry")}
        ),
    )
    return 10_000 - life.left


@pytest.mark.parametrize("kind", ["first", "second", "rollback", "failing"])
def test_a_kill_at_any_point_leaves_traffic_answered_and_the_next_run_completes(kind: str, tmp_path: Path) -> None:
    def prepared() -> tuple[Doors, Order]:
        fresh = doors.__wrapped__(tmp_path)  # type: ignore[attr-defined] - the fixture's own function
        if kind == "first":
            return fresh, order(1)
        run(order(1), fresh)
        if kind == "rollback":
            run(order(2), fresh)
            return fresh, order(1, Goal.REINSTATE, "back")
        if kind == "failing":
            fresh.target.script("bikes", 2, Behaviour.ANSWERING_WRONGLY)
        return fresh, order(2)

    for calls in range(side_effects_of(*reversed(prepared()))):
        fresh, wanted = prepared()
        before = served_by(fresh)
        with pytest.raises(Killed):
            run(wanted, mortal(fresh, calls))
        during = served_by(fresh)
        assert during in (before, {wanted.candidate: 100}), f"killed at call {calls}"
        for version in during:
            assert version in fresh.target.versions("bikes"), f"killed at call {calls}: traffic without a server"

        lease = hold("bikes", fresh)
        settle("bikes", SECTION, fresh, lease)
        fresh.journal.release(lease)
        settled(fresh)
        again = run(replace(wanted, rollout_id="again"), fresh)
        assert again.phase is (Phase.ROLLED_BACK if kind == "failing" else Phase.DONE)
        settled(fresh)


def test_weights_name_every_version_that_serves() -> None:
    assert str(Weights({1: 30, 2: 70})) == "v1 30 %, v2 70 %"


def test_a_gateway_that_reports_other_weights_than_asked_for_fails_the_step(doors: Doors) -> None:
    run(order(1), doors)
    doors.target.launch(Launch("bikes", 2, doors.models, 1))

    class Deaf(InMemoryRouter):
        def apply(self, product: str, routing: Routing) -> None:
            """Takes it and does nothing."""

        def read(self, product: str) -> Routing | None:
            return doors.router.read(product)

    with pytest.raises(RolloutFailed, match="gateway reports v1 100 %"):
        shift("bikes", Weights.all_to(2), replace(doors, router=Deaf()))


def test_a_version_that_still_has_traffic_is_not_retired(doors: Doors) -> None:
    run(order(1), doors)
    with pytest.raises(RolloutFailed, match="still has 100 % of the traffic"):
        retire("bikes", 1, RolloutSection(), doors)
    assert doors.target.versions("bikes") == (1,)
