"""While something is waited for, users are not left alone: what was led back stays, and harm is still looked for."""

from dataclasses import replace
from typing import Any

import pytest

from deployments.errors import DiskFull, JournalUnreachable, RegistryUnreachable, SeatrialError
from deployments.rollout.operator_commands import Verb
from deployments.rollout.state import Phase, RolloutState
from deployments.rollout.steps import Observe, Promote, Shift
from deployments.spec import Strategy
from deployments.strategies.plan import Goal
from deployments.targets.protocol import Replica, ReplicaState
from tasks.rollout_engine.carrier import Carrier
from tasks.rollout_engine.champion import who_serves
from tasks.rollout_engine.takeover import begin, settle_before_release
from tests.unit.tasks.rollout_engine.hostile import Door, Killed, Outage, doors_of
from tests.unit.tasks.rollout_engine.world import MINUTE, PRODUCT, SECTION, World


@pytest.mark.parametrize("failure", [RegistryUnreachable("MLflow does not answer"), DiskFull("no space left")])
def test_a_rollback_stays_although_the_registry_cannot_be_told(served: World, failure: SeatrialError) -> None:
    served.run(served.wish(2))
    asked: list[str] = []

    class Away(Door):
        def __getattr__(self, name: str) -> Any:
            def call(*_arguments: Any, **_keywords: Any) -> Any:
                asked.append(name)
                raise failure

            return call if name == "reinstate" else super().__getattr__(name)

    registry: Any = Away("registry", served.registry, Outage(served, "nothing"))
    wish = replace(served.wish(1, goal=Goal.REINSTATE), rollout_id="back")
    met: list[dict[int, float]] = []

    def between(state: RolloutState) -> None:
        if any(isinstance(step, Shift) and step.weights.of(1) == 100 for step in state.steps[: state.done]):
            met.append(served.served_by)

    state = served.run(wish, replace(served.doors, registry=registry), between)
    assert asked
    assert state.phase is Phase.DONE
    assert "the registry cannot say so" in state.reason
    assert all(split == {1: 100} for split in met), "nobody is led back to the version that was rolled back"
    assert (who_serves(PRODUCT, served.doors), served.target.versions(PRODUCT)) == (1, (1,))


class Flapping(Door):
    """A journal that can be written and not be read, from some moment on."""

    on = False

    def __getattr__(self, name: str) -> Any:
        def call(*_arguments: Any, **_keywords: Any) -> Any:
            raise JournalUnreachable("the journal does not answer")

        return call if self.on and name == "rollout" else super().__getattr__(name)


def test_what_was_seen_already_counts_while_the_journal_cannot_be_read(served: World) -> None:
    journal: Any = Flapping("journal", served.journal, Outage(served, "nothing"))
    doors = replace(served.doors, journal=journal)
    carrier, wish = Carrier(doors), served.wish(2, Strategy.CANARY)
    state = begin(wish, doors)
    while not served.journal.evidence(wish.rollout_id):
        state = carrier.advance(state)
    known = len(served.journal.evidence(wish.rollout_id))
    journal.on = True
    carrier.left = None
    for _ in range(3):
        state = carrier.advance(state)
    assert len(carrier.watcher.evidence or ()) >= known + 2


def test_servers_that_a_promotion_lacks_are_waited_for_with_the_candidate_watched(served: World) -> None:
    wish = served.wish(2, Strategy.CANARY)
    ready = served.target.replicas
    began: list[float] = []
    back: list[float] = []

    def replicas(product: str, version: int) -> tuple[Replica, ...]:
        found = ready(product, version)
        if began and version == 2:  # one of two never comes
            return (found[0], *(replace(each, state=ReplicaState.STARTING) for each in found[1:]))
        return found

    def between(state: RolloutState) -> None:
        if isinstance(state.step, Shift) and state.step.weights.of(2) == 100 and not began:
            began.append(served.clock.monotonic())
            served.errors[2] = 0.6
        if began and not back and served.served_by == {1: 100}:
            back.append(served.clock.monotonic())

    served.target.replicas = replicas  # type: ignore[method-assign]
    section = SECTION.model_copy(update={"ready_timeout": 10 * MINUTE})
    state = served.run(replace(wish, section=section), between=between)
    assert state.phase is Phase.ROLLED_BACK
    assert "error" in state.reason
    assert back[0] - began[0] <= 90, "harm is not waited with until the servers are given up"


def test_servers_that_come_late_are_waited_for(served: World) -> None:
    ready, began = served.target.replicas, list[float]()

    def replicas(product: str, version: int) -> tuple[Replica, ...]:
        found = ready(product, version)
        if began and version == 2 and served.clock.monotonic() - began[0] < 200:
            return (found[0], *(replace(each, state=ReplicaState.STARTING) for each in found[1:]))
        return found

    def between(state: RolloutState) -> None:
        if isinstance(state.step, Promote) and not began:
            began.append(served.clock.monotonic())

    served.target.replicas = replicas  # type: ignore[method-assign]
    section = SECTION.model_copy(update={"ready_timeout": 10 * MINUTE})
    state = served.run(served.wish(2, section=section), between=between)
    assert state.phase is Phase.DONE
    assert served.clock.monotonic() - began[0] >= 200
    served.settled()


def test_an_abort_is_heard_while_servers_are_waited_for(served: World) -> None:
    ready, began = served.target.replicas, list[float]()

    def replicas(product: str, version: int) -> tuple[Replica, ...]:
        found = ready(product, version)
        return found[:1] if began and version == 2 else found

    def between(state: RolloutState) -> None:
        if isinstance(state.step, Promote) and not began:
            began.append(served.clock.monotonic())
        if began and served.clock.monotonic() > began[0] and not served.journal.orders(state.rollout_id):
            served.journal.give(state.rollout_id, Verb.ABORT, "ann", "enough", served.clock.now())

    served.target.replicas = replicas  # type: ignore[method-assign]
    state = served.run(served.wish(2), between=between)
    assert (state.phase, served.served_by) == (Phase.ROLLED_BACK, {1: 100})


def test_harm_that_was_nearly_proved_counts_while_a_step_is_waited_for(served: World) -> None:
    outage = Outage(served, "admin socket", back_at=0.0)
    doors = doors_of(served, outage)
    carrier = Carrier(doors)
    state = begin(served.wish(2, Strategy.CANARY), doors)
    while not (isinstance(state.step, Shift) and state.split is not None):
        state = carrier.advance(state)
    known = len(served.journal.evidence(state.rollout_id))
    fresh = Carrier(doors)
    outage.on = True
    fresh.advance(state)
    assert len(fresh.watcher.evidence or ()) >= known


def test_whoever_puts_right_what_was_left_leads_nobody_back_if_it_cannot_end_it(served: World) -> None:
    """A new release ends a dead rollout; MLflow goes away in the middle of it, and the platform carries on."""

    def between(state: RolloutState) -> None:
        if isinstance(state.step, Observe) and served.served_by.get(2) == 50:
            raise Killed

    with pytest.raises(Killed):
        served.run(served.wish(2, Strategy.CANARY), between=between)
    outage = Outage(served, "MLflow", on=True)
    with pytest.raises(RegistryUnreachable):
        settle_before_release(PRODUCT, SECTION, doors_of(served, outage))
    assert served.served_by == {1: 100}
    assert served.journal.rollout(PRODUCT, "rollout-2").phase is Phase.RESTORING
    met: set[int] = set()
    served.clock.passing = lambda _: met.update(served.served_by)
    assert served.resume("rollout-2").phase is Phase.ROLLED_BACK
    assert met <= {1}
    served.settled()
