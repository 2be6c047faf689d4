"""What `explain` and `replay` say for people."""

from typing import Any

from deployments.analysis.verdict import Finding
from deployments.clock import SystemClock
from deployments.journals.protocol import Event
from deployments.plurals import counted
from deployments.rollout.wait_conditions import waiting
from flows.entrypoints import console
from flows.reports.rollout import where
from tasks.rollout_engine.explanation import Explanation

_LINES = 14  # of the timeline, so that all fits one screen


def print_explanation(found: Explanation) -> None:
    """One screen for people, times in UTC."""
    state = found.state
    against = f"against v{state.former}" if state.former else "as the first version"
    carries = f", with the evidence of {state.carries}" if state.carries else ""
    console.line(f"{state.product}: v{state.candidate} by {state.strategy} {against}{carries}")
    console.line(
        f"  asked    {state.started_at:%Y-%m-%d %H:%M:%S} UTC, rollout {state.rollout_id}, "
        f"{counted(len(state.steps), 'step')}"
    )
    console.line(f"  now      {where(state)}{_carrier(found)}")
    console.line("seen" if found.blocks else "seen: nothing yet")
    for finding in found.verdict.findings if found.blocks else ():
        console.line(f"  {mark(finding)} {finding.sentence}")
    if found.looked_at:
        looks = counted(len(found.blocks), "look")
        console.line(f"  → {found.verdict.ruling} after {looks}, the last {found.looked_at:%H:%M:%S} UTC")
    console.line("decided (times are UTC)")
    if (left_out := len(found.timeline) - _LINES) > 0:
        console.line(f"  … {left_out} earlier: `seatrial history {state.product}`")
    for event in found.timeline[-_LINES:]:
        console.line(f"  {event.at:%m-%d %H:%M:%S}  {event.kind.partition('.')[2]:<12} {_told(event)}"[:200])
    for sentence in found.needed:
        console.line(f"still needed: {sentence}")
    if wait := waiting(state):
        console.line(wait.sentence(SystemClock().now()))


def mark(finding: Finding) -> str:
    """One sign for what a metric says."""
    return "✗" if finding.is_harm else "✓" if finding.is_safe else "·"


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
