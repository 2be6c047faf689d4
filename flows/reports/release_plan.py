"""What a release would do now, as JSON: by spec, registry, journal and counters. It takes numpy and MLflow."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

from deployments import wiring
from deployments.clock import SystemClock
from deployments.errors import TryAgain
from deployments.journals.in_memory import InMemoryJournal
from deployments.settings import current
from deployments.spec import Strategy
from deployments.strategies.forecast import Traffic, total
from deployments.strategies.plan import Change, Goal
from flows.reports.rollout_forecast import step_report
from tasks.rollout_engine.champion import champion_by
from tasks.rollout_engine.release_preview import Outlook, forecast_rollout, present_traffic
from tasks.spec_file import check_available, find_spec, load_product


def look_ahead(product: str, strategy: Strategy | None, rate: float | None, over: timedelta) -> Outlook:
    """The plan of a release that would register the next version now; `rate` None: measured for so long.

    Raises `NotFound` or `BadSpec`. What is not up leaves its part of the picture out.
    """
    spec = load_product(find_spec(product, current().specs_folder))
    section = spec.rollout.model_copy(update={"strategy": strategy}) if strategy else spec.rollout
    check_available(section)
    change = _next_change(spec.product)
    traffic = Traffic() if change.champion is None else _traffic(spec.product, change.champion, rate, over)
    if rate is not None:
        traffic = replace(traffic, rate=rate)
    journal = wiring.journal() if current().home.is_dir() else InMemoryJournal()  # looking makes no home
    return forecast_rollout(spec.product, change, section, traffic, journal)


def plan_report(ahead: Outlook) -> dict[str, Any]:
    """As JSON; times in seconds, null where they cannot be told."""
    known, left_out = total(ahead.forecasts)
    return {
        "product": ahead.product,
        "strategy": ahead.section.strategy.value,
        "candidate": ahead.change.candidate,
        "champion": ahead.change.champion,
        "traffic": {
            "requests_per_second": ahead.traffic.rate,
            "error_rate": ahead.traffic.error_rate,
        },
        "steps": [step_report(each) for each in ahead.forecasts],
        "seconds": known.total_seconds(),
        "not_counted": left_out,
        "warnings": [f"step {each.number}: {each.warning}" for each in ahead.forecasts if each.warning],
    }


def _next_change(product: str) -> Change:
    """The next number in the registry against the present champion, if this home has a registry."""
    if not current().home.is_dir() and current().tracking_uri is None:
        return Change(Goal.PROMOTE, 1, None, ())
    versions = wiring.registry().versions(product)
    rollouts = wiring.journal().rollouts(product) if current().home.is_dir() else ()
    named = next((each.version for each in versions if "champion" in each.aliases), None)
    champion = (champion_by(rollouts[0]) if rollouts else None) or named
    candidate = 1 + max((*(each.version for each in versions), *(each.candidate for each in rollouts)), default=0)
    return Change(Goal.PROMOTE, candidate, champion, (champion,) if champion else ())


def _traffic(product: str, champion: int, rate: float | None, over: timedelta) -> Traffic:
    try:
        metrics = wiring.read_only_doors(product).metrics
    except TryAgain:
        return Traffic()
    return present_traffic(product, champion, metrics, SystemClock(), timedelta(0) if rate is not None else over)
