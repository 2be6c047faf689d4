"""How a rollout went, look by look, as JSON: what each version answered, how fast, and how the traffic was split."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from itertools import accumulate
from typing import Any, Final

from deployments.analysis.evidence import LATENCY_BOUNDS_MS, Block, Counts
from deployments.journals.protocol import Event, Journal
from deployments.rollout.state import RolloutState
from deployments.rollout.steps import Shift
from tasks.rollout_engine.evidence_sources import own

# Of a long rollout so many stretches are told, each of several looks.
MOST_STRETCHES: Final = 120


def progress_report(state: RolloutState, journal: Journal) -> dict[str, Any]:
    """What was counted, oldest first, of the rollout alone.

    `stretches`: of each, when it began and ended, the candidate's share of the split in percent (null where the split
    is not by chance), and of either version its requests, errors, and the median and 95th percentile of its latency in
    milliseconds (the upper bound of the bucket; null where nothing was measured). `total`: the same of all of it.
    """
    blocks = own(state, journal)
    return {
        "rollout": state.rollout_id,
        "stretches": [_stretch(some) for some in _gathered(blocks)],
        "total": {"champion": _counts(_sum(blocks, "stable")), "candidate": _counts(_sum(blocks, "candidate"))},
        "looked_at": blocks[-1].end if blocks else None,
    }


def plan_of(state: RolloutState) -> list[dict[str, Any]]:
    """The steps of a rollout, and which of them are done; the candidate's share in percent behind each shift."""
    return [
        {
            "number": number,
            "step": str(step),
            "state": "done" if number <= state.done else "now" if state.live and number == state.done + 1 else "ahead",
            "share": step.weights.of(state.candidate) if isinstance(step, Shift) else None,
        }
        for number, step in enumerate(state.steps, 1)
    ]


def weights_over_time(state: RolloutState, events: Sequence[Event]) -> list[tuple[datetime, float]]:
    """When the candidate's share changed, and what it was from then on, in percent; oldest first."""
    shifts = {str(step): step.weights.of(state.candidate) for step in state.steps if isinstance(step, Shift)}
    found = [(state.started_at, 0.0)]
    for event in events:
        if event.run != state.rollout_id or event.at < state.started_at:
            continue
        if event.kind == "step.done" and (share := shifts.get(str(event.detail.get("step")))) is not None:
            found.append((event.at, float(share)))
        elif event.kind == "rollout.rolled_back":
            found.append((event.at, 0.0))
    return found


def _gathered(blocks: Sequence[Block]) -> list[Sequence[Block]]:
    """Looks of one step put together, until there are few enough of them to be drawn."""
    size = 1 + len(blocks) // MOST_STRETCHES
    groups: list[list[Block]] = []
    for block in blocks:
        if groups and len(groups[-1]) < size and groups[-1][-1].step == block.step:
            groups[-1].append(block)
        else:
            groups.append([block])
    return list(groups)


def _stretch(blocks: Sequence[Block]) -> dict[str, Any]:
    share = blocks[-1].share
    return {
        "start": blocks[0].start,
        "end": blocks[-1].end,
        "share": None if share is None else round(100 * share, 4),
        "champion": _counts(_sum(blocks, "stable")),
        "candidate": _counts(_sum(blocks, "candidate")),
    }


def _sum(blocks: Sequence[Block], side: str) -> Counts:
    total = Counts()
    for block in blocks:
        total += getattr(block, side)
    return total


def _counts(counts: Counts) -> Mapping[str, Any]:
    return {
        "requests": counts.requests,
        "errors": counts.errors,
        "p50_ms": quantile(counts.latency, 0.5),
        "p95_ms": quantile(counts.latency, 0.95),
    }


def quantile(latency: Sequence[int], part: float) -> float | None:
    """The upper bound of the bucket that the quantile lies in; twice the last bound for what is slower."""
    total = sum(latency)
    if not total:
        return None
    bounds = (*LATENCY_BOUNDS_MS, 2 * LATENCY_BOUNDS_MS[-1])
    return next(float(bound) for bound, seen in zip(bounds, accumulate(latency), strict=True) if seen >= part * total)
