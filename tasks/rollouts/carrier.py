"""Whoever carries a rollout from step to step."""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta

from deployments.journals.protocol import Lease
from deployments.registry import DeploymentStatus
from deployments.rollout.decide import Finish, Nothing, NotNowError, Perform, Restore, Watch, decide, follow, obey
from deployments.rollout.state import Phase, RolloutState
from deployments.rollout.steps import Act, Conclude, Reinstate, Step
from deployments.strategies.plan import Change, Goal, finale
from deployments.wiring import Doors
from tasks.rollouts.keeping import GLANCE, give_up, hold, note, note_verdict, patiently
from tasks.rollouts.perform import dismiss, perform
from tasks.rollouts.restore import restore
from tasks.rollouts.watching import Watcher


def _nobody_stops() -> str | None:
    return None


@dataclass(slots=True)
class Carrier:
    """Whoever carries a rollout: its doors, what it remembers between looks, and who may stop it.

    `stop` is asked twice a second while something is waited for; a text means that the run was cancelled, and why.
    """

    doors: Doors
    stop: Callable[[], str | None] = _nobody_stops
    watcher: Watcher = field(default_factory=Watcher)

    def advance(self, state: RolloutState) -> RolloutState:
        """Do the one thing that `state` calls for, and write down how it went; nothing for a finished rollout."""
        doors = self.doors
        lease = hold(state.product, doors, state.section)
        state = self._obeyed(state, lease)
        if state.live and state.phase is not Phase.RESTORING and (reason := self.stop()):
            state = give_up(state, reason, doors)
        match decide(state):
            case Perform(step):
                state = self._perform(step, state)
            case Watch():
                return self._watch(state)
            case Finish():
                state = _finished(state, doors)
            case Restore():
                state = self._restore(state)
            case Nothing():
                return state
        doors.journal.save(state, lease)
        if not state.live:
            doors.journal.release(lease)
        return state

    def _perform(self, step: Act, state: RolloutState) -> RolloutState:
        note(state, "step.intended", self.doors, step=str(step))
        seen = patiently(lambda: perform(step, state, self.doors), self.doors)
        after = state.with_step_done(self.doors.clock.now(), seen if isinstance(step, Conclude) else state.reason)
        note(after, "step.done", self.doors, step=str(step), seen=seen)
        return after

    def _watch(self, state: RolloutState) -> RolloutState:
        """Wait for one interval, unless a person or a cancellation cuts it short; then look."""
        doors = self.doors
        self.watcher.begin(state, doors)
        until = doors.clock.monotonic() + state.section.analysis.interval.total_seconds()
        while (left := until - doors.clock.monotonic()) > 0:
            if doors.journal.orders(state.rollout_id, state.orders_done) or self.stop():
                return state
            doors.clock.sleep(min(GLANCE, timedelta(seconds=left)))
        lease = hold(state.product, doors, state.section)
        if state.former is None or state.split is None:
            return state
        look = self.watcher.look(state, lease, doors)
        after = follow(state, look, doors.clock.now())
        if after == state:
            return state
        doors.journal.save(after, lease)
        if after.phase is not state.phase or after.done != state.done:
            note_verdict(after, look.verdict, doors)
        return after

    def _obeyed(self, state: RolloutState, lease: Lease) -> RolloutState:
        for order in self.doors.journal.orders(state.rollout_id, state.orders_done):
            try:
                state = obey(state, order, _rest_of_the_way(state, self.doors), self.doors.clock.now())
                kind, why = f"order.{order.verb}", ""
            except NotNowError as error:
                kind, why = "order.declined", f"{order.verb}: {error}"
            state = state.with_order(order.number)
            self.doors.journal.save(state, lease)
            note(state, kind, self.doors, who=order.who, said=order.reason, **({"why": why} if why else {}))
        return state

    def _restore(self, state: RolloutState) -> RolloutState:
        _undo_promotion(state, self.doors)
        seen = patiently(lambda: restore(state.product, state.section, self.doors), self.doors)
        dismiss(state.product, state.candidate, DeploymentStatus.REFUSED, self.doors)
        after = state.with_phase(Phase.ROLLED_BACK, state.reason, self.doors.clock.now())
        note(after, "rollout.rolled_back", self.doors, seen=seen)
        return after


def _finished(state: RolloutState, doors: Doors) -> RolloutState:
    champion = doors.registry.champion(state.product)
    arrived = champion is not None and champion.version == state.candidate
    served = f"v{state.candidate} serves all traffic" if arrived else f"v{state.former} serves as before"
    after = state.with_phase(Phase.DONE, f"{served}: {state.reason}" if state.reason else served, doors.clock.now())
    note(after, "rollout.done", doors)
    return after


def _rest_of_the_way(state: RolloutState, doors: Doors) -> tuple[Step, ...]:
    goal = Goal.REINSTATE if any(isinstance(step, Reinstate) for step in state.steps) else Goal.PROMOTE
    change = Change(goal, state.candidate, state.former, doors.target.versions(state.product))
    return finale(change, state.section)


def _undo_promotion(state: RolloutState, doors: Doors) -> None:
    champion = doors.registry.champion(state.product)
    if state.former is not None and champion is not None and champion.version == state.candidate:
        doors.registry.reinstate(state.product, state.former, doors.clock.now())
