"""What `explain` and `replay` say, for people and as JSON."""

from dataclasses import asdict
from typing import Any

from deployments import wiring
from deployments.analysis.verdict import Finding
from deployments.clock import SystemClock
from deployments.journals.protocol import Event
from deployments.plurals import counted
from deployments.rollout.state import RolloutState
from deployments.rollout.wait_conditions import waiting
from flows.entrypoints import console
from tasks.rollout_engine.explanation import Explanation, explain, find, replay

_LINES = 14  # of the timeline, so that all fits one screen


def explanation(product: str, rollout_id: str | None) -> Explanation:
    """The rollout as the journal knows it now. Raises `NotFound` when there is none."""
    return explain(product, rollout_id, wiring.journal(), SystemClock().now())


def explanation_report(found: Explanation) -> dict[str, Any]:
    """As JSON."""
    return {
        **state_report(found.state),
        "asked": {"steps": [str(step) for step in found.state.steps], "carries": found.state.carries},
        "carried_by": str(found.carrier) if found.carrier else None,
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


def state_report(state: RolloutState) -> dict[str, Any]:
    """Where a rollout is, as JSON; `step` counts from 1, and is null once it is over."""
    return {
        "product": state.product,
        "rollout": state.rollout_id,
        "candidate": state.candidate,
        "champion": state.former,
        "strategy": state.strategy,
        "phase": state.phase.value,
        "step": state.done + 1 if state.live and state.step else None,
        "of": len(state.steps),
        "doing": str(state.step or "finish") if state.live else None,
        "reason": state.reason,
        "waiting": found.document() if (found := waiting(state)) else None,
        "observed_seconds": state.observed.total_seconds(),
        "started_at": state.started_at,
        "updated_at": state.updated_at,
    }


def print_explanation(found: Explanation) -> None:
    """One screen for people, times in UTC."""
    state = found.state
    against = f"v{state.former}" if state.former else "nothing before it"
    carries = f", with the evidence of {state.carries}" if state.carries else ""
    console.line(f"{state.product}: v{state.candidate} by {state.strategy} against {against}{carries}")
    console.line(
        f"  asked    {state.started_at:%Y-%m-%d %H:%M:%S} UTC, rollout {state.rollout_id}, "
        f"{counted(len(state.steps), 'step')}"
    )
    console.line(f"  now      {where(state)}{_carrier(found)}")
    console.line("seen" if found.blocks else "seen: nothing yet")
    for finding in found.verdict.findings if found.blocks else ():
        console.line(f"  {mark(finding)} {finding.sentence}{' (dry run)' if finding.dry_run else ''}")
    if found.looked_at:
        looks = counted(len(found.blocks), "look")
        console.line(f"  → {found.verdict.ruling} by {looks}, the last {found.looked_at:%H:%M:%S} UTC")
    console.line("decided (times are UTC)")
    if (left_out := len(found.timeline) - _LINES) > 0:
        console.line(f"  … {left_out} earlier: `seatrial history {state.product}`")
    for event in found.timeline[-_LINES:]:
        console.line(f"  {event.at:%m-%d %H:%M:%S}  {event.kind.partition('.')[2]:<12} {_told(event)}"[:200])
    for sentence in found.needed:
        console.line(f"still needed: {sentence}")
    if wait := waiting(state):
        console.line(wait.sentence(SystemClock().now()))


def where(state: RolloutState) -> str:
    """Phase, step and reason in one line."""
    phase = state.phase.value.replace("_", " ")
    step = f", step {state.done + 1} of {len(state.steps)}: {state.step}" if state.live and state.step else ""
    return f"{phase}{step}{f' ({state.reason})' if state.reason else ''}"


def mark(finding: Finding) -> str:
    """One sign for what a metric says."""
    return "✗" if finding.is_harm else "✓" if finding.is_safe else "·"


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


def print_replay(report: dict[str, Any]) -> None:
    """One line a verdict."""
    console.line(f"{report['product']} v{report['candidate']}, rollout {report['rollout']} (times are UTC)")
    for each in report["verdicts"]:
        sign = "✓ identical" if each["identical"] else f"✗ now {each['now']} ({each['now_why']}), recorded"
        note = " [the hold was for a reason outside the counts; the findings are compared]" * each["from_outside"]
        looks = f"{counted(each['blocks'], 'look'):>11}"
        console.line(f"  {each['at']:%H:%M:%S}  {looks}  {sign}: {each['recorded']}: {each['why']}{note}")
    known = len(report["verdicts"])
    same = sum(each["identical"] for each in report["verdicts"])
    console.line(
        f"{same} of {counted(known, 'verdict')} identical" if known else "no verdict was recorded: nothing was judged"
    )


def _carrier(found: Explanation) -> str:
    if not found.state.live:
        return ""
    return f"; carried by process {found.carrier.pid}" if found.carrier else "; carried by nobody now"


def _told(event: Event) -> str:
    detail = event.detail
    if event.kind == "rollout.started":
        return f"{counted(len(detail.get('steps', ())), 'step')} planned"
    if event.kind == "rollout.judged":
        return f"{detail['ruling']}: {detail['why']}"
    if event.kind.startswith("order."):
        return " ".join(str(detail[name]) for name in ("who", "said", "why") if detail.get(name))
    told = [str(detail[name]) for name in ("step", "seen") if detail.get(name)]
    return ": ".join(told) or str(detail.get("reason", ""))
