"""What was weighed for one metric, and how it is said."""

import math
from dataclasses import dataclass, replace

from deployments.analysis.levels import Levels
from deployments.analysis.verdict import Finding
from deployments.spec import MetricRule

_LARGEST = 690.0  # exp of more is no number


@dataclass(frozen=True, slots=True)
class Weighed:
    """The logs of one metric's e-values, and what was seen.

    `harm` is against "no worse" (None without margin), `broken` against "within the limit" (None without limit),
    `safe` against "worse than the margin" (None if it need not be proved). `missing` estimates how many more requests,
    values or pairs the proof takes; None if it cannot be told. `seen` are the counts in words.
    """

    seen: str
    stable: float | None = None
    candidate: float | None = None
    low: float | None = None
    high: float | None = None
    harm: float | None = None
    broken: float | None = None
    safe: float | None = None
    missing: int | None = None
    unit: str = "requests"

    def breaks_limit(self, levels: Levels) -> bool:
        """The limit is proved broken, whatever the comparison says."""
        return self.broken is not None and self.broken >= levels.log_harm_needed


def finding(weighed: Weighed, rule: MetricRule, levels: Levels) -> Finding:
    """What `weighed` says under `rule`."""
    harm = max((log for log in (weighed.harm, weighed.broken) if log is not None), default=0.0)
    found = Finding(
        metric=rule.metric,
        stable=weighed.stable,
        candidate=weighed.candidate,
        low=weighed.low,
        high=weighed.high,
        harm=_exp(harm),
        harm_needed=1 / levels.alpha,
        safe=None if weighed.safe is None else _exp(weighed.safe),
        safe_needed=1 / levels.beta,
        still_needed=None if weighed.safe is None or weighed.safe >= levels.log_safe_needed else weighed.missing,
        dry_run=rule.dry_run,
        sentence="",
    )
    return _with_sentence(found, weighed, rule)


def still_missing(log_e: float, log_needed: float, growth: float) -> int | None:
    """How many more of what `log_e` grows by `growth` with it takes to reach `log_needed`; None if it does not grow."""
    if growth <= 0 or not math.isfinite(log_e):
        return None
    missing = (log_needed - log_e) / growth
    return math.ceil(missing) if 0 < missing < 1e15 else None


def percent(share: float) -> str:
    """A share in words: 0.0142 is "1.42 %"."""
    return f"{100 * share:.{3 if abs(share) >= 0.01 else 2}g} %"


def _with_sentence(found: Finding, weighed: Weighed, rule: MetricRule) -> Finding:
    name = {"error_rate": "errors"}.get(rule.metric, rule.metric.replace(".", " "))
    dry = " (dry run: decides nothing)" if rule.dry_run else ""
    sentence = f"{name}: {weighed.seen}; {_conclusion(found, weighed, rule)}{dry}"
    return replace(found, sentence=sentence)


def _conclusion(found: Finding, weighed: Weighed, rule: MetricRule) -> str:
    if found.is_harm:
        by_limit = weighed.broken is not None and (weighed.harm is None or weighed.broken > weighed.harm)
        which = f"limit {_limit(rule)} broken" if by_limit else "harm proved"
        return f"{which}: e = {_e(found.harm)} of the {_e(found.harm_needed)} needed"
    if found.safe is None:
        return f"no harm proved: e = {_e(found.harm)} of the {_e(found.harm_needed)} needed"
    if found.is_safe:
        return f"proved not worse than {_margin(rule)}: e = {_e(found.safe)} of the {_e(found.safe_needed)} needed"
    more = "how many more cannot be told yet"
    if found.still_needed is not None:
        more = f"about {_rounded(found.still_needed):,} more {weighed.unit}"
    return f"not yet proved not worse than {_margin(rule)}: {more}"


def _limit(rule: MetricRule) -> str:
    return f"{rule.limit:g} ms" if rule.metric == "latency" else percent(rule.limit or 0)


def _margin(rule: MetricRule) -> str:
    margin = rule.margin or 0.0
    if rule.metric.startswith("feedback."):
        return f"{margin:g} {'less' if rule.better == 'higher' else 'more'}"
    return f"{percent(margin)} {'of the pairs' if rule.metric == 'disagreement' else 'more'}"


def _e(value: float) -> str:
    if value >= 1e6:
        return f"{value:.0e}"
    return f"{value:,.0f}" if value >= 10 else f"{value:.2g}"


def _rounded(count: int) -> int:
    """Two digits are all that an estimate can claim."""
    unit: int = 10 ** max(0, len(str(count)) - 2)
    return -(-count // unit) * unit


def _exp(log: float) -> float:
    return math.exp(min(log, _LARGEST))
