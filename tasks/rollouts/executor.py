"""A rollout from its first intent to its end; any of these functions may be called again after a crash."""

from dataclasses import dataclass
from datetime import timedelta

from deployments.errors import RolloutFailed, SeatrialError
from deployments.journals.protocol import Event, Lease
from deployments.owner import this_process
from deployments.registry import DeploymentStatus
from deployments.rollout.decide import Finish, Nothing, Perform, Restore, decide
from deployments.rollout.state import Phase, RolloutState
from deployments.spec import RolloutSection, Strategy
from deployments.strategies.plan import Goal, plan
from deployments.wiring import Doors
from tasks.rollouts.perform import perform, restore

# Beside what a spec lets one step wait for; renewed with every step.
LEASE = timedelta(minutes=10)


@dataclass(frozen=True, slots=True)
class Order:
    """What is wanted: bring `candidate` of `product` to all traffic. `rollout_id` is the id of the run that asks."""

    rollout_id: str
    product: str
    candidate: int
    section: RolloutSection
    strategy: Strategy
    goal: Goal


def begin(order: Order, doors: Doors) -> RolloutState:
    """Take the lease, put right what a dead rollout left, and write the plan. Nothing has moved for this rollout yet.

    Raises `Busy` while another rollout of the product is under way, `BadInput` for a strategy that is not there.
    """
    plan(order.strategy, order.goal, order.candidate, (), order.section.replicas)  # refuses before anything moves
    lease = hold(order.product, doors, order.section)
    settle(order.product, order.section, doors, lease)
    champion = doors.registry.champion(order.product)
    running = doors.target.versions(order.product)
    now = doors.clock.now()
    state = RolloutState(
        rollout_id=order.rollout_id,
        product=order.product,
        candidate=order.candidate,
        former=champion.version if champion else None,
        strategy=order.strategy.value,
        steps=plan(order.strategy, order.goal, order.candidate, running, order.section.replicas),
        done=0,
        phase=Phase.RUNNING,
        reason="",
        started_at=now,
        updated_at=now,
    )
    doors.journal.save(state, lease)
    if order.goal is Goal.PROMOTE:
        doors.registry.set_challenger(order.product, order.candidate)
        doors.registry.set_status(order.product, order.candidate, DeploymentStatus.DEPLOYING)
    note(state, "rollout.started", doors, steps=[str(step) for step in state.steps], former=state.former)
    return state


def advance(state: RolloutState, section: RolloutSection, doors: Doors) -> RolloutState:
    """Carry out the one thing that `state` calls for, and write down how it went; nothing for a finished rollout."""
    lease = hold(state.product, doors, section)
    match decide(state):
        case Perform(position):
            step = state.steps[position]
            note(state, "step.intended", doors, step=str(step))
            seen = perform(step, state.product, section, doors)
            state = state.with_step_done(doors.clock.now())
            note(state, "step.done", doors, step=str(step), seen=seen)
        case Finish():
            state = state.with_phase(Phase.DONE, f"v{state.candidate} serves all traffic", doors.clock.now())
            note(state, "rollout.done", doors)
        case Restore():
            _undo_promotion(state, doors)
            seen = restore(state.product, section, doors)
            _dismiss(state, doors)
            state = state.with_phase(Phase.ROLLED_BACK, state.reason, doors.clock.now())
            note(state, "rollout.rolled_back", doors, seen=seen)
        case Nothing():
            return state
    doors.journal.save(state, lease)
    if not state.live:
        doors.journal.release(lease)
    return state


def _dismiss(state: RolloutState, doors: Doors) -> None:
    """The candidate is no challenger any more; one that never was champion is marked refused."""
    challenger = doors.registry.challenger(state.product)
    if challenger is not None and challenger.version == state.candidate:
        doors.registry.set_challenger(state.product, None)
        doors.registry.set_status(state.product, state.candidate, DeploymentStatus.REFUSED)


def _undo_promotion(state: RolloutState, doors: Doors) -> None:
    champion = doors.registry.champion(state.product)
    if state.former is not None and champion is not None and champion.version == state.candidate:
        doors.registry.reinstate(state.product, state.former, doors.clock.now())


def give_up(state: RolloutState, reason: str, doors: Doors) -> RolloutState:
    """From here on the rollout only puts the champion back. A rollout that is over is returned as it is."""
    if not state.live or state.phase is Phase.RESTORING:
        return state
    lease = hold(state.product, doors)
    state = state.with_phase(Phase.RESTORING, reason, doors.clock.now())
    doors.journal.save(state, lease)
    note(state, "rollout.given_up", doors)
    return state


def settle(product: str, section: RolloutSection, doors: Doors, lease: Lease) -> str | None:
    """Put right what rollouts whose process died left behind; None when there was nothing.

    The lease shows that nobody works on them any more, so the champion gets all traffic back.
    """
    dead = [state for state in doors.journal.rollouts(product) if state.live]
    if not dead:
        return None
    seen = restore(product, section, doors)
    champion = doors.registry.champion(product)
    for state in dead:
        arrived = state.phase is Phase.RUNNING and champion is not None and champion.version == state.candidate
        if not arrived:
            _dismiss(state, doors)
        over = state.with_phase(
            Phase.DONE if arrived else Phase.ABANDONED, state.reason or "its process died", doors.clock.now()
        )
        doors.journal.save(over, lease)
        note(over, f"rollout.{over.phase.value}", doors, seen=seen)
    return seen


def hold(product: str, doors: Doors, section: RolloutSection | None = None) -> Lease:
    """The lease on the product for this process; renewed if it has it already.

    It outlasts whatever `section` lets one step wait for; None: the step that follows waits for nothing.
    """
    waits = section.ready_timeout + 2 * section.drain_timeout if section else timedelta(0)
    return doors.journal.acquire(product, this_process(), doors.clock.now(), LEASE + waits)


def note(state: RolloutState, kind: str, doors: Doors, **detail: object) -> None:
    """Append to the product's history."""
    facts = {"candidate": state.candidate, "reason": state.reason} | detail
    doors.journal.record(Event(state.product, state.rollout_id, doors.clock.now(), kind, facts))


def outcome(state: RolloutState) -> RolloutState:
    """The state of a rollout that succeeded; `RolloutFailed` with its reason for one that did not."""
    if state.phase is Phase.DONE:
        return state
    raise RolloutFailed(
        f"{state.product} v{state.candidate} was not rolled out: {state.reason}. "
        f"{f'v{state.former} serves as before' if state.former else 'Nothing is served, as before'}."
    )


def explain(error: BaseException) -> str:
    """Why a step was given up, in one line for the journal."""
    return str(error) if isinstance(error, SeatrialError) else f"{type(error).__name__}: {error}".rstrip(": ")
