"""The steps of a rollout as tasks: the only place where traffic is moved."""

import traceback
from contextlib import suppress
from dataclasses import replace

from prefect.cache_policies import NO_CACHE
from prefect.runtime import task_run

from deployments import wiring
from deployments.analysis.verdict import Verdict
from deployments.errors import Busy, NotFound, SeatrialError
from deployments.rollout.state import Phase, RolloutState
from deployments.rollout.steps import Wait
from deployments.settings import current
from deployments.strategies.plan import Goal
from deployments.wiring import Doors
from tasks import retry_policies
from tasks.decision_log import died_silently
from tasks.final_states import task
from tasks.models.tracking import close_abandoned_runs
from tasks.operator_log import tell
from tasks.prefect_artifacts import leave_evidence
from tasks.prefect_runs import cancellation, close_dead_run, is_of_prefect, name_present_run, with_timeout
from tasks.rollout_engine.abandonment import give_up_for
from tasks.rollout_engine.carrier import Carrier
from tasks.rollout_engine.emergency_rollback import give_back
from tasks.rollout_engine.local_rollouts import remember_state, remembered_state
from tasks.rollout_engine.product_removal import is_off_the_air
from tasks.rollout_engine.progress import progress_in_words, what_is_new
from tasks.rollout_engine.reasons import explain, outcome
from tasks.rollout_engine.rollback_target import rollback_target
from tasks.rollout_engine.takeover import Wish, begin, is_carried_here, settle_before_release, take_over
from tasks.rollout_engine.wait_reminders import Reminder, SpeakingClock
from tasks.run_context import Result, Run, address_of
from tasks.signals import error_chain
from tasks.wait_progress import Speaker, telling_of_queue


@task(name="recover", task_run_name="recover {run.product}", cache_policy=NO_CACHE, **retry_policies.PROCESS)
def recover(run: Run, going_back: bool = False) -> str | None:
    """Put right what a run that died left behind: traffic back to the champion, MLflow runs closed. Idempotent.

    `going_back`: to the former champion, however far the candidate came; MLflow's runs are left for
    `close_runs_left_open`, for one that hangs would keep users waiting. Returns what was seen, None if nothing was.
    Raises `Busy` where another rollout is under way and the spec rejects a second one.
    """
    doors = telling_of_queue(run.product, run.run_id, wiring.doors(run.spec.rollout))
    seen = settle_before_release(run.product, run.spec.rollout, doors, going_back=going_back)
    if seen:
        tell("rollout.recovered", seen=seen)
    for died in died_silently(run.product, doors.journal):
        close_dead_run(died)
    if not going_back:
        close_runs_left_open(run)
    return seen


def off_the_air(run: Run) -> bool:
    """Whether the product was removed: then `recover` brings its champion back, which a command that fails must not.

    The journal is asked only where no users wait, who have no route; false where that cannot be told.
    """
    doors = wiring.doors(run.spec.rollout)
    with suppress(SeatrialError):
        return doors.router.read(run.product) is None and is_off_the_air(run.product, doors.journal)
    return False


def close_runs_left_open(run: Run) -> None:
    """Close the MLflow runs of processes that died; where MLflow does not answer, that is told and no failure."""
    try:
        closed = close_abandoned_runs(run.product, current())
    except SeatrialError as error:
        # What MLflow says of old runs must not keep anybody from going back, nor a release from trying.
        tell("runs.left_open", reason=str(error))
    else:
        if closed:
            tell("runs.closed", count=len(closed))


@task(name="plan", task_run_name="plan {run.product} v{version}", cache_policy=NO_CACHE, **retry_policies.PROCESS)
def begin_rollout(run: Run, version: int, goal: Goal, carries: str | None = None) -> RolloutState:
    """Write the plan to the journal. Idempotent: an unfinished rollout of a dead process is put right first.

    `carries` names the rollout whose evidence on this version counts again, None for none.
    """
    section = run.spec.rollout
    wish = Wish(run.run_id, run.product, version, section, section.strategy, goal, carries)
    doors = telling_of_queue(run.product, run.run_id, wiring.doors(section))
    state = remember_state(begin(wish, doors, stop=cancellation(run.run_id)))
    tell("rollout.planned", version=f"v{version}", strategy=state.strategy, steps=len(state.steps))
    return state


@task(name="step", cache_policy=NO_CACHE, **retry_policies.STEP)
def take_step(state: RolloutState) -> RolloutState:
    """Carry out what the state calls for; an observation is carried to its end.

    Idempotent: every step says what shall be true afterwards, and the journal knows how far it is.
    """
    doors = wiring.doors(state.section)
    now, delayed, reminder = _where_it_is(state, doors), "", Reminder()
    speaker = Speaker(doors.clock, now)
    carrier = Carrier(replace(doors, clock=SpeakingClock(doors.clock, speaker.speak)), cancellation(state.rollout_id))
    try:
        while now.live and (now.done, now.steps) == (state.done, state.steps) and now.phase is not Phase.DONE:
            before, now = now, remember_state(carrier.advance(now))
            speaker.state = now
            if carrier.delayed and carrier.delayed != delayed:
                delayed = carrier.delayed
                tell("rollout.delayed", step=next_step(before), why=delayed)
            if not now.watched:
                if before.phase is not now.phase or before.done != now.done:
                    break
            elif before.done == now.done:
                blocks = carrier.watcher.evidence or ()
                if reminder.due(what_is_new(now, blocks), doors.clock.monotonic()):
                    tell("rollout.watched", phase=now.phase, seen=progress_in_words(now, blocks))
            if (now.done, now.steps) == (state.done, state.steps):
                speaker.speak()
    except BaseException as error:
        if not isinstance(error, Exception):
            carrier.leave(now, explain(error))
        raise
    finally:
        speaker.fall_silent()
    _tell_of(state, now)
    if carrier.watcher.verdict is not None:
        _leave_evidence(now, next_step(state), carrier.watcher.verdict)
    return now


def _where_it_is(state: RolloutState, doors: Doors) -> RolloutState:
    """By the journal; as given while that is away, or has not been told yet that the champion is put back."""
    try:
        written = doors.journal.rollout(state.product, state.rollout_id)
    except NotFound:
        raise
    except SeatrialError:
        return state
    return state if written.live and state.phase is Phase.RESTORING else written


def _leave_evidence(state: RolloutState, step: str, verdict: Verdict) -> None:
    """For Prefect's pages; without Prefect there are none."""
    if task_run.id is None:
        return
    try:
        with_timeout(lambda: leave_evidence(state, step, verdict))
    except Exception as error:
        if not is_of_prefect(error):
            raise


def carry_on_without_prefect(state: RolloutState) -> RolloutState:
    """What `take_step` does, again and again to the end of the rollout, while Prefect is away."""
    while state.live:
        state = take_step.fn(state)
    return state


def _doors_of(product: str, rollout_id: str) -> Doors:
    """The doors to where that rollout's servers run."""
    return wiring.doors(wiring.journal().rollout(product, rollout_id).section)


def _tell_of(state: RolloutState, now: RolloutState) -> None:
    waited = isinstance(state.step, Wait)
    if now.live and now.phase is not Phase.RESTORING:
        tell("rollout.step", step=next_step(state), reason=now.reason if waited else "")
    else:
        tell(f"rollout.{now.phase}", step=next_step(state) if now.live else "", reason=now.reason)


def abandon(product: str, rollout_id: str, error: BaseException) -> RolloutState | None:
    """From here on the champion is put back; None where this process does not carry the rollout (any more).

    If only clearing up was left that is tried once more. Users are given back before anything else, and neither Prefect
    nor the journal is asked before: this is no task, and while the journal is away the rollout is where this process
    left it.
    """
    # What was interrupted in MLflow's database keeps it locked for as long as its frames live.
    for each in error_chain(error):
        traceback.clear_frames(each.__traceback__)
    known = None if isinstance(error, Busy) else remembered_state(rollout_id)
    if known is not None:
        _users_first(known, error)
    found = _carried(product, rollout_id, known)
    if found is None:
        return None
    state, doors = found
    after = remember_state(give_up_for(error, state, doors.as_last_held(product)))
    tell("rollout.given_up" if after.phase is Phase.RESTORING else "rollout.tried_again", reason=explain(error))
    return after


def _users_first(known: RolloutState, error: BaseException) -> None:
    """The champion's users are back before the journal is asked: one that hangs keeps whoever asks for half a minute.

    Of a candidate that has arrived they are not taken away by a failure.
    """
    if known.live and not known.decided:
        reason = known.reason if known.phase is Phase.RESTORING else explain(error)
        with suppress(SeatrialError):
            give_back(replace(known, reason=reason), wiring.doors(known.section).as_last_held(known.product))


def ended_rollout(product: str, rollout_id: str) -> RolloutState | None:
    """The rollout, if it is over; None otherwise."""
    try:
        state = wiring.journal().rollout(product, rollout_id)
    except SeatrialError:
        return None
    return None if state.live else state


def _carried(product: str, rollout_id: str, known: RolloutState | None) -> tuple[RolloutState, Doors] | None:
    """Where the rollout is that this process carries, and its doors; while the journal is away it is as `known`."""
    try:
        doors = _doors_of(product, rollout_id)
        state = is_carried_here(product, rollout_id, doors)
    except NotFound:
        return None
    except SeatrialError:
        if known is None or not known.live:
            return None
        return known, wiring.doors(known.section)
    if state is None:
        return None
    return (known if known is not None and known.phase is Phase.RESTORING else state), doors


@task(name="open", task_run_name="open the rollout of {product}", cache_policy=NO_CACHE, **retry_policies.PROCESS)
def resume_rollout(product: str, rollout_id: str) -> RolloutState:
    """Carry on with a rollout: one that this process began, or one whose process is gone.

    Raises `Busy` while somebody else carries it, `NotFound` for none.
    """
    doors = _doors_of(product, rollout_id)
    ours = is_carried_here(product, rollout_id, doors) is not None
    state = remember_state(take_over(doors.journal.rollout(product, rollout_id), doors))
    name_present_run(f"{product} v{state.candidate} rollout")
    if not ours:
        close_dead_run(rollout_id)
        tell("rollout.taken_over", version=f"v{state.candidate}", phase=state.phase, step=next_step(state))
    return state


def next_step(state: RolloutState) -> str:
    """What `take_step` will do, in words, for the name of its task run."""
    if state.phase is Phase.RESTORING:
        return "put the champion back"
    return str(state.step or "finish")


def former_version(run: Run, wanted: int | None) -> int:
    """The version that a rollback goes to. Raises `NotFound` when it never was champion, or is it now."""
    return rollback_target(run.product, wanted, wiring.doors(run.spec.rollout), run.called)


def result_of(state: RolloutState) -> Result:
    """What the run ended with. Raises `RolloutFailed` for a rollout that was given up."""
    done, address = outcome(state), address_of(state.product, state.section)
    return Result(state.product, done.candidate, done.former, done.started_at, done.updated_at, address, done.reason)
