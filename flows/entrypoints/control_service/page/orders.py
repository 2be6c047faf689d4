"""Every order that the page offers: who may, when it means something, and what will come of it, before it is given."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from deployments.access_control.principal import Principal
from deployments.access_control.roles import Permission
from deployments.rollout.operator_commands import Verb
from deployments.rollout.state import Phase, RolloutState
from deployments.rollout.steps import Approve
from deployments.rollout.wait_conditions import takes
from flows.entrypoints.control_service.page.wording import step_in_words

RELEASE: Final = "release"
RETRY: Final = "retry"
ROLLBACK: Final = "rollback"
RUNS: Final = (RELEASE, RETRY, ROLLBACK)
_MAY: Final[Mapping[str, Permission]] = {
    Verb.APPROVE: Permission.APPROVE,
    Verb.RESUME: Permission.ORDER,
    Verb.PAUSE: Permission.ORDER,
    Verb.SKIP: Permission.APPROVE,
    RELEASE: Permission.ORDER,
    RETRY: Permission.ORDER,
    Verb.PROMOTE: Permission.APPROVE,
    Verb.ABORT: Permission.ORDER,
    ROLLBACK: Permission.ORDER,
}
ORDERS: Final = tuple(_MAY)
_LABELS: Final[Mapping[str, str]] = {
    Verb.APPROVE: "Approve",
    Verb.SKIP: "Skip this step",
    Verb.PROMOTE: "Promote now",
    Verb.PAUSE: "Pause",
    Verb.RESUME: "Resume",
    Verb.ABORT: "Abort",
    RELEASE: "Release",
    RETRY: "Retry",
    ROLLBACK: "Roll back",
}
_DANGEROUS: Final = frozenset({Verb.ABORT, Verb.PROMOTE, ROLLBACK})


@dataclass(frozen=True, slots=True)
class Offer:
    """One order that may be given now. `weight` is `main`, `danger` or empty."""

    name: str
    label: str
    weight: str


def permission_of(order: str) -> Permission:
    """What whoever gives it must be permitted."""
    return _MAY[order]


def offers(report: Mapping[str, Any], state: RolloutState | None, principal: Principal) -> list[Offer]:
    """What `principal` may order of a product now, in the order of the table."""
    product = str(report["product"])
    return [
        Offer(
            name,
            _LABELS[name],
            "main" if name in {Verb.APPROVE, Verb.RESUME} else "danger" if name in _DANGEROUS else "",
        )
        for name in ORDERS
        if principal.may(permission_of(name), product) and means_something(name, report, state)
    ]


def means_something(order: str, report: Mapping[str, Any], state: RolloutState | None) -> bool:
    """Whether the order can be given now: a rollout takes it, or a run of that kind can be started."""
    if order in RUNS:
        if not report["has_spec"]:
            return False
        return order == RELEASE or (state is not None and (order == ROLLBACK or not state.live))
    if state is None or not state.live:
        return False
    verb = Verb(order)
    if verb is Verb.PAUSE and state.phase is Phase.PAUSED:
        return False
    if verb is Verb.SKIP and isinstance(state.step, Approve):
        return False  # approve is the word for it
    return takes(state, verb)


def label_of(order: str) -> str:
    """What stands on its button."""
    return _LABELS[order]


def consequences(order: str, report: Mapping[str, Any], state: RolloutState | None) -> list[str]:
    """What will happen, one sentence each."""
    if order in RUNS or state is None:
        return _of_run(order, str(report["product"]), report, state)
    candidate, former = f"v{state.candidate}", f"v{state.former}" if state.former is not None else "nobody"
    following = state.steps[state.done + 1] if state.done + 1 < len(state.steps) else None
    after = f"Next comes: {step_in_words(following)}." if following is not None else "The rollout is done then."
    split = str(state.split.weights) if state.split is not None else "as it is"
    question = state.step.question if isinstance(state.step, Approve) else ""
    step = step_in_words(state.step) if state.step is not None else "nothing"
    told: Mapping[Verb, list[str]] = {
        Verb.APPROVE: [f"You say yes to: {question}", after],
        Verb.SKIP: [
            f"The present step ends without what it waits for: {step}.",
            after,
            "Harm still rolls back.",
        ],
        Verb.PROMOTE: [
            f"All traffic goes to {candidate} now; the servers of {former} are kept until the bake is over.",
            "What is still to be watched or approved is left out; the bake is still watched, and harm rolls back.",
        ],
        Verb.PAUSE: [
            f"The split stays as it is: {split}.",
            f"{candidate} is still watched, and harm still rolls back.",
            "Nothing goes on until somebody resumes it.",
        ],
        Verb.RESUME: ["The rollout goes on at the step where it was.", "The deadline of this step counts anew."],
        Verb.ABORT: [
            f"All traffic goes back to {former} at once, and the servers of {candidate} are ended.",
            f"The rollout of {candidate} ends as rolled back; it can be retried later.",
        ],
    }
    return told[Verb(order)]


def _of_run(order: str, product: str, report: Mapping[str, Any], state: RolloutState | None) -> list[str]:
    live = state is not None and state.live
    if order == RELEASE:
        told = [
            f"A run starts in Prefect: {product} is trained on its newest data, validated, and judged by its gate.",
            "What is good enough is rolled out as the spec says; what is not is refused, and nothing changes.",
        ]
        if live:
            told.append("A rollout is under way: the spec's rule for a second one decides which of them waits or ends.")
        return told
    if order == RETRY:
        return [
            "A version that is registered already is rolled out again, without training.",
            "Evidence that there is on it counts, so what was proved harmful is refused.",
        ]
    champion = report["champion"]
    told = [f"A former version gets all traffic{f', and v{champion} goes' if champion else ''}, without a canary."]
    if live and state is not None:
        told = [f"The rollout of v{state.candidate} under way is ended, and its champion has all traffic."]
    return told
