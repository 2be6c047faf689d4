"""What is still ahead of a rollout at its present traffic, as JSON. Reckoning with it takes numpy and SciPy."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any, Final

from deployments.analysis.evidence import Block
from deployments.analysis.rate_difference import ERRORS_EXPECTED
from deployments.journals.protocol import Journal
from deployments.rollout.state import RolloutState
from deployments.rollout.steps import Observe
from deployments.strategies.forecast import Forecast, Traffic, forecast, total
from tasks.rollout_engine.evidence_sources import own
from tasks.rollout_engine.release_preview import recent_times

# Of so many looks the traffic is taken.
_RECENT: Final = 10


def forecast_report(state: RolloutState, journal: Journal, now: datetime) -> dict[str, Any]:
    """Each step that is ahead, the present one included: how long, and how many requests it waits for.

    `seconds` are of all steps whose time can be told, `not_counted` are the kinds of the others; `ends_at` is when it
    would be over by that, null where it is over, or where a step cannot be told. What was counted since the rollout
    began says how much traffic there is; `requests_per_second` is null before the first look.
    """
    traffic = _traffic(own(state, journal))
    steps = forecast(state.steps, state.candidate, state.section, traffic, recent_times(state.product, journal))
    ahead = tuple(_rest_of(each, state) for each in steps[state.done :]) if state.live else ()
    known, left_out = total(ahead)
    return {
        "product": state.product,
        "rollout": state.rollout_id,
        "requests_per_second": traffic.rate,
        "error_rate": traffic.error_rate,
        "steps": [step_report(each) for each in ahead],
        "seconds": known.total_seconds(),
        "not_counted": list(left_out),
        "ends_at": now + known if ahead and not left_out else None,
    }


def step_report(each: Forecast) -> dict[str, Any]:
    """One step; times in seconds, null where they cannot be told."""
    return {
        "number": each.number,
        "step": str(each.step),
        "seconds": each.time.total_seconds() if each.time is not None else None,
        "requests": each.requests,
        "reason": each.reason,
        "warning": each.warning,
    }


def _rest_of(each: Forecast, state: RolloutState) -> Forecast:
    """Of the present observation what was seen of it is over."""
    if each.number != state.done + 1 or not isinstance(each.step, Observe) or each.time is None:
        return each
    return replace(each, time=max(timedelta(0), each.time - state.observed))


def _traffic(blocks: Sequence[Block]) -> Traffic:
    """Of the last looks the rate, of all of them the champion's errors; with few counts these lean to what is usual."""
    if not blocks:
        return Traffic()
    recent = blocks[-_RECENT:]
    seconds = sum((block.end - block.start).total_seconds() for block in recent)
    answered = sum(block.stable.requests + block.candidate.requests for block in recent)
    errors, requests = (sum(getattr(block.stable, name) for block in blocks) for name in ("errors", "requests"))
    error_rate = (errors + 1) / (requests + 1 / ERRORS_EXPECTED)
    return Traffic(answered / seconds if seconds else None, error_rate, errors, requests)
