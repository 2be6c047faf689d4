"""What a plan will take at the present traffic, and which of its steps cannot come to an end: pure."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Final, assert_never

from deployments.analysis.rate_difference import ERRORS_EXPECTED
from deployments.analysis.sample_size import requests_needed
from deployments.durations import in_words
from deployments.plurals import counted
from deployments.rollout.steps import Approve, Observe, Shift, Step, Until, name_of
from deployments.spec import MetricRule, OnDeadline, RolloutSection

_THEN: Final = {
    OnDeadline.ASK_IF_FEW: "is then rolled back",
    OnDeadline.ROLL_BACK: "is then rolled back",
    OnDeadline.PAUSE: "is then paused",
    OnDeadline.PROMOTE: "the plan then goes on without an answer",
}
_LONGEST: Final = timedelta(days=365_000)  # what takes longer is said to take this long


@dataclass(frozen=True, slots=True)
class Traffic:
    """What flows now: `rate` requests per second to all versions, None when nobody says.

    `error_rate` (0-1) is what is reckoned with for the champion; None while nothing was counted: ERRORS_EXPECTED is
    taken then. `errors` of `requests` were counted of it.
    """

    rate: float | None = None
    error_rate: float | None = None
    errors: int = 0
    requests: int = 0


@dataclass(frozen=True, slots=True)
class Forecast:
    """What one step will take.

    `number` counts from 1. `time` is None where it cannot be told: nothing was learnt of such a step yet, a person is
    asked, or the traffic is not known. `requests` of the product, to all versions, are what the step has to wait for;
    0 where it waits for none, None where the number cannot be told. `reason` says where the number comes
    from, `warning` why the step cannot come to its end as the spec stands; both may be empty.
    """

    number: int
    step: Step
    time: timedelta | None
    requests: int | None = 0
    reason: str = ""
    warning: str = ""


def forecast(
    steps: tuple[Step, ...], candidate: int, section: RolloutSection, traffic: Traffic, lasted: Mapping[str, timedelta]
) -> tuple[Forecast, ...]:
    """One forecast a step, for a candidate that is no worse than the champion.

    `lasted` is how long steps of a kind (`steps.name_of`) took lately; kinds that are missing have no time.
    """
    outlook = _Outlook(candidate, section, traffic)
    return tuple(outlook.of(number, step, lasted.get(name_of(step))) for number, step in enumerate(steps, 1))


def total(forecasts: tuple[Forecast, ...]) -> tuple[timedelta, tuple[str, ...]]:
    """The sum of the known times, and the kinds of steps that it leaves out, in the order of the plan."""
    known = sum((each.time for each in forecasts if each.time is not None), timedelta(0))
    return known, tuple(dict.fromkeys(name_of(each.step) for each in forecasts if each.time is None))


@dataclass(frozen=True, slots=True)
class _Need:
    """What an observation waits for: as in `Forecast`."""

    requests: int | None
    reason: str = ""
    warning: str = ""


@dataclass(slots=True)
class _Outlook:
    """Goes through a plan and remembers the split, and the requests that earlier steps will have gathered, by share."""

    candidate: int
    section: RolloutSection
    traffic: Traffic
    split: Shift | None = None
    gathered: list[tuple[float, float]] = field(default_factory=list)

    def of(self, number: int, step: Step, lasted: timedelta | None) -> Forecast:
        match step:
            case Observe():
                return self._observed(number, step)
            case Approve():
                return Forecast(number, step, None, reason="a person's answer")
            case Shift():
                self.split = step
        return Forecast(number, step, lasted)

    def _observed(self, number: int, step: Observe) -> Forecast:
        need = self._need(step)
        time = self._time(step, need)
        if self.traffic.rate and time is not None:
            self.gathered.append((self._share, self.traffic.rate * time.total_seconds()))
        elif need.requests:
            self.gathered.append((self._share, need.requests))
        return Forecast(number, step, time, need.requests, need.reason, need.warning or self._late(need, time))

    def _need(self, step: Observe) -> _Need:
        match step.until:
            case Until.TIME:
                return _Need(0)
            case Until.SAMPLE:
                return self._sample(step.sample or 0)
            case Until.PROOF:
                return self._proof()
            case Until.BOUND:
                harm = self.section.canary.acceptable_harm * 100 / (step.next or 100)
                if harm >= 1:  # the candidate may fail every request that it gets
                    return _Need(0)
                rule = MetricRule(metric="error_rate", margin=harm, prove=True)
                bound = self._question(rule, f"bounding extra errors by {100 * harm:.2g} %")
                told = [need for need in (bound, self._proof()) if need.requests is not None]
                return min(told, key=lambda need: need.requests or 0, default=bound)
            case _:
                assert_never(step.until)

    def _proof(self) -> _Need:
        """Only of errors the present rate is known; other metrics are named."""
        asked = [rule for rule in self.section.analysis.metrics if rule.prove and not rule.dry_run]
        others = " and ".join(rule.metric for rule in asked if rule.metric != "error_rate")
        errors = next((rule for rule in asked if rule.metric == "error_rate"), None)
        if errors is None:
            return _Need(None, f"how many {others} takes cannot be told") if others else _Need(0)
        need = self._question(errors, f"proving error_rate within {100 * (errors.margin or 0):g} %")
        more = f"; how many {others} takes cannot be told" if others else ""
        return replace(need, reason=f"{need.reason}{more}")

    def _question(self, rule: MetricRule, what: str) -> _Need:
        """Requests that are needed beside those of earlier steps: what each brings of the proof adds up."""
        rate = ERRORS_EXPECTED if self.traffic.error_rate is None else self.traffic.error_rate

        def whole(share: float) -> int | None:
            return requests_needed(rule, self.section.analysis, rate, share)

        now, at = whole(self._share), f"{what} at {100 * self._share:g} %"
        if now is None:
            return _Need(None, "", f"{at} cannot be done with any number of requests: raise the margin or the weight")
        brought = sum(requests / needed for share, requests in self.gathered if (needed := whole(share)))
        rest = round(max(0.0, 1 - brought) * now)
        return _Need(
            rest, f"{at} takes about {counted(rest, 'request')}" if rest else f"{what}: the steps before bring enough"
        )

    def _sample(self, sample: int) -> _Need:
        if self.split is not None and self.split.mirror is not None:
            share, what = self.split.mirror.percent / 100, "pairs"
        else:
            share, what = min(self._share, 1 - self._share), "requests of each version"
        if not share:
            return _Need(None, f"{sample:,} {what}: how many requests match cannot be told")
        return _Need(round(sample / share), f"{sample:,} {what} take about {counted(round(sample / share), 'request')}")

    def _time(self, step: Observe, need: _Need) -> timedelta | None:
        if need.requests is None or self.traffic.rate == 0:
            return None
        if not need.requests:
            return step.time
        if not self.traffic.rate:
            return None
        return max(step.time, timedelta(seconds=min(need.requests / self.traffic.rate, _LONGEST.total_seconds())))

    def _late(self, need: _Need, time: timedelta | None) -> str:
        deadline, then = self.section.analysis.deadline, _THEN[self.section.analysis.on_deadline]
        if self.traffic.rate == 0 and self.section.analysis.on_deadline is OnDeadline.PROMOTE:
            return "no request comes now: it holds until some do"
        if self.traffic.rate == 0:
            return f"no request comes now: it holds until the deadline of {in_words(deadline)}, and {then}"
        if time is None or time < deadline:
            return ""
        pace = f"{need.reason}; at {self.traffic.rate:g} requests/s that is" if need.requests else "it lasts"
        return f"{pace} {in_words(time)}, more than the deadline of {in_words(deadline)}: it {then}"

    @property
    def _share(self) -> float:
        return self.split.weights.of(self.candidate) / 100 if self.split else 0.0
