"""How a rollout begins, is taken over from a process that died, or gives way to another one."""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final

from deployments.errors import Busy, DiskFull, RegistryUnreachable, RolloutAborted
from deployments.journals.protocol import Event, Journal, Lease
from deployments.platform_identity import is_elsewhere
from deployments.registry import DeploymentStatus
from deployments.rollout.operator_commands import Verb
from deployments.rollout.state import Phase, RolloutState
from deployments.rollout.steps import Wait
from deployments.spec import RolloutSection, Second, Strategy
from deployments.strategies.plan import Change, Goal, goal_of, plan
from deployments.wiring import Doors
from tasks.rollout_engine.cancellation import Stop, nobody_stops
from tasks.rollout_engine.champion import who_serves
from tasks.rollout_engine.emergency_rollback import give_back
from tasks.rollout_engine.history import note
from tasks.rollout_engine.lease import check_place, hold, is_ours, under_way
from tasks.rollout_engine.patience import GLANCE, ON_THE_WAY_BACK, retried_for_a_minute
from tasks.rollout_engine.reasons import cause_of
from tasks.rollout_engine.registry_sync import note_differences
from tasks.rollout_engine.restore_champion import (
    is_crowned,
    is_restored,
    move_users_back,
    put_champion_back,
    restore,
    restore_registry,
)
from tasks.rollout_engine.rollback_errors import told_of_way_back
from tasks.rollout_engine.step_actions import unregistered_warning
from tasks.secondary_errors import lease_released_after, noting_failures

# A rollout whose process died is carried on within a minute; whoever queues behind it waits so long for that.
PICKED_UP: Final = timedelta(minutes=2)


@dataclass(frozen=True, slots=True)
class Wish:
    """What is wanted: bring `candidate` of `product` to traffic. `rollout_id` is the id of the run that asks.

    `carries` names an earlier rollout of the same candidate whose evidence is to count, None for none.
    """

    rollout_id: str
    product: str
    candidate: int
    section: RolloutSection
    strategy: Strategy
    goal: Goal
    carries: str | None = None


def begin(wish: Wish, doors: Doors, stop: Stop = nobody_stops) -> RolloutState:
    """Take the lease, put right what a dead rollout left, and write the plan. Nothing has moved for this rollout yet.

    While another rollout of the product is under way the section's `second` decides: `Busy` is raised, or this one
    waits for the other's end, or tells it to give up first.
    """
    lease = _first_lease(wish, doors, stop)
    try:
        state = _planned(wish, doors.under(lease), lease)
    except BaseException as error:
        with noting_failures(error, "letting others change its traffic"):
            doors.journal.release(lease)
        raise
    doors.journal.save(state, lease)
    _announce(state, doors)
    note(state, "rollout.started", doors, steps=[str(step) for step in state.steps], former=state.former)
    return state


def _planned(wish: Wish, doors: Doors, lease: Lease) -> RolloutState:
    """What is to be done, once what others left is put right."""
    orders_done = _orders_done(wish, doors.journal)
    settle_dead_rollouts(wish.product, wish.section, doors, lease)
    former = who_serves(wish.product, doors)
    note_differences(wish.product, doors)
    change = Change(wish.goal, wish.candidate, former, doors.target.versions(wish.product))
    steps = plan(wish.strategy, change, wish.section)
    now = doors.clock.now()
    return RolloutState(
        rollout_id=wish.rollout_id,
        product=wish.product,
        candidate=wish.candidate,
        former=former,
        strategy=wish.strategy.value,
        section=wish.section,
        steps=steps,
        done=0,
        phase=Phase.RUNNING,
        reason="",
        started_at=now,
        updated_at=now,
        entered_at=now,
        orders_done=orders_done,
        carries=wish.carries,
        place=doors.place,
    )


def _orders_done(wish: Wish, journal: Journal) -> int:
    """A run may begin again under its old id: what it was told before, and dealt with, is not told to it again."""
    before = (state.orders_done for state in journal.rollouts(wish.product) if state.rollout_id == wish.rollout_id)
    return next(before, 0)


def _announce(state: RolloutState, doors: Doors) -> None:
    """The registry calls the candidate challenger. Safe to repeat."""
    if goal_of(state.steps) is Goal.PROMOTE and state.candidate != state.former:
        doors.registry.set_challenger(state.product, state.candidate)
        doors.registry.set_status(state.product, state.candidate, DeploymentStatus.DEPLOYING)


def _first_lease(wish: Wish, doors: Doors, stop: Stop) -> Lease:
    told, began = "", doors.clock.monotonic()
    carried_until = began
    while True:
        other, now = under_way(wish.product, doors.journal), doors.clock.monotonic()
        abandoned = other is not None and doors.journal.holder(wish.product, doors.clock.now()) is None
        if not abandoned:
            carried_until = now
        picked_up_soon = abandoned and now - carried_until < PICKED_UP.total_seconds()
        if not (picked_up_soon and _comes_first(other, wish)):
            try:
                return hold(wish.product, doors, wish.section)
            except Busy:
                present = under_way(wish.product, doors.journal)
                if wish.section.second is Second.REJECT and not _soon_over(present, began, doors):
                    raise
        if reason := stop():
            raise RolloutAborted(f"{wish.product} v{wish.candidate} was not rolled out: {reason}")
        superseding = wish.section.second is Second.SUPERSEDE and not _soon_over(other, began, doors)
        if superseding and other is not None and told != other.rollout_id:
            told = other.rollout_id
            reason = f"superseded by v{wish.candidate}"
            doors.journal.give(told, Verb.ABORT, "seatrial", reason, doors.clock.now())
        doors.clock.sleep(GLANCE)


def _comes_first(other: RolloutState | None, wish: Wish) -> bool:
    """Whether a rollout that lost its process is to be carried on before this one."""
    return wish.section.second is Second.QUEUE and other is not None and other.rollout_id != wish.rollout_id


def take_over(state: RolloutState, doors: Doors) -> RolloutState:
    """Carry on with a rollout: one that this process began, or one whose process is gone.

    Raises `Busy` while somebody else carries it.
    """
    check_place(state, doors)
    ours = is_ours(state.product, doors)
    lease = hold(state.product, doors, state.section)
    current = doors.journal.rollout(state.product, state.rollout_id)
    if not current.live:
        doors.journal.release(lease)
        return current
    if not ours:
        doors.expect_rights()
        note(current, "rollout.taken_over", doors, phase=current.phase.value, step=str(current.step or "finish"))
    if not current.done:
        retried_for_a_minute(lambda: _announce(current, doors), doors)
    return current


def is_carried_here(product: str, rollout_id: str, doors: Doors) -> RolloutState | None:
    """The rollout, if it is under way and this process is the one that carries it."""
    live = (state for state in doors.journal.rollouts(product) if state.live and state.rollout_id == rollout_id)
    return next(live, None) if is_ours(product, doors) else None


def orphans(journal: Journal, now: datetime, here: str = "") -> tuple[RolloutState, ...]:
    """Rollouts under way whose process is gone, and which can be carried on from `here`; empty: from anywhere."""
    within_reach = (state for state in journal.under_way() if not is_elsewhere(state.place, here))
    return tuple(state for state in within_reach if journal.holder(state.product, now) is None)


def settle_before_release(
    product: str, section: RolloutSection, doors: Doors, *, going_back: bool = False
) -> str | None:
    """`settle_dead_rollouts` before a new release begins its work; None also where another rollout comes first.

    That is one that somebody carries, unless the section rejects a second one: then `Busy` is raised, before anything
    is done in vain, unless the other will be over at once and is waited for. For one that queues it is also a rollout
    whose process died, which is carried on within a minute.
    """
    if section.second is Second.QUEUE and under_way(product, doors.journal) is not None:
        return None
    began = doors.clock.monotonic()
    while True:
        try:
            lease = hold(product, doors, section)
            break
        except Busy:
            if section.second is not Second.REJECT:
                return None
            if not _soon_over(under_way(product, doors.journal), began, doors):
                raise
        doors.clock.sleep(GLANCE)
    with lease_released_after(lease, doors):
        return settle_dead_rollouts(product, section, doors.under(lease), lease, going_back=going_back)


def _soon_over(state: RolloutState | None, since: float, doors: Doors) -> bool:
    """Whether the rollout under way waits for nothing more: one that is just being carried on after a crash, say.

    Nor does whoever has the lease without a rollout: a release that puts right what was left, or is about to write its
    plan down. Two minutes after `since` (on the monotonic clock) it is not soon any more.
    """
    if doors.clock.monotonic() - since > PICKED_UP.total_seconds():
        return False
    if state is None or state.watched:
        return state is None
    waits = any(isinstance(step, Wait) for step in state.steps[state.done :])
    return state.phase is Phase.RESTORING or not waits


def settle_dead_rollouts(
    product: str, section: RolloutSection, doors: Doors, lease: Lease, *, going_back: bool = False
) -> str | None:
    """Put right what rollouts whose process died left behind; None when there was nothing.

    The lease shows that nobody works on them any more. A new release is wanted instead of them, so the champion gets
    all traffic back; without one they would be carried on (see `take_over`). Servers and routes that no rollout
    accounts for, and a route that other hands changed, are put right, too.

    `going_back`: a person wants the former champion, however far the candidate came. Nobody is asked before the traffic
    moves, and a registry that does not answer is told nothing.
    """
    live = [state for state in doors.journal.rollouts(product) if state.live]
    for state in live:
        check_place(state, doors)
    ended = [_ended(state, doors, lease, going_back) for state in live]
    if ended:
        return ended[-1]
    with told_of_way_back(product, None, doors):
        if retried_for_a_minute(lambda: is_restored(product, doors), doors):
            return None
        seen = retried_for_a_minute(lambda: restore(product, section, doors), doors)
    doors.journal.record(Event(product, "", doors.clock.now(), "traffic.repaired", {"seen": seen}))
    return seen


def _ended(state: RolloutState, doors: Doors, lease: Lease, going_back: bool) -> str:
    with told_of_way_back(state.product, state.former, doors):
        return _taken_back(state, doors, lease) if going_back else _end(state, doors, lease)


def _end(state: RolloutState, doors: Doors, lease: Lease) -> str:
    stays = retried_for_a_minute(lambda: is_crowned(state, doors), doors)
    if not stays:
        state = _given_up(state, doors, lease)
    seen = retried_for_a_minute(lambda: put_champion_back(state, doors), doors)
    return _over(_closed(state, stays, doors), seen, doors, lease)


def _taken_back(state: RolloutState, doors: Doors, lease: Lease) -> str:
    """A rollout before which nobody served has no way back, and ends as it would have anyway."""
    former = state.former
    if former is None:
        return _end(state, doors, lease)
    state = _given_up(state, doors, lease)
    seen = retried_for_a_minute(lambda: move_users_back(state, doors), doors, ON_THE_WAY_BACK)
    over = _closed(state, False, doors)
    try:
        retried_for_a_minute(lambda: restore_registry(state, doors), doors, ON_THE_WAY_BACK)
    except (RegistryUnreachable, DiskFull) as error:
        seen = unregistered_warning(former, error)
        over = replace(over, reason=f"{over.reason}; {seen}")
    return _over(over, seen, doors, lease)


def _over(over: RolloutState, seen: str, doors: Doors, lease: Lease) -> str:
    doors.journal.save(over, lease)
    note(over, f"rollout.{over.phase.value}", doors, seen=seen)
    return seen


def _given_up(state: RolloutState, doors: Doors, lease: Lease) -> RolloutState:
    """Users first; then the journal knows it, so that whoever must end this instead leads nobody to the candidate."""
    if state.phase is Phase.RESTORING:
        return state
    reason = "its process died, and another release was asked for"
    after = state.with_phase(Phase.RESTORING, reason, doors.clock.now())
    give_back(after, doors)
    doors.journal.save(after, lease)
    return after


def _closed(state: RolloutState, stays: bool, doors: Doors) -> RolloutState:
    now = doors.clock.now()
    if stays:
        reason = cause_of(state) or "its process died"
        return replace(state, phase=Phase.RUNNING).with_phase(Phase.DONE, reason, now)
    return state.with_phase(Phase.ROLLED_BACK, cause_of(state), now)
