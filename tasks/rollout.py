"""The steps of a rollout as tasks: the only place where traffic is moved."""

from prefect import task
from prefect.cache_policies import NO_CACHE

from deployments import wiring
from deployments.errors import NotFound
from deployments.rollout.state import RolloutState
from deployments.settings import current
from deployments.strategies.plan import Goal
from tasks import retries
from tasks.events import tell
from tasks.models.record import close_abandoned_runs
from tasks.product import Result, Run
from tasks.rollouts import executor


@task(name="recover", task_run_name="recover {run.product}", cache_policy=NO_CACHE, **retries.PROCESS)
def recover(run: Run) -> None:
    """Put right what a run that died left behind: traffic back to the champion, MLflow runs closed. Idempotent."""
    doors = wiring.doors()
    lease = executor.hold(run.product, doors, run.spec.rollout)
    try:
        seen = executor.settle(run.product, run.spec.rollout, doors, lease)
    finally:
        doors.journal.release(lease)
    if seen:
        tell("rollout.recovered", seen=seen)
    if closed := close_abandoned_runs(run.product, current()):
        tell("runs.closed", count=len(closed))


@task(name="plan", task_run_name="plan {run.product} v{version}", cache_policy=NO_CACHE, **retries.PROCESS)
def begin_rollout(run: Run, version: int, goal: Goal) -> RolloutState:
    """Write the plan to the journal. Idempotent: an unfinished rollout of a dead process is put right first."""
    section = run.spec.rollout
    order = executor.Order(run.run_id, run.product, version, section, section.strategy, goal)
    state = executor.begin(order, wiring.doors())
    tell("rollout.planned", version=f"v{version}", strategy=state.strategy, steps=len(state.steps))
    return state


@task(name="step", cache_policy=NO_CACHE, **retries.PROCESS)
def take_step(run: Run, state: RolloutState) -> RolloutState:
    """Carry out what the state calls for. Idempotent: every step says what shall be true afterwards."""
    step = next_step(state)
    after = executor.advance(state, run.spec.rollout, wiring.doors())
    tell(
        f"rollout.{after.phase}" if not after.live else "rollout.step",
        step=step if after.live else "",
        reason=after.reason,
    )
    return after


@task(name="give up", cache_policy=NO_CACHE, **retries.PROCESS)
def give_up(state: RolloutState, error: BaseException) -> RolloutState:
    """From here on the champion is put back."""
    after = executor.give_up(state, executor.explain(error), wiring.doors())
    tell("rollout.given_up", reason=after.reason)
    return after


def next_step(state: RolloutState) -> str:
    """What `take_step` will do, in words, for the name of its task run."""
    return str(state.steps[state.done]) if state.done < len(state.steps) else "finish"


def former_version(run: Run, wanted: int | None) -> int:
    """The version that a rollback goes to. Raises `NotFound` when it never was champion, or is it now."""
    registry = wiring.registry()
    champion = registry.champion(run.product)
    if champion is None:
        raise NotFound(f"{run.product} has no champion: release it first")
    if wanted is None:
        previous = registry.previous(run.product)
        if previous is None:
            raise NotFound(
                f"{run.product} v{champion.version} replaced nobody: name a version with --to, or release a new one"
            )
        return previous.version
    if wanted == champion.version:
        raise NotFound(f"{run.product} v{wanted} is the champion already: nothing to roll back")
    version = registry.get(run.product, wanted)
    if version.deployed_at is None:
        raise NotFound(f"{version.name} never was champion ({version.status}): name one that was, or release anew")
    return version.version


def result_of(run: Run, state: RolloutState) -> Result:
    """What the run ended with. Raises `RolloutFailed` for a rollout that was given up."""
    from deployments.platform.addresses import read_addresses

    done = executor.outcome(state)
    address = f"{read_addresses(current()).url('gateway')}/{run.product}/invocations"
    return Result(run.product, done.candidate, done.former, (done.updated_at - run.started_at).total_seconds(), address)
