"""Whoever carries a rollout from step to step."""

from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import timedelta

from deployments.analysis.evidence import Block
from deployments.analysis.verdict import Ruling
from deployments.errors import Busy, SeatrialError, TryAgain
from deployments.journals.protocol import Lease
from deployments.rollout.decide import (
    Finish,
    Look,
    Nothing,
    NotNowError,
    Perform,
    Restore,
    Watch,
    decide,
    doubts,
    follow,
    obey,
)
from deployments.rollout.operator_commands import Order, Verb
from deployments.rollout.state import Phase, RolloutState
from deployments.rollout.steps import Act, Conclude, Launch, Step, Verify
from deployments.routers.rollback_routing import has_everything
from deployments.strategies.plan import Change, finale, goal_of
from deployments.wiring import Doors
from tasks.rollout_engine.best_effort_steps import skip_step
from tasks.rollout_engine.cancellation import Stop, nobody_stops
from tasks.rollout_engine.champion import promoted
from tasks.rollout_engine.emergency_rollback import give_back, given_back
from tasks.rollout_engine.evidence_sources import own
from tasks.rollout_engine.history import note, note_verdict
from tasks.rollout_engine.journal_outage import JournalAwayError, raising_when_away
from tasks.rollout_engine.lease import hold
from tasks.rollout_engine.observation import Watcher
from tasks.rollout_engine.patience import GLANCE, ON_THE_WAY_BACK, PATIENCE, retried_for_a_minute
from tasks.rollout_engine.reasons import cause_of, so_far
from tasks.rollout_engine.restore_champion import give_all_traffic, is_crowned, put_champion_back
from tasks.rollout_engine.rollback_errors import way_back_error
from tasks.rollout_engine.server_launch import NotWholeError, await_change, replicas_lost_error, start_again
from tasks.rollout_engine.step_actions import perform
from tasks.rollout_engine.traffic_shift import reapply_routing


@dataclass(slots=True)
class Carrier:
    """Whoever carries a rollout: its doors, what it remembers between looks, and who may stop it.

    `stop` is asked twice a second while something is waited for; a text means that the run was cancelled, and why.
    `left` is how the last call of `advance` left the rollout; `decided` is what the journal is still to be told: that
    the champion is put back. `waited` is since when that has been tried (on the monotonic clock), `trying` which step
    could not be done yet, and since when, `delayed` why (empty: none); `started` is the one for which servers were
    started that it lacked.
    """

    doors: Doors
    stop: Stop = nobody_stops
    watcher: Watcher = field(default_factory=Watcher)
    token: int | None = None
    left: RolloutState | None = None
    decided: RolloutState | None = None
    waited: float | None = None
    trying: tuple[int, float] | None = None
    delayed: str = ""
    started: int | None = None

    def advance(self, state: RolloutState) -> RolloutState:
        """Do the one thing that the rollout calls for, and write down how it went; nothing for a finished one.

        Where it is, the journal says, not `state`: somebody else may have carried it on while this process was stopped.
        It is not asked if this carrier had the lease ever since it wrote `state`.

        While the journal is away nothing moves on, but the candidate goes on being watched, and harm gives its users
        back. Raises the journal's error where no candidate has users, or has them no more and a minute has passed.
        """
        left, token = self.left, self.token
        self.left = None
        try:
            lease = self._lease(state)
            if state is not left or token != lease.token:
                state = self._as_written(state, lease)
            self.left = self._advanced(state, lease)
        except JournalAwayError as away:
            return self._without_journal(self.decided or state, away)
        self.waited = None
        return self.left

    def leave(self, state: RolloutState, reason: str) -> None:
        """Whoever carries it is interrupted: users first, before anybody else is asked.

        Nothing happens without a lease, nor where the candidate may have arrived already: that the journal knows.
        """
        if self.token is not None and state.live and not state.decided:
            give_back(replace(self.decided or state, reason=reason), self.doors)

    def _as_written(self, state: RolloutState, lease: Lease) -> RolloutState:
        """Where the rollout is by the journal, once that knows all that was seen and decided while it was away."""
        journal = self._doors.journal
        current = journal.rollout(state.product, state.rollout_id)
        written = own(current, journal) if self.watcher.unwritten else ()
        for block in self.watcher.unwritten:
            if block not in written:
                journal.save(current, lease, block)
        self.watcher.unwritten = ()
        self.watcher.evidence = None  # not earlier: while the journal is away it is all that there is to judge by
        if not current.live or current.phase is Phase.RESTORING:
            return current
        return self._given_up(current, self._why_back(state, current), lease)

    def _why_back(self, state: RolloutState, current: RolloutState) -> str | None:
        """Why the champion is put back though the journal does not say so; None: it is not."""
        if self.decided is not None or state.phase is Phase.RESTORING:
            return (self.decided or state).reason
        return retried_for_a_minute(lambda: given_back(current, self._doors), self._doors)

    def _given_up(self, state: RolloutState, reason: str | None, lease: Lease) -> RolloutState:
        """From here on the champion is put back; users first."""
        if reason is None:
            return state
        after = self._back(state.with_phase(Phase.RESTORING, reason, self._doors.clock.now()))
        self._save(after, lease)
        note(after, "rollout.given_up", self._doors)
        return after

    def _back(self, state: RolloutState) -> RolloutState:
        """The candidate's users are given back, and that is remembered until the journal knows it."""
        self.decided = state
        give_back(state, self._doors)
        return state

    def _save(self, state: RolloutState, lease: Lease, block: Block | None = None) -> None:
        self._doors.journal.save(state, lease, block)
        self.decided, self.watcher.unwritten = None, ()

    def _advanced(self, state: RolloutState, lease: Lease) -> RolloutState:
        doors = self._doors
        state = self._obeyed(state, lease)
        if state.live and state.phase is not Phase.RESTORING:
            state = self._given_up(state, self.stop(), lease)
        match decide(state):
            case Perform(step):
                before, state = state, self._perform(step, state, lease)
                if state is before:
                    return state
            case Watch():
                return self._watch(state, lease)
            case Finish():
                state = _finished(state, doors)
            case Restore():
                state = self._restore(state, lease)
            case Nothing():
                doors.journal.release(lease)
                return state
        self._save(state, lease)
        if not state.live:
            doors.journal.release(lease)
        return state

    @property
    def _doors(self) -> Doors:
        """The doors, with a journal whose silence is told apart from that of others."""
        return replace(self.doors, journal=raising_when_away(self.doors.journal))

    def _without_journal(self, state: RolloutState, away: JournalAwayError) -> RolloutState:
        if state.phase is Phase.RESTORING:
            return self._wait_to_write(state, away)
        if not state.exposed:
            raise away.reason
        doors = self._doors
        self.watcher.begin(state, doors)
        until = doors.clock.monotonic() + state.section.analysis.interval.total_seconds()
        why = self.stop()
        while not why and doors.clock.monotonic() < until:
            doors.clock.sleep(GLANCE)
            why = self.stop()
        if not why:
            why = _harm(self.watcher.look(state, doors, written=False))
        return self._back(state.with_phase(Phase.RESTORING, why, doors.clock.now())) if why else state

    def _wait_to_write(self, state: RolloutState, away: JournalAwayError) -> RolloutState:
        """The users are given back, by servers that are started for them if need be; all else waits for the journal."""
        doors, since = self._doors, self.waited
        if not give_back(state, doors) and state.former is not None:
            with suppress(SeatrialError):
                give_all_traffic(state.product, state.former, state.section, doors)
        self.decided, self.waited = state, doors.clock.monotonic() if since is None else since
        if doors.clock.monotonic() - self.waited >= PATIENCE.total_seconds():
            raise way_back_error(state.product, state.former, away.reason, doors) from away
        doors.clock.sleep(GLANCE)
        return state

    def _lease(self, state: RolloutState) -> Lease:
        """The lease; after somebody else had it, what was counted before is theirs and not counted again."""
        lease = hold(state.product, self._doors, state.section)
        if self.token not in {None, lease.token}:
            self.watcher, self.decided = Watcher(), None
        self.token = lease.token
        self.doors = self.doors.under(lease)
        return lease

    def _perform(self, step: Act, state: RolloutState, lease: Lease) -> RolloutState:
        """The state once the step is done; as it is while a part that it needs is away, for up to a minute."""
        doors = self._doors
        if self.trying is None or self.trying[0] != state.done:
            note(state, "step.intended", doors, step=str(step))
            self.trying = (state.done, doors.clock.monotonic())
        try:
            seen = perform(step, state, doors)
        except NotWholeError as lack:
            if self._tried_for() <= state.section.ready_timeout:
                return self._until_whole(state, lease)
            return self._undone(step, state, replicas_lost_error(state.candidate, str(lack), state.section))
        except SeatrialError as error:
            if isinstance(error, TryAgain) and self._tried_for() < PATIENCE:
                self.delayed = str(error)
                return self._meanwhile(state, lease)
            return self._undone(step, state, error)
        self.trying, self.delayed = None, ""
        after = state.with_step_done(doors.clock.now(), seen if isinstance(step, Conclude) else state.reason)
        note(after, "step.done", doors, step=str(step), seen=seen)
        return after

    def _tried_for(self) -> timedelta:
        since = self.trying[1] if self.trying else self.doors.clock.monotonic()
        return timedelta(seconds=self.doors.clock.monotonic() - since)

    def _undone(self, step: Act, state: RolloutState, error: SeatrialError) -> RolloutState:
        """What follows from a step that cannot be done: `error` is raised, unless the rollout can go on without it."""
        self.trying = None
        return skip_step(step, state, error, self._doors)

    def _until_whole(self, state: RolloutState, lease: Lease) -> RolloutState:
        """Servers that the candidate lacks are started again, once, and waited for, with the candidate watched."""
        product, version, section, doors = state.product, state.candidate, state.section, self._doors
        if self.started != state.done:
            with suppress(TryAgain):
                start_again(product, version, section.replicas, section, doors)
                self.started = state.done
        await_change(product, version, doors)
        return self._meanwhile(state, lease)

    def _meanwhile(self, state: RolloutState, lease: Lease) -> RolloutState:
        """What is away is repaired, and the candidate watched: while a step is waited for users are not left alone."""
        doors = self._doors
        doors.clock.sleep(GLANCE)
        with suppress(SeatrialError):
            doors.repair()
        if state.decided or not state.exposed:
            return state
        self.watcher.begin(state, doors)
        self.watcher.recall(state, doors)
        if doors.clock.monotonic() - self.watcher.looked_at < state.section.analysis.interval.total_seconds():
            return state
        look = self.watcher.look(state, doors, written=False)
        why = _harm(look)
        if why is not None:
            state = self._back(state.with_phase(Phase.RESTORING, why, doors.clock.now()))
        if why is not None or look.block is not None:
            self._save(state, lease, look.block)
        return state

    def _watch(self, state: RolloutState, lease: Lease) -> RolloutState:
        """Wait for one interval, unless a person or a cancellation cuts it short; then look."""
        doors = self._doors
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
        if state.former is None or state.split is None:
            return doors.journal.rollout(state.product, state.rollout_id) if self._lost(state, lease) else state
        look = self.watcher.look(state, doors)
        after = follow(state, look, doors.clock.now())
        if after.phase is Phase.RESTORING:
            self._back(after)
        if self._lost(state, lease):
            return doors.journal.rollout(state.product, state.rollout_id)
        if after == state and look.block is None:
            return state
        self._save(after, lease, look.block)
        if after.phase is not state.phase or after.done != state.done:
            note_verdict(after, look.verdict, doors)
        return after

    def _lost(self, state: RolloutState, lease: Lease) -> bool:
        """Whether somebody else has had the lease meanwhile; it is renewed."""
        return self._lease(state).token != lease.token

    def _obeyed(self, state: RolloutState, lease: Lease) -> RolloutState:
        for order in self._doors.journal.orders(state.rollout_id, state.orders_done):
            try:
                rest, verdict = self._rest_of_the_way(state, order), self.watcher.verdict
                state = obey(state, order, rest, self._doors.clock.now(), verdict)
                kind, why = f"order.{order.verb}", doubts(order, verdict)
                if state.phase is Phase.RESTORING:
                    self._back(state)
            except (NotNowError, TryAgain) as error:
                kind, why = "order.declined", f"{order.verb}: {error}"
            self.watcher.disregard(self._doors)
            state = state.with_order(order.number)
            self._save(state, lease)
            note(state, kind, self._doors, who=order.who, said=order.reason, **({"why": why} if why else {}))
        return state

    def _rest_of_the_way(self, state: RolloutState, order: Order) -> tuple[Step, ...]:
        """What `promote` puts in place of the remaining steps. A comparison that is over has no servers any more."""
        if order.verb is not Verb.PROMOTE:
            return ()
        running = self._doors.target.versions(state.product)
        rest = finale(Change(goal_of(state.steps), state.candidate, state.former, running), state.section)
        if state.candidate in running:
            return rest
        return (Launch(state.candidate, state.section.replicas), Verify(state.candidate), *rest)

    def _restore(self, state: RolloutState, lease: Lease) -> RolloutState:
        doors = self._doors
        try:
            stays = retried_for_a_minute(lambda: is_crowned(state, doors), doors)
            seen = retried_for_a_minute(lambda: put_champion_back(state, doors), doors, ON_THE_WAY_BACK)
        except Busy:
            raise
        except SeatrialError as error:
            self._tell_what_is_left(state, error, lease)
            raise way_back_error(state.product, state.former, error, doors) from error
        now = doors.clock.now()
        if stays:
            reason = f"v{state.candidate} is champion already, and there was none before it ({cause_of(state)})"
            after = state.with_phase(Phase.DONE, reason, now)
        else:
            after = state.with_phase(Phase.ROLLED_BACK, cause_of(state), now)
        note(after, f"rollout.{after.phase}", doors, seen=seen)
        return after

    def _tell_what_is_left(self, state: RolloutState, error: SeatrialError, lease: Lease) -> None:
        """What is left is tried again by whoever comes next: the rollout says so, and whether its users are back."""
        doors = self._doors
        with suppress(SeatrialError):
            if state.former is not None:
                back = has_everything(state.former, doors.router.read(state.product))
                left = so_far(state, error, users_are_back=back)
                if left != state.reason:
                    self._save(state.with_phase(Phase.RESTORING, left, doors.clock.now()), lease)


def _harm(look: Look) -> str | None:
    """Why the champion is put back whatever is under way; None: nothing is known that speaks for it."""
    return look.verdict.reason if look.verdict.ruling is Ruling.ROLL_BACK else look.bare


def _finished(state: RolloutState, doors: Doors) -> RolloutState:
    retried_for_a_minute(lambda: reapply_routing(state.product, state.split, doors), doors)
    served = f"v{state.candidate} serves all traffic" if promoted(state) else f"v{state.former} serves as before"
    after = state.with_phase(Phase.DONE, f"{served}: {state.reason}" if state.reason else served, doors.clock.now())
    note(after, "rollout.done", doors)
    return after
