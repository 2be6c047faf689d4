"""One function a step that acts. Each says what shall be true afterwards, so that doing it twice does no harm."""

from typing import assert_never

from deployments.analysis.ab_winner import winner
from deployments.errors import NotFound, RolloutFailed, SeatrialError
from deployments.registry import DeploymentStatus
from deployments.rollout.state import RolloutState
from deployments.rollout.steps import Act, Conclude, Dismiss, Launch, Promote, Reinstate, Retire, Shift, Verify
from deployments.wiring import Doors
from tasks.rollout_engine.evidence_sources import gathered
from tasks.rollout_engine.server_launch import check_all_launched, launch, verify
from tasks.rollout_engine.traffic_shift import reapply_routing, retire, shift


def perform(step: Act, state: RolloutState, doors: Doors) -> str:  # noqa: PLR0911 - one line a step
    """Carry out one step of the rollout in `state`; returns what was seen, in a few words.

    Raises `NeverReady` or another `RolloutFailed` when it cannot be done; what it began is then for `restore` to clear.
    """
    product, section = state.product, state.section
    if isinstance(step, Promote | Reinstate | Retire):
        reapply_routing(product, state.split, doors)
    if _rests_on_candidate(step, state.candidate):
        check_all_launched(product, state.candidate, section, doors)
    match step:
        case Launch(version, replicas):
            return launch(product, version, replicas, section, doors)
        case Verify(version):
            return verify(product, version, doors)
        case Shift():
            return shift(product, step, doors)
        case Conclude():
            return conclude_comparison(step, state, doors)
        case Promote(version):
            doors.registry.promote(product, version, doors.clock.now(), state.former)
            return f"v{version} is champion"
        case Reinstate(version):
            return reinstate(version, state, doors)
        case Dismiss(version):
            dismiss_challenger(product, version, DeploymentStatus.REGISTERED, doors)
            return f"v{version} stays in the registry"
        case Retire(version):
            return retire(product, version, section, doors)
        case _:
            assert_never(step)


def reinstate(version: int, state: RolloutState, doors: Doors) -> str:
    """The registry calls `version` champion again; where it does not know it any more, who serves is no less true."""
    try:
        doors.registry.reinstate(state.product, version, doors.clock.now(), state.former)
    except NotFound as error:
        return unregistered_warning(version, error)
    return f"v{version} is champion again"


def unregistered_warning(version: int, error: SeatrialError) -> str:
    """What is told of a version that serves again without the registry's knowing; `seatrial repair` tells it."""
    return f"v{version} serves again, and the registry cannot say so ({error})"


def _rests_on_candidate(step: Act, candidate: int) -> bool:
    """Whether only the candidate answers from this step on, or nobody else could take its place after it."""
    match step:
        case Shift(weights):
            return weights.of(candidate) == 100
        case Retire(version):
            return version != candidate
        case _:
            return isinstance(step, Promote | Reinstate)


def conclude_comparison(step: Conclude, state: RolloutState, doors: Doors) -> str:
    """Who won, by all evidence. Raises `RolloutFailed` if the candidate had to win and did not."""
    blocks = gathered(state, doors.journal)
    best = winner(blocks, state.section.analysis)
    found = {"candidate": f"v{step.version} won", "stable": f"v{state.former} won", None: "neither won"}[best]
    if step.winner_only and best != "candidate":
        raise RolloutFailed(f"{state.product}: {found}; `seatrial explain {state.product}` shows the comparison")
    return found


def dismiss_challenger(product: str, version: int, status: DeploymentStatus, doors: Doors) -> None:
    """`version` is challenger no more, and gets `status`; nothing happens if it is not the challenger."""
    challenger = doors.registry.challenger(product)
    if challenger is not None and challenger.version == version:
        # In this order: once it is challenger no more, nobody comes back for the status.
        doors.registry.set_status(product, version, status)
        doors.registry.set_challenger(product, None)
