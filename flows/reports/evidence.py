"""What the evidence on a candidate says, as JSON. Reaching a verdict takes numpy and SciPy."""

from dataclasses import asdict
from typing import Any, Final

from deployments import wiring
from deployments.analysis.judge import judge
from deployments.clock import SystemClock
from deployments.rollout.wait_conditions import waiting
from flows.reports.rollout import state_report
from tasks.rollout_engine.explanation import Explanation, explain, find, replay

# Of a long rollout the evidence is told at so many looks.
MOST_POINTS: Final = 60
_MOST_ROLLOUTS: Final = 100
# By rollout and by the number of looks: metric, e-value against harm, e-value for safety.
_POINTS: Final[dict[str, dict[int, tuple[tuple[str, float, float | None], ...]]]] = {}


def explanation(product: str, rollout_id: str | None) -> Explanation:
    """The rollout as the journal knows it now. Raises `NotFound` when there is none."""
    return explain(product, rollout_id, wiring.journal(), SystemClock().now())


def evidence_report(product: str, rollout_id: str | None) -> dict[str, Any]:
    """`explanation_report`, with the evidence look by look.

    `series`: of each metric when it was looked at, its e-value against harm, and its e-value for safety (null where
    none is needed); the boundaries are those of `findings`. Raises `NotFound`.
    """
    found = explanation(product, rollout_id)
    return explanation_report(found) | {"series": _series(found)}


def _series(found: Explanation) -> dict[str, list[dict[str, Any]]]:
    """A verdict is reached anew only over looks that were not there the last time."""
    known = _POINTS.setdefault(found.state.rollout_id, {})
    blocks, rules = found.blocks, found.state.section.analysis
    step = max(1, len(blocks) // MOST_POINTS)
    for number in {*range(step, len(blocks) + 1, step), len(blocks)} - {0}:
        if number not in known:
            known[number] = tuple(
                (finding.metric, finding.harm, finding.safe) for finding in judge(blocks[:number], rules).findings
            )
    while len(_POINTS) > _MOST_ROLLOUTS:
        _POINTS.pop(next(iter(_POINTS)))
    series: dict[str, list[dict[str, Any]]] = {}
    for number in sorted(number for number in known if number <= len(blocks)):
        for metric, harm, safe in known[number]:
            series.setdefault(metric, []).append({"at": blocks[number - 1].end, "harm": harm, "safe": safe})
    return series


def explanation_report(found: Explanation) -> dict[str, Any]:
    """As JSON."""
    wait = waiting(found.state)
    return {
        **state_report(found.state),
        "asked": {"steps": [str(step) for step in found.state.steps], "carries": found.state.carries},
        "carried_by": str(found.carrier) if found.carrier else None,
        "sentence": wait.sentence(SystemClock().now()) if wait else "",
        "looked_at": found.looked_at,
        "blocks": len(found.blocks),
        "ruling": found.verdict.ruling.value,
        "why": found.verdict.reason,
        "findings": [asdict(finding) | {"is_harm": finding.is_harm} for finding in found.verdict.findings],
        "timeline": [{"at": event.at, "event": event.kind, **event.detail} for event in found.timeline],
        "orders": [
            {"at": order.at, "verb": order.verb.value, "who": order.who, "reason": order.reason}
            for order in found.orders
        ],
        "needed": list(found.needed),
    }


def replay_report(product: str, rollout_id: str | None) -> dict[str, Any]:
    """Every verdict of a rollout beside the one that its counts give now. Raises `NotFound` when there is none."""
    journal = wiring.journal()
    state = find(product, rollout_id, journal)
    verdicts = replay(state, journal)
    return {
        "product": product,
        "rollout": state.rollout_id,
        "candidate": state.candidate,
        "identical": all(each.identical for each in verdicts),
        "verdicts": [
            {
                "at": each.at,
                "blocks": each.blocks,
                "recorded": each.recorded.value,
                "why": each.why,
                "now": each.now.ruling.value,
                "now_why": each.now.reason,
                "from_outside": each.from_outside,
                "identical": each.identical,
            }
            for each in verdicts
        ],
    }
