"""What the evidence on a candidate says, as JSON. Reaching a verdict takes numpy and SciPy."""

from dataclasses import asdict
from typing import Any

from deployments import wiring
from deployments.clock import SystemClock
from deployments.rollout.wait_conditions import waiting
from flows.reports.rollout import state_report
from tasks.rollout_engine.explanation import Explanation, explain, find, replay


def explanation(product: str, rollout_id: str | None) -> Explanation:
    """The rollout as the journal knows it now. Raises `NotFound` when there is none."""
    return explain(product, rollout_id, wiring.journal(), SystemClock().now())


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
