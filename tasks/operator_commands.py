"""A person's word on a rollout: orders to the one under way, and which version is tried again."""

from prefect.cache_policies import NO_CACHE

from deployments import wiring
from deployments.clock import SystemClock
from deployments.rollout.operator_commands import Verb
from deployments.rollout.state import Phase
from tasks.asked_by import asked_by
from tasks.final_states import task
from tasks.operator_log import tell
from tasks.rollout_engine.champion import who_serves
from tasks.rollout_engine.command_submission import abort_under_way, place_order
from tasks.rollout_engine.retry_eligibility import Again, eligible_version
from tasks.run_context import Result, Run, address_of
from tasks.wait_progress import telling_of_order


@task(name="give order", task_run_name="{verb} {product}", cache_policy=NO_CACHE)
def give_order(product: str, verb: Verb, reason: str) -> str:
    """Give an order and wait until it was dealt with. Not repeated by itself: an order means what it means once."""
    journal = wiring.journal()
    clock = telling_of_order(product, journal, SystemClock())
    reply = place_order(product, verb, asked_by(), reason, journal, clock)
    tell("order.given", verb=verb, outcome=reply.sentence())
    return reply.sentence()


@task(name="end what is under way", task_run_name="end the rollout of {run.product}", cache_policy=NO_CACHE)
def end_under_way(run: Run, reason: str) -> Result | None:
    """End the product's rollout, if one is under way; None if none was.

    Idempotent: an order that was given already is not needed again once the rollout has ended. A rollout that nobody
    carries is left for `recover`, which puts the champion back. Raises `Busy` when it does not end.
    """
    journal = wiring.journal()
    clock = telling_of_order(run.product, journal, SystemClock())
    state = abort_under_way(run.product, asked_by(), reason, journal, clock)
    if state is None or state.phase is Phase.DONE:
        return None
    tell("rollout.ended", version=f"v{state.candidate}", reason=reason)
    served = f"v{state.former} serves as before" if state.former else "nothing is served, as before"
    return Result(
        product=run.product,
        version=state.former or state.candidate,
        former=state.candidate,
        started_at=run.started_at,
        ended_at=SystemClock().now(),
        address=address_of(run.product, state.section),
        outcome=f"the rollout of v{state.candidate} was ended; {served}",
    )


def version_to_retry(run: Run, wanted: int | None) -> Again:
    """Which version is tried again, and with which evidence. Raises `NotFound` when there is nothing to retry."""
    doors = wiring.doors(run.spec.rollout)
    versions, rollouts = doors.registry.versions(run.product), doors.journal.rollouts(run.product)
    return eligible_version(run.called or run.product, versions, rollouts, who_serves(run.product, doors), wanted)
