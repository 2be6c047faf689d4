"""Writing what happened to a rollout into its product's history."""

from dataclasses import asdict

from deployments.analysis.verdict import Verdict
from deployments.journals.protocol import Event
from deployments.rollout.state import RolloutState
from deployments.wiring import Doors
from tasks.rollout_engine.evidence_sources import own


def note(state: RolloutState, kind: str, doors: Doors, **detail: object) -> None:
    """Append to the product's history."""
    facts = {"candidate": state.candidate, "phase": state.phase.value, "reason": state.reason} | detail
    doors.journal.record(Event(state.product, state.rollout_id, doors.clock.now(), kind, facts))


def note_verdict(state: RolloutState, verdict: Verdict, doors: Doors) -> None:
    """Append a verdict with all that it rests on; `blocks` says how much of the evidence it had seen."""
    note(
        state,
        "rollout.judged",
        doors,
        ruling=verdict.ruling.value,
        why=verdict.reason,
        findings=[asdict(finding) for finding in verdict.findings],
        blocks=len(own(state, doors.journal)),
    )
