"""What `plan` says for people: a list of steps."""

from deployments.analysis.metric_result import percent
from deployments.analysis.rate_difference import ERRORS_EXPECTED
from deployments.durations import in_words
from deployments.plurals import counted
from deployments.rollout.steps import Observe
from deployments.strategies.forecast import Traffic, total
from flows.entrypoints import console
from tasks.rollout_engine.release_preview import Outlook


def print_plan(ahead: Outlook) -> None:
    """The steps for people, one a line, with warnings at the end."""
    champion, strategy = ahead.change.champion, ahead.section.strategy.value
    against = f"against v{champion}" if champion else "as the first version, which serves at once"
    console.line(f"{ahead.product}: v{ahead.change.candidate} by {strategy} {against}. Nothing is moved.")
    for each in ahead.forecasts:
        told = ", ".join(part for part in (in_words(each.time) if each.time is not None else "", each.reason) if part)
        console.line(f"{each.number:>3}  {each.step}{f'  ({told})' if told else ''}")
    known, left_out = total(ahead.forecasts)
    parts = [in_words(known)] if known or not left_out else []
    parts += [f"what nobody knows before: {', '.join(left_out)}"] if left_out else []
    console.line(f"Expected: {', and '.join(parts)}.{_assumed(ahead)}")
    for each in ahead.forecasts:
        if each.warning:
            console.warn(f"step {each.number}: {each.warning}")


def _assumed(ahead: Outlook) -> str:
    traffic = ahead.traffic
    if not any(isinstance(each.step, Observe) for each in ahead.forecasts):
        return ""
    if traffic.rate is None:
        return f" The traffic is not known (give --rate); {_errors(traffic)}."
    return f" Traffic {traffic.rate:.3g} requests/s; {_errors(traffic)}."


def _errors(traffic: Traffic) -> str:
    """What was counted, and what is reckoned with: few counts say little."""
    if traffic.error_rate is None or not traffic.requests:
        return (
            "no request of the champion is counted yet, "
            f"the plan reckons with an error rate of {percent(traffic.error_rate or ERRORS_EXPECTED)}"
        )
    seen = f"{traffic.errors:,} of the champion's {counted(traffic.requests, 'request')} failed"
    return f"{seen}, the plan reckons with an error rate of {percent(traffic.error_rate)}"
