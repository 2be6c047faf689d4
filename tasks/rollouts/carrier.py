"""Whoever carries a rollout from step to step."""

from dataclasses import dataclass, field
from datetime import timedelta

from deployments.errors import SeatrialError, TryAgain
from deployments.journals.protocol import Lease
from deployments.rollout.decide import Finish, Nothing, NotNowError, Perform, Restore, Watch, decide, follow, obey
from deployments.rollout.orders import Order, Verb
from deployments.rollout.state import Phase, RolloutState
from deployments.rollout.steps import Act, Conclude, Launch, Retire, Step, Verify
from deployments.strategies.plan import Change, finale, goal_of
from deployments.wiring import Doors
from tasks.rollouts.champion import promoted
from tasks.rollouts.keeping import GLANCE, Stop, give_up, hold, nobody_stops, not_retired, note, note_verdict, patiently
from tasks.rollouts.perform import perform
from tasks.rollouts.restore import arrived, put_back
from tasks.rollouts.traffic import uphold
from tasks.rollouts.watching import Watcher


@dataclass(slots=True)
class Carrier:
    """Whoever carries a rollout: its doors, what it remembers between looks, and who may stop it.

    `stop` is asked twice a second while something is waited for; a text means that the run was cancelled, and why.
    `left` is how the last call of `advance` left the rollout.
    """

    doors: Doors
    stop: Stop = nobody_stops
    watcher: Watcher = field(default_factory=Watcher)
    token: int | None = None
    left: RolloutState | None = None

    def advance(self, state: RolloutState) -> RolloutState:
        """Do the one thing that the rollout calls for, and write down how it went; nothing for a finished one.

        Where it is, the journal says, not `state`: somebody else may have carried it on while this process was stopped.
        It is not asked if this carrier had the lease ever since it wrote `state`.
        """
        left, token = self.left, self.token
        self.left, lease = None, self._lease(state)
        if state is not left or token != lease.token:
            state = self.doors.journal.rollout(state.product, state.rollout_id)
            self.watcher.evidence = None
        self.left = self._advanced(state, lease)
        return self.left

    def _advanced(self, state: RolloutState, lease: Lease) -> RolloutState:
        doors = self.doors
        state = self._obeyed(state, lease)
        if state.live and state.phase is not Phase.RESTORING and (reason := self.stop()):
            state = give_up(state, reason, doors)
        match decide(state):
            case Perform(step):
                state = self._perform(step, state)
            case Watch():
                return self._watch(state, lease)
            case Finish():
                state = _finished(state, doors)
            case Restore():
                state = self._restore(state)
            case Nothing():
                doors.journal.release(lease)
                return state
        doors.journal.save(state, lease)
        if not state.live:
            doors.journal.release(lease)
        return state

    def _lease(self, state: RolloutState) -> Lease:
        """The lease; after somebody else had it, what was counted before is theirs and not counted again."""
        lease = hold(state.product, self.doors, state.section)
        if self.token not in {None, lease.token}:
            self.watcher = Watcher()
        self.token = lease.token
        return lease

    def _perform(self, step: Act, state: RolloutState) -> RolloutState:
        note(state, "step.intended", self.doors, step=str(step))
        try:
            seen = patiently(lambda: perform(step, state, self.doors), self.doors)
        except SeatrialError as error:
            if isinstance(step, Retire):
                return self._left_behind(step, state, error)
            raise
        after = state.with_step_done(self.doors.clock.now(), seen if isinstance(step, Conclude) else state.reason)
        note(after, "step.done", self.doors, step=str(step), seen=seen)
        return after

    def _left_behind(self, step: Retire, state: RolloutState, error: SeatrialError) -> RolloutState:
        """Servers without traffic harm nobody; they are cleared up before the next release or rollback."""
        left = not_retired(step.version, error)
        reason = f"{state.reason}; {left}" if state.reason else left
        after = state.with_step_done(self.doors.clock.now(), reason)
        note(after, "rollout.left_behind", self.doors, step=str(step), version=step.version)
        return after

    def _watch(self, state: RolloutState, lease: Lease) -> RolloutState:
        """Wait for one interval, unless a person or a cancellation cuts it short; then look."""
        doors = self.doors
        self.watcher.begin(state, doors)
        asked_at = doors.clock.monotonic()  # by `_obeyed`
        until = asked_at + state.section.analysis.interval.total_seconds()
        while (left := until - doors.clock.monotonic()) > 0:
            if self.stop():
                return state
            if doors.clock.monotonic() - asked_at >= doors.journal.orders_every.total_seconds():
                if doors.journal.orders(state.rollout_id, state.orders_done):
                    return state
                asked_at = doors.clock.monotonic()
            doors.clock.sleep(min(GLANCE, timedelta(seconds=left)))
        if self._lease(state).token != lease.token:
            return doors.journal.rollout(state.product, state.rollout_id)
        if state.former is None or state.split is None:
            return state
        look = self.watcher.look(state, doors)
        after = follow(state, look, doors.clock.now())
        if after == state and look.block is None:
            return state
        doors.journal.save(after, lease, look.block)
        if after.phase is not state.phase or after.done != state.done:
            note_verdict(after, look.verdict, doors)
        return after

    def _obeyed(self, state: RolloutState, lease: Lease) -> RolloutState:
        for order in self.doors.journal.orders(state.rollout_id, state.orders_done):
            try:
                state = obey(state, order, self._rest_of_the_way(state, order), self.doors.clock.now())
                kind, why = f"order.{order.verb}", ""
            except (NotNowError, TryAgain) as error:
                kind, why = "order.declined", f"{order.verb}: {error}"
            self.watcher.disregard(self.doors)
            state = state.with_order(order.number)
            self.doors.journal.save(state, lease)
            note(state, kind, self.doors, who=order.who, said=order.reason, **({"why": why} if why else {}))
        return state

    def _rest_of_the_way(self, state: RolloutState, order: Order) -> tuple[Step, ...]:
        """What `promote` puts in place of the remaining steps. A comparison that is over has no servers any more."""
        if order.verb is not Verb.PROMOTE:
            return ()
        running = self.doors.target.versions(state.product)
        rest = finale(Change(goal_of(state.steps), state.candidate, state.former, running), state.section)
        if state.candidate in running:
            return rest
        return (Launch(state.candidate, state.section.replicas), Verify(state.candidate), *rest)

    def _restore(self, state: RolloutState) -> RolloutState:
        doors = self.doors
        stays = patiently(lambda: arrived(state, doors), doors)
        seen = patiently(lambda: put_back(state, doors), doors)
        now = doors.clock.now()
        if stays:
            reason = f"v{state.candidate} is champion already, and there was none before it ({state.reason})"
            after = state.with_phase(Phase.DONE, reason, now)
        else:
            after = state.with_phase(Phase.ROLLED_BACK, state.reason, now)
        note(after, f"rollout.{after.phase}", doors, seen=seen)
        return after


def _finished(state: RolloutState, doors: Doors) -> RolloutState:
    patiently(lambda: uphold(state.product, state.split, doors), doors)
    served = f"v{state.candidate} serves all traffic" if promoted(state) else f"v{state.former} serves as before"
    after = state.with_phase(Phase.DONE, f"{served}: {state.reason}" if state.reason else served, doors.clock.now())
    note(after, "rollout.done", doors)
    return after
