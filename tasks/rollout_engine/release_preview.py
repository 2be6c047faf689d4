"""What a release of a product would do now, and how long that would take: nothing is moved."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from statistics import median
from typing import Final

from deployments.analysis.rate_difference import ERRORS_EXPECTED
from deployments.clock import Clock
from deployments.errors import TryAgain
from deployments.journals.protocol import Journal
from deployments.metrics.protocol import Metrics
from deployments.rollout.steps import Observe, name_of
from deployments.spec import RolloutSection
from deployments.strategies.forecast import Forecast, Traffic, forecast
from deployments.strategies.plan import Change, plan

# Rollouts from whose steps the time of the next ones is taken.
_RECENT: Final = 5


@dataclass(frozen=True, slots=True)
class Outlook:
    """A plan with its forecasts, and the traffic that they rest on."""

    product: str
    change: Change
    section: RolloutSection
    traffic: Traffic
    forecasts: tuple[Forecast, ...]


def forecast_rollout(
    product: str, change: Change, section: RolloutSection, traffic: Traffic, journal: Journal
) -> Outlook:
    """The plan that `section.strategy` makes of `change`, and what each of its steps will take."""
    steps = plan(section.strategy, change, section)
    lasted = recent_times(product, journal)
    return Outlook(product, change, section, traffic, forecast(steps, change.candidate, section, traffic, lasted))


def present_traffic(product: str, champion: int, metrics: Metrics, clock: Clock, over: timedelta) -> Traffic:
    """Requests per second, from two readings that lie `over` apart, and the champion's error rate since its counters.

    With few counts the error rate leans to ERRORS_EXPECTED. All None while the counters cannot be read.
    """
    try:
        before, began = metrics.read(product, paired=False).without_copies(), clock.monotonic()
        clock.sleep(over)
        after, seconds = metrics.read(product, paired=False).without_copies(), clock.monotonic() - began
    except TryAgain:
        return Traffic()
    answered = sum(counts.requests for counts in after.carrying(before).since(before).values())
    mine = [counts for source, counts in after.sources.items() if source.version == champion]
    requests, errors = sum(counts.requests for counts in mine), sum(counts.errors for counts in mine)
    error_rate = (errors + 1) / (requests + 1 / ERRORS_EXPECTED)
    return Traffic(answered / seconds if seconds else None, error_rate, errors, requests)


def recent_times(product: str, journal: Journal) -> dict[str, timedelta]:
    """By kind of step, the median time that it took in the last rollouts; observations are left out."""
    kinds = {
        (state.rollout_id, str(step)): name_of(step)
        for state in journal.rollouts(product)[:_RECENT]
        for step in state.steps
        if not isinstance(step, Observe)
    }
    began: dict[tuple[str, str], datetime] = {}
    took: dict[str, list[float]] = {}
    for event in journal.events(product):
        which = event.run, str(event.detail.get("step", ""))
        if which in kinds and event.kind == "step.intended":
            began[which] = event.at
        elif which in began and event.kind == "step.done":
            took.setdefault(kinds[which], []).append((event.at - began.pop(which)).total_seconds())
    return {kind: timedelta(seconds=median(times)) for kind, times in took.items()}
