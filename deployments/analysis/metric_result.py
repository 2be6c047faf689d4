"""What was weighed for one metric, and how it is said."""

import math
from dataclasses import dataclass, replace

from deployments.analysis.error_spending import Levels
from deployments.analysis.evidence_by_unit import Strength
from deployments.analysis.verdict import Finding
from deployments.spec import MetricRule

_LARGEST = 690.0  # exp of more is no number


@dataclass(frozen=True, slots=True)
class Weighed:
    """The logs of one metric's e-values, and what was seen.

    `harm` is against "no worse" (None without margin), `broken` against "within the limit" (None without limit),
    `safe` against "worse than the margin" (None if it need not be proved). `missing` estimates how many more units,
    values or pairs the proof takes; None if it cannot be told. `few` is how many users the candidate had since the
    split, and how many it must have for any proof, should none of them fail; None where these are enough, and where
    requests are the units. `seen` are the counts in words, of `unit`.
    """

    seen: str
    stable: float | None = None
    candidate: float | None = None
    low: float | None = None
    high: float | None = None
    harm: Strength | None = None
    broken: Strength | None = None
    safe: float | None = None
    missing: int | None = None
    few: tuple[int, int] | None = None
    unit: str = "requests"

    def nearly_harm(self, levels: Levels, log_caution: float) -> bool:
        """The comparison speaks against the candidate, up to `log_caution` (at most 0) of what proves harm."""
        return self.harm is not None and _log_e(self.harm, levels) >= levels.log_harm_needed + log_caution

    def nearly_broken(self, levels: Levels, log_caution: float) -> bool:
        """Likewise the limit, whatever the champion does."""
        return self.broken is not None and _log_e(self.broken, levels) >= levels.log_harm_needed + log_caution


def proved_by(levels: Levels, *strengths: Strength | None) -> Strength | None:
    """The strongest of those that prove harm; None if none does."""
    proofs = [each for each in strengths if each is not None and each.ever >= levels.log_harm_needed]
    return max(proofs, key=lambda proof: proof.ever, default=None)


def finding(weighed: Weighed, rule: MetricRule, levels: Levels) -> Finding:
    """What `weighed` says under `rule`."""
    harm = max((_log_e(each, levels) for each in (weighed.harm, weighed.broken) if each is not None), default=0.0)
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
    return _with_sentence(found, weighed, rule, levels)


def suspicion(found: Finding, weighed: Weighed) -> str:
    """What speaks against the candidate without proving harm, in words."""
    return f"{_name(found)}: {weighed.seen}; e = {_e(found.harm)} of the {_e(found.harm_needed)} needed"


def still_missing(log_e: float, log_needed: float, growth: float) -> int | None:
    """How many more of what `log_e` grows by `growth` with it takes to reach `log_needed`; None if it does not grow."""
    if growth <= 0 or not math.isfinite(log_e):
        return None
    missing = (log_needed - log_e) / growth
    return math.ceil(missing) if 0 < missing < 1e15 else None


def percent(share: float) -> str:
    """A share in words: 0.0142 is "1.42 %"."""
    return f"{100 * share:.{3 if abs(share) >= 0.01 else 2}g} %"


def _log_e(strength: Strength, levels: Levels) -> float:
    """Harm that was proved once stays proved; else what stands now."""
    return strength.ever if strength.ever >= levels.log_harm_needed else strength.now


def _with_sentence(found: Finding, weighed: Weighed, rule: MetricRule, levels: Levels) -> Finding:
    dry = " (dry run: decides nothing)" if rule.dry_run else ""
    sentence = f"{_name(found)}: {weighed.seen}; {_conclusion(found, weighed, rule, levels)}{dry}"
    return replace(found, sentence=sentence)


def _name(found: Finding) -> str:
    return {"error_rate": "errors"}.get(found.metric, found.metric.replace(".", " "))


def _conclusion(found: Finding, weighed: Weighed, rule: MetricRule, levels: Levels) -> str:
    if found.is_harm:
        by_limit = proved_by(levels, weighed.harm, weighed.broken) is weighed.broken
        which = f"limit {_limit(rule)} broken" if by_limit else "harm proved"
        return f"{which}: e = {_e(found.harm)} of the {_e(found.harm_needed)} needed"
    if found.safe is None:
        return f"no harm proved: e = {_e(found.harm)} of the {_e(found.harm_needed)} needed"
    if found.is_safe:
        return f"proved not worse than {_margin(rule)}: e = {_e(found.safe)} of the {_e(found.safe_needed)} needed"
    more = "how many more cannot be told yet"
    if found.still_needed is not None:
        rounded = _rounded(found.still_needed)
        more = f"about {rounded:,} more {weighed.unit.removesuffix('s') if rounded == 1 else weighed.unit}"
    if weighed.few is not None:
        came, needed = weighed.few
        more += f", and no fewer than {needed:,} of the candidate's, who has had {came:,}"
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
